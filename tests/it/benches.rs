//! Parts of the benches; a bench without a harness runs no tests.

// The benches use more of some modules than the tests.
#[allow(dead_code)]
#[path = "../../benches/lambda/events.rs"]
mod events;
#[allow(dead_code)]
#[path = "../../benches/shared/figures.rs"]
mod figures;
#[path = "../../benches/relay/payload.rs"]
mod payload;
#[path = "../../benches/shared/usage.rs"]
mod usage;

use serde_json::Value;
use workflow_bridge::domain::inbound::signature::{SigningSecret, verify};

use crate::lambda::answers;
use figures::{Run, Show, Table, median, percentile};

/// A run with one figure.
fn run(setting: &str, subject: &str, round: usize, figure: &'static str, value: f64) -> Run {
    Run {
        setting: vec![setting.to_owned()],
        subject: subject.to_owned(),
        round,
        figures: [(figure, value)].into(),
    }
}

/// The table of these runs with one column of the figure `x`; ratios are to `plain`.
fn table(show: Show, runs: &[Run]) -> String {
    let table = Table {
        settings: &["setting"],
        subjects: &["plain", "own"],
        columns: &[("x", show)],
        reference: &|_| "plain",
    };
    table.of(runs)
}

/// The last cell of the table's last row.
fn last(table: &str) -> &str {
    table
        .trim_end_matches(" |\n")
        .rsplit("| ")
        .next()
        .unwrap()
        .trim()
}

#[test]
fn a_percentile_is_a_sample() {
    let mut samples: Vec<_> = (1..=100).rev().map(f64::from).collect();
    for (percent, expected) in [(0, 1.0), (50, 50.0), (99, 99.0), (100, 100.0)] {
        assert_eq!(percentile(&mut samples, percent), expected);
    }
    assert_eq!(percentile(&mut [3.0, 1.0, 2.0], 50), 2.0);
    assert_eq!(percentile(&mut [], 99), 0.0);
}

#[test]
fn a_median_is_in_the_middle() {
    assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
    assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
    assert_eq!(median(Vec::new()), None);
}

#[test]
fn a_row_contains_all_runs_of_a_subject_under_a_setting() {
    let runs = [
        run("b", "own", 0, "x", 1.0),
        run("b", "own", 1, "x", 5.0),
        run("b", "own", 2, "x", 2.25),
        run("a", "own", 0, "x", 7.0),
        run("a", "plain", 0, "x", 8.0),
        run("a", "unlisted", 0, "x", 9.0),
        run("a", "own", 0, "y", 10.0),
    ];
    let expected = "\
| setting | subject |                   x |
|--------:|--------:|--------------------:|
|       b |     own | 2.25 (1.00 to 5.00) |
";
    assert_eq!(table(Show::Spread(2), &runs[..3]), expected);
    let found = table(Show::Median(0), &runs);
    let rows: Vec<_> = found.lines().skip(2).collect();
    let expected = [
        "|       b |     own | 2 |",
        "|       a |   plain | 8 |",
        "|       a |     own | 7 |",
    ];
    assert_eq!(rows, expected);
    assert_eq!(last(&table(Show::Sum, &runs[..3])), "8.25");
    assert_eq!(table(Show::Median(0), &[]), "");
}

#[test]
fn a_ratio_is_of_medians_or_of_the_same_round() {
    let mut runs = Vec::new();
    // A slow round is slow for both.
    for (round, plain, own) in [(0, 1.0, 2.0), (1, 10.0, 20.0), (2, 1.0, 4.0)] {
        // Other settings are not compared.
        runs.push(run("b", "plain", round, "x", 100.0));
        runs.push(run("a", "plain", round, "x", plain));
        runs.push(run("a", "own", round, "x", own));
    }
    assert_eq!(last(&table(Show::Ratio, &runs)), "4.00");
    let by_round = table(Show::RatioByRound, &runs);
    assert_eq!(last(&by_round), "2.00 (2.00 to 4.00)");
}

#[test]
fn without_a_reference_there_is_no_ratio() {
    let own = run("a", "own", 0, "x", 1.0);
    // Less CPU time than the resolution of `/proc`.
    let idle = [run("a", "plain", 0, "x", 0.0), own.clone()];
    for show in [Show::Ratio, Show::RatioByRound] {
        assert_eq!(table(show, std::slice::from_ref(&own)), "");
    }
    assert_eq!(table(Show::RatioByRound, &idle), "");
}

#[test]
fn messages_are_signed_and_texts_have_the_given_length() {
    for size in [200, 200_000] {
        let event: Value = serde_json::from_str(&events::event(false, 7, size)).unwrap();
        let body = event["body"].as_str().unwrap();
        let signature = event["headers"]["momento-signature"].as_str().unwrap();
        let secret = SigningSecret::new(answers::SECRET.to_owned()).unwrap();
        let signature = [signature.as_bytes()].into_iter();
        assert!(verify(&[secret], body.as_bytes(), signature).is_ok());
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["text"].as_str().unwrap().len(), size);
    }
    let event: Value = serde_json::from_str(&events::event(true, 7, 4_000)).unwrap();
    let event = event["Records"][0]["body"].as_str().unwrap();
    let event: Value = serde_json::from_str(event).unwrap();
    assert_eq!(event["detail"]["value"].as_str().unwrap().len(), 4_000);
}

#[test]
fn an_answer_with_a_failure_is_not_good() {
    let good = |publishes, answer: &str| events::is_good(publishes, answer.as_bytes());
    assert!(good(false, r#"{"statusCode":200,"body":""}"#));
    assert!(!good(false, r#"{"statusCode":500}"#));
    assert!(good(true, r#"{"batchItemFailures":[]}"#));
    let failed = r#"{"batchItemFailures":[{"itemIdentifier":"message-1"}]}"#;
    assert!(!good(true, failed));
    assert!(!good(true, r#"{"errorType":"X"}"#));
    assert!(!good(false, "no JSON"));
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
    let status = "Name:\ta) b (c)\nVmHWM:\t   2000 kB\nVmRSS:\t   1000 kB\n";
    let usage = usage::parse(stat, status).unwrap();
    assert_eq!(usage.cpu_seconds, 1.75);
    assert_eq!((usage.now_mb, usage.peak_mb), (1.024, 2.048));
    // A zombie process has no memory.
    assert_eq!(usage::parse(stat, "Name:\tx\n"), None);
    assert_eq!(usage::parse("", status), None);

    assert!(usage::machine().contains(" CPUs "));
    // Without /proc, other systems give an error.
    let own = usage::of(std::process::id());
    assert_eq!(own.is_ok(), cfg!(target_os = "linux"), "{own:?}");
}
