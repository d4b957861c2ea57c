//! The figures and tables of the bench `relay`; a bench without a harness runs no tests.

#[path = "../../benches/relay/figures.rs"]
mod figures;
#[path = "../../benches/shared/markdown.rs"]
pub mod markdown;
#[path = "../../benches/relay/payload.rs"]
mod payload;
#[path = "../../benches/shared/statistics.rs"]
pub mod statistics;
#[path = "../../benches/relay/table.rs"]
mod table;
#[path = "../../benches/relay/usage.rs"]
mod usage;

use figures::{Loss, REFERENCE, Run, summaries};
use statistics::{median, percentile};

/// A run of 1,000 messages.
fn run(round: usize, topics: u16, subject: &str, seconds: f64, cpu: f64) -> Run {
    Run {
        round,
        topics,
        subject: subject.to_owned(),
        full_messages: 1_000,
        full_seconds: seconds,
        full_cpu_seconds: cpu,
        peak_kib: 1_000,
        ..Run::default()
    }
}

#[test]
fn a_percentile_is_a_sample() {
    let mut samples: Vec<_> = (1..=100).rev().collect();
    assert_eq!(percentile(&mut samples, 50), 50);
    assert_eq!(percentile(&mut samples, 99), 99);
    assert_eq!(percentile(&mut samples, 100), 100);
    assert_eq!(percentile(&mut [3, 1, 2], 50), 2);
    assert_eq!(percentile(&mut [7], 99), 7);
    assert_eq!(percentile(&mut [], 99), 0);
}

#[test]
fn a_median_is_in_the_middle() {
    assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
    assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
    assert_eq!(median(Vec::new()), None);
}

#[test]
fn ratios_are_to_the_reference_of_the_same_round() {
    let runs = [
        // Rounds with another number of topics are not compared.
        run(0, 100, REFERENCE, 5.0, 0.1),
        run(1, 100, REFERENCE, 5.0, 0.1),
        run(2, 100, REFERENCE, 5.0, 0.1),
        run(0, 1, REFERENCE, 1.0, 0.1),
        run(0, 1, "relay", 2.0, 0.4),
        // A slow round is slow for both.
        run(1, 1, REFERENCE, 10.0, 0.2),
        run(1, 1, "relay", 20.0, 0.8),
        run(2, 1, REFERENCE, 1.0, 0.1),
        run(2, 1, "relay", 4.0, 0.4),
    ];
    let order = ["relay", REFERENCE].map(str::to_owned);
    let summaries = summaries(&runs, &order);
    let names: Vec<_> = summaries.iter().map(|s| (s.topics, &*s.subject)).collect();
    assert_eq!(names, [(1, "relay"), (1, REFERENCE), (100, REFERENCE)]);
    let relay = &summaries[0];
    assert_eq!((relay.rounds, relay.per_second), (3, 250.0));
    assert_eq!(relay.cpu_per_10k, 4.0);
    let ratios = relay.ratios.unwrap();
    assert_eq!((ratios.per_second, ratios.cpu_per_10k), (0.5, 4.0));
    assert_eq!(ratios.peak_kib, 1.0);
    assert_eq!(summaries[1].ratios.unwrap().per_second, 1.0);
}

#[test]
fn without_a_reference_there_is_no_ratio() {
    let alone = summaries(&[run(0, 1, "sdk", 1.0, 0.1)], &["sdk".to_owned()]);
    assert_eq!(alone[0].ratios, None);
    // Less CPU time than the resolution of `/proc`.
    let runs = [run(0, 1, REFERENCE, 1.0, 0.0)];
    let idle = summaries(&runs, &[REFERENCE.to_owned()]);
    assert_eq!(idle[0].ratios, None);
}

#[test]
fn losses_and_repetitions_of_all_rounds_are_summed() {
    let mut runs = [run(0, 1, "sdk", 1.0, 0.1), run(1, 1, "sdk", 1.0, 0.1)];
    (runs[0].missing, runs[1].missing) = (3, 4);
    runs[1].repeated = 2;
    let summary = &summaries(&runs, &["sdk".to_owned()])[0];
    assert_eq!((summary.missing, summary.repeated), (7, 2));
}

#[test]
fn columns_of_the_tables_are_aligned() {
    let mut polled = run(0, 1, "long-poll", 0.5, 0.1);
    polled.full_requests = Some(40);
    let runs = [run(0, 1, REFERENCE, 0.001, 0.1), polled];
    let order = [REFERENCE, "long-poll"].map(str::to_owned);
    let text = table::of_summaries(&summaries(&runs, &order));
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 4);
    assert!(lines.iter().all(|line| line.len() == lines[0].len()));
    assert!(lines[2].contains("| 1000000 (1.00) |"), "{text}");
    assert!(lines[3].contains("|    2000 (0.00) |"), "{text}");
    assert!(lines[3].contains("|               40 |"), "{text}");

    let text = table::of_losses(&[Loss {
        rate: 100,
        gap_ms: 20,
        published: 200,
        missing: 25,
    }]);
    assert!(text.ends_with("| 25 (12.5 %) |\n"), "{text}");
}

#[test]
fn a_payload_contains_its_number_and_time() {
    let text = payload::write(42, 1_704_296_470_564_000_000);
    assert_eq!(text.len(), payload::BYTES);
    assert_eq!(payload::read(&text), Some((42, 1_704_296_470_564_000_000)));
    assert_eq!(payload::read("42 7 too short"), None);
    assert_eq!(payload::read(&"x".repeat(payload::BYTES)), None);
    assert!(payload::now_ns() > 1_704_296_470_564_000_000);
}

#[test]
fn times_and_memory_are_read_from_proc() {
    let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194304 1 0 0 0 150 25 9 9 20 0 3 0 1 1 1";
    let status = "Name:\ta) b (c)\nVmHWM:\t   2048 kB\nVmRSS:\t   1024 kB\n";
    let usage = usage::parse(stat, status).unwrap();
    assert_eq!(usage.cpu_seconds, 1.75);
    assert_eq!((usage.rss_kib, usage.peak_kib), (1_024, 2_048));
    // A zombie process has no memory.
    assert_eq!(usage::parse(stat, "Name:\tx\n"), None);
    assert_eq!(usage::parse("", status), None);

    assert!(usage::machine().contains(" CPUs "));
    // Without /proc, other systems give an error.
    let own = usage::of(std::process::id());
    assert_eq!(own.is_ok(), cfg!(target_os = "linux"), "{own:?}");
}
