//! The figures as Markdown tables, one section per table, as in `docs/performance.md`.

use super::figures::Show::{Median, Ratio, Spread};
use super::figures::{Run, Show, Table, markdown, median, values};
use super::subject::reference;

pub const BINARY: &str = "binary KB";
pub const FIRST: &str = "first answer ms";
pub const P50: &str = "p50 µs";
pub const PEAK: &str = "peak MB";

const STARTS: [(&str, Show); 4] = [
    (BINARY, Median(0)),
    ("init ms", Spread(1)),
    (FIRST, Spread(1)),
    (FIRST, Ratio),
];
const MESSAGES: [(&str, Show); 7] = [
    (P50, Spread(0)),
    (P50, Ratio),
    ("p90", Median(0)),
    ("p99", Median(0)),
    ("max", Median(0)),
    ("CPU µs", Median(0)),
    (PEAK, Median(1)),
];
const INSTRUCTIONS: [(&str, Show); 7] = [
    ("200 B", Median(0)),
    ("200 B", Ratio),
    ("4 KB", Median(0)),
    ("4 KB", Ratio),
    ("200 KB", Median(0)),
    ("200 KB", Ratio),
    ("per byte", Median(1)),
];

const HTTP: &str = "HTTP, 0 ms";
const TLS: &str = "TLS, 0 ms";
const SMALL: &str = "200 B";
const MIDDLE: &str = "4 KB";

/// A figure, its setting, a shipped function, an alternative, and the most that the ratio should be.
type Target = (
    &'static str,
    &'static [&'static str],
    &'static str,
    &'static str,
    f64,
);
const TARGETS: [Target; 10] = [
    (BINARY, &[HTTP], "webhook", "afternoon", 0.33),
    (FIRST, &[HTTP], "webhook", "afternoon", 0.35),
    (FIRST, &[TLS], "webhook", "afternoon", 0.085),
    (FIRST, &[HTTP], "webhook", "node", 0.028),
    (FIRST, &[TLS], "webhook", "node", 0.028),
    (P50, &[HTTP, SMALL], "webhook", "afternoon", 0.45),
    (P50, &[TLS, SMALL], "webhook", "afternoon", 0.45),
    (PEAK, &[HTTP, MIDDLE], "webhook", "afternoon", 0.58),
    (PEAK, &[TLS, MIDDLE], "webhook", "afternoon", 0.58),
    (FIRST, &[TLS], "completion", "afternoon-completion", 0.13),
];

pub fn all(subjects: &[&str], runs: &[Run]) -> String {
    let table = |settings: &[&str], columns: &[(&'static str, Show)]| {
        let table = Table {
            settings,
            subjects,
            columns,
            reference: &reference,
        };
        table.of(runs)
    };
    let sections = [
        (
            "Starts",
            "From the process's start: median (least to most). Ratio: of the first answers to `afternoon` of the same job.",
            table(&["AWS"], &STARTS),
        ),
        (
            "Messages",
            "Messages one after the other, times in µs; p50: median (least to most) of the runs, others: the runs' median. Ratio: of p50.",
            table(&["AWS", "text"], &MESSAGES),
        ),
        (
            "Instructions",
            "Instructions per message; per byte: for each byte of text from 200 B to 200 KB.",
            table(&[], &INSTRUCTIONS),
        ),
        (
            "Targets",
            "Ratios of medians, against this project's targets.",
            targets(runs),
        ),
    ];
    let sections = sections.iter().filter(|(_, _, table)| !table.is_empty());
    let sections =
        sections.map(|(heading, about, table)| format!("### {heading}\n\n{about}\n\n{table}"));
    sections.collect::<Vec<_>>().join("\n")
}

/// The ratios of the measured figures beside their targets; empty without any.
fn targets(runs: &[Run]) -> String {
    let rows = TARGETS.iter().filter_map(|target| {
        let (figure, setting, own, other, at_most) = *target;
        let of = |subject| median(values(runs, setting, subject, figure));
        let found = of(own)? / of(other)?;
        let met = if found <= at_most { "met" } else { "missed" };
        Some(vec![
            format!("{own}, {figure}, {}", setting.join(", ")),
            other.to_owned(),
            at_most.to_string(),
            format!("{found:.3}"),
            met.to_owned(),
        ])
    });
    let rows: Vec<_> = rows.collect();
    match rows.is_empty() {
        true => String::new(),
        false => markdown(&["figure", "beside", "at most", "found", ""], &rows),
    }
}
