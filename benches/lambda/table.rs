//! The figures as Markdown tables.

use super::markdown::render;

use super::figures::{Figures, Spread};
use super::place::Place;
use super::subject::{LARGE, MIDDLE, Name, SMALL, Subject};
use super::targets;

/// One section per table, as in `docs/performance.md`.
pub fn all(subjects: &[Subject], figures: &Figures) -> String {
    let sections = [
        (
            "Starts",
            "From the process's start, ms: median (least to most). Ratio: of the first answers to `afternoon` of the same job.",
            starts(subjects, figures),
        ),
        (
            "Messages",
            "Messages one after the other; p50: median (least to most) of the runs, others: the runs' median. Ratio: of p50.",
            messages(subjects, figures),
        ),
        (
            "Instructions",
            "Instructions per message; per byte: for each byte of text from 200 B to 200 KB.",
            instructions(subjects, figures),
        ),
        (
            "Targets",
            "Ratios of medians, against this project's targets.",
            of_targets(subjects, figures),
        ),
    ];
    // A table without figures has two lines, its head.
    let sections = sections
        .iter()
        .filter(|(_, _, table)| table.lines().count() > 2);
    let sections =
        sections.map(|(heading, about, table)| format!("### {heading}\n\n{about}\n\n{table}"));
    sections.collect::<Vec<_>>().join("\n")
}

fn starts(subjects: &[Subject], figures: &Figures) -> String {
    let header = [
        "AWS",
        "subject",
        "binary KB",
        "init",
        "first answer",
        "ratio",
    ];
    let rows = Place::ALL.iter().flat_map(|&place| {
        subjects.iter().filter_map(move |subject| {
            let name = subject.name;
            let init = figures.start(name, place, |start| start.init_us)?;
            let first = figures.start(name, place, |start| start.first_us)?;
            let plain = figures.start(plain(name), place, |start| start.first_us);
            Some(vec![
                place.to_string(),
                name.to_string(),
                format!("{:.0}", subject.bytes as f64 / 1_000.0),
                ms(init),
                ms(first),
                ratio(first.median, plain.map(|plain| plain.median)),
            ])
        })
    });
    render(&header, &rows.collect::<Vec<_>>())
}

fn messages(subjects: &[Subject], figures: &Figures) -> String {
    let header = [
        "AWS", "text", "subject", "p50 µs", "ratio", "p90", "p99", "max", "CPU µs", "peak MB",
    ];
    let mut rows = Vec::new();
    for place in [Place::HTTP, Place::TLS] {
        for size in [SMALL, MIDDLE, LARGE] {
            for subject in subjects {
                let name = subject.name;
                let figure = |figure| figures.messages(name, place, size, figure);
                let middle = |of| figure(of).map_or(f64::NAN, |spread| spread.median);
                let Some(p50) = figure(|run| run.p50_us.into()) else {
                    continue;
                };
                let plain = figures.messages(plain(name), place, size, |run| run.p50_us.into());
                rows.push(vec![
                    place.to_string(),
                    bytes(size),
                    name.to_string(),
                    spread(p50, 0),
                    ratio(p50.median, plain.map(|plain| plain.median)),
                    format!("{:.0}", middle(|run| run.p90_us.into())),
                    format!("{:.0}", middle(|run| run.p99_us.into())),
                    format!("{:.0}", middle(|run| run.max_us.into())),
                    format!("{:.0}", middle(|run| run.cpu_us)),
                    format!("{:.1}", middle(|run| run.peak_kib as f64) * 1_024.0 / 1e6),
                ]);
            }
        }
    }
    render(&header, &rows)
}

fn instructions(subjects: &[Subject], figures: &Figures) -> String {
    let header = [
        "subject", "200 B", "ratio", "4 KB", "ratio", "200 KB", "ratio", "per byte",
    ];
    let rows = subjects.iter().filter_map(|subject| {
        let name = subject.name;
        figures.instructions(name, SMALL)?;
        let mut row = vec![name.to_string()];
        for size in [SMALL, MIDDLE, LARGE] {
            let own = figures.instructions(name, size);
            row.push(own.map_or_else(String::new, |own| format!("{own:.0}")));
            let plain = figures.instructions(plain(name), size);
            row.push(own.map_or_else(String::new, |own| ratio(own, plain)));
        }
        let per_byte = targets::per_byte(figures, name);
        row.push(per_byte.map_or_else(String::new, |per_byte| format!("{per_byte:.1}")));
        Some(row)
    });
    render(&header, &rows.collect::<Vec<_>>())
}

fn of_targets(subjects: &[Subject], figures: &Figures) -> String {
    let header = ["figure", "beside", "at most", "found", ""];
    let rows = targets::all(subjects, figures).into_iter().map(|target| {
        let met = target.found <= target.at_most;
        vec![
            target.what.to_owned(),
            target.beside.to_string(),
            target.at_most.to_string(),
            format!("{:.3}", target.found),
            if met { "met" } else { "missed" }.to_owned(),
        ]
    });
    render(&header, &rows.collect::<Vec<_>>())
}

/// The reference of a subject's ratios.
fn plain(name: Name) -> Name {
    match name {
        Name::WebhookCollected => Name::Webhook,
        Name::Completion | Name::AfternoonCompletion | Name::NodeCompletion => {
            Name::AfternoonCompletion
        }
        Name::Webhook | Name::Before | Name::Floor | Name::Afternoon | Name::Node => {
            Name::Afternoon
        }
    }
}

fn ratio(own: f64, other: Option<f64>) -> String {
    other.map_or_else(String::new, |other| format!("{:.2}", own / other))
}

fn ms(us: Spread) -> String {
    let ms = |us: f64| us / 1_000.0;
    let spread_in_ms = Spread {
        median: ms(us.median),
        least: ms(us.least),
        most: ms(us.most),
    };
    spread(spread_in_ms, 1)
}

fn spread(spread: Spread, digits: usize) -> String {
    let Spread {
        median,
        least,
        most,
    } = spread;
    format!("{median:.digits$} ({least:.digits$} to {most:.digits$})")
}

fn bytes(size: usize) -> String {
    match size {
        0..1_000 => format!("{size} B"),
        _ => format!("{} KB", size / 1_000),
    }
}
