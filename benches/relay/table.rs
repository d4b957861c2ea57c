//! The figures as aligned Markdown tables.

use super::figures::{Loss, Summary};
use super::markdown::render;

pub fn of_summaries(summaries: &[Summary]) -> String {
    let header = [
        "topics",
        "subject",
        "messages/s",
        "p50 ms",
        "p99 ms",
        "CPU s / 10,000",
        "server CPU",
        "idle MB",
        "peak MB",
        "requests / 1,000",
        "lost",
        "repeated",
    ];
    let rows = summaries.iter().map(|summary| {
        let ratios = summary.ratios;
        vec![
            summary.topics.to_string(),
            summary.subject.clone(),
            with_ratio(
                format!("{:.0}", summary.per_second),
                ratios.map(|r| r.per_second),
            ),
            millis(summary.latency_p50_us),
            millis(summary.latency_p99_us),
            with_ratio(
                format!("{:.3}", summary.cpu_per_10k),
                ratios.map(|r| r.cpu_per_10k),
            ),
            format!("{:.3}", summary.server_cpu_per_10k),
            megabytes(summary.idle_kib),
            with_ratio(megabytes(summary.peak_kib), ratios.map(|r| r.peak_kib)),
            summary
                .requests_per_1k
                .map_or_else(String::new, |requests| format!("{requests:.0}")),
            summary.missing.to_string(),
            summary.repeated.to_string(),
        ]
    });
    render(&header, &rows.collect::<Vec<_>>())
}

pub fn of_losses(losses: &[Loss]) -> String {
    let header = ["messages/s", "gap ms", "published", "missed"];
    let rows = losses.iter().map(|loss| {
        let percent = loss.missing as f64 * 100.0 / loss.published as f64;
        vec![
            loss.rate.to_string(),
            loss.gap_ms.to_string(),
            loss.published.to_string(),
            format!("{} ({percent:.1} %)", loss.missing),
        ]
    });
    let table = render(&header, &rows.collect::<Vec<_>>());
    format!("long-poll without a position:\n\n{table}")
}

fn with_ratio(figure: String, ratio: Option<f64>) -> String {
    match ratio {
        Some(ratio) => format!("{figure} ({ratio:.2})"),
        None => figure,
    }
}

fn millis(us: f64) -> String {
    format!("{:.2}", us / 1_000.0)
}

fn megabytes(kib: f64) -> String {
    format!("{:.1}", kib * 1_024.0 / 1e6)
}
