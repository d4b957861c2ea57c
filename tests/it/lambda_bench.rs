//! The events, figures and tables of the bench `lambda`; a bench without a harness runs no tests.

#[path = "../../benches/lambda/compare.rs"]
mod compare;
// The bench uses more of these modules than the tests.
#[allow(dead_code)]
#[path = "../../benches/lambda/events.rs"]
mod events;
#[allow(dead_code)]
#[path = "../../benches/lambda/figures.rs"]
mod figures;
#[allow(dead_code)]
#[path = "../../benches/lambda/place.rs"]
mod place;
#[path = "../../benches/lambda/serving.rs"]
mod serving;
#[allow(dead_code)]
#[path = "../../benches/lambda/stubs.rs"]
mod stubs;
#[allow(dead_code)]
#[path = "../../benches/lambda/subject.rs"]
mod subject;
#[path = "../../benches/lambda/table.rs"]
mod table;
#[path = "../../benches/lambda/targets.rs"]
mod targets;

use std::time::Duration;

use serde_json::{Value, json};
use workflow_bridge::domain::inbound::signature::{SigningSecret, verify};

use crate::relay_bench::{markdown, statistics};
use figures::{Figures, Instructions, Messages, Spread, Start};
use place::Place;
use statistics::percentile;
use stubs::{Aws, Service};
use subject::{Job, LARGE, MIDDLE, Name, SMALL, Subject};

fn start(subject: Name, place: Place, first_us: f64) -> Start {
    Start {
        subject,
        place,
        init_us: 1.0,
        first_us,
    }
}

fn messages(subject: Name, p50_us: u32) -> Messages {
    Messages {
        subject,
        place: Place::HTTP,
        size: SMALL,
        count: 1,
        p50_us,
        p90_us: 2,
        p99_us: 3,
        max_us: 4,
        cpu_us: 5.0,
        peak_kib: 6,
    }
}

fn counted(subject: Name, size: usize, per_message: f64) -> Instructions {
    Instructions {
        subject,
        size,
        per_message,
    }
}

fn subject(name: Name, bytes: u64) -> Subject {
    Subject {
        name,
        program: "true".into(),
        script: None,
        bytes,
    }
}

#[test]
fn a_spread_has_its_median_in_the_middle() {
    let spread = Spread::of([9.0, 1.0, 2.0]).unwrap();
    assert_eq!((spread.median, spread.least, spread.most), (2.0, 1.0, 9.0));
    assert_eq!(Spread::of([4.0, 1.0]).unwrap().median, 2.5);
    assert_eq!(Spread::of([]), None);
    assert_eq!(percentile(&mut [3, 1, 2], 50), 2);
    assert_eq!(percentile(&mut [1, 2], 99), 2);
    assert_eq!(percentile(&mut [], 99), 0);
}

#[test]
fn targets_are_quotients_of_medians_in_the_same_place() {
    let figures = Figures {
        starts: vec![
            start(Name::Webhook, Place::HTTP, 1.0),
            start(Name::Webhook, Place::HTTP, 5.0),
            start(Name::Webhook, Place::HTTP, 2.0),
            start(Name::Afternoon, Place::HTTP, 8.0),
            start(Name::Afternoon, Place::TLS, 100.0),
        ],
        messages: Vec::new(),
        instructions: vec![counted(Name::Webhook, MIDDLE, 1.0)],
    };
    let subjects = [subject(Name::Webhook, 1), subject(Name::Afternoon, 4)];
    let targets = targets::all(&subjects, &figures);
    let found: Vec<_> = targets.iter().map(|t| (t.what, t.found)).collect();
    // Nothing to compare: no webhook start over TLS, no instructions of `Afternoon`.
    let expected = [
        ("webhook, binary", 0.25),
        ("webhook, start to first answer, HTTP", 0.25),
    ];
    assert_eq!(found, expected);
}

#[test]
fn tables_contain_the_measurements() {
    let figures = Figures {
        starts: vec![
            start(Name::Webhook, Place::TLS, 3_000.0),
            start(Name::Afternoon, Place::TLS, 6_000.0),
        ],
        messages: vec![messages(Name::Webhook, 100), messages(Name::Afternoon, 400)],
        instructions: vec![
            counted(Name::Webhook, SMALL, 1_000.0),
            counted(Name::Webhook, LARGE, 1_000.0 + 2.5 * (LARGE - SMALL) as f64),
        ],
    };
    let subjects = [
        subject(Name::Webhook, 1_000),
        subject(Name::Afternoon, 2_000),
    ];
    let tables = table::all(&subjects, &figures);
    let row = |cells: &[&str]| {
        let cells_of = |line: &str| {
            line.split('|')
                .map(|c| c.trim().to_owned())
                .collect::<Vec<_>>()
        };
        let found = tables.lines().any(|line| {
            let line = cells_of(line);
            cells
                .iter()
                .all(|cell| line.iter().any(|found| found == cell))
        });
        assert!(found, "no row with {cells:?} in\n{tables}");
    };
    row(&["TLS, 0 ms", "webhook", "1", "3.0 (3.0 to 3.0)", "0.50"]);
    row(&["HTTP, 0 ms", "200 B", "webhook", "100 (100 to 100)", "0.25"]);
    row(&["webhook", "1000", "2.5"]);
    row(&[
        "webhook, p50, 200 B, HTTP",
        "afternoon",
        "0.45",
        "0.250",
        "met",
    ]);
    let headings = tables.lines().filter(|line| line.starts_with('#'));
    let expected = [
        "### Starts",
        "### Messages",
        "### Instructions",
        "### Targets",
    ];
    assert_eq!(headings.collect::<Vec<_>>(), expected);
    assert_eq!(table::all(&subjects[..1], &Figures::default()), "");
}

#[test]
fn messages_are_signed_and_texts_have_the_given_length() {
    for size in [SMALL, MIDDLE, LARGE] {
        let event: Value = serde_json::from_slice(&events::event(Job::Start, 7, size)).unwrap();
        let body = event["body"].as_str().unwrap();
        let signature = event["headers"]["momento-signature"].as_str().unwrap();
        let secret = SigningSecret::new(events::SECRET.to_owned()).unwrap();
        assert!(
            verify(
                &[secret],
                body.as_bytes(),
                [signature.as_bytes()].into_iter()
            )
            .is_ok()
        );
        let body: Value = serde_json::from_str(body).unwrap();
        let text = body["text"].as_str().unwrap();
        assert_eq!(text.len(), size);
    }
    let event: Value = serde_json::from_slice(&events::event(Job::Publish, 7, MIDDLE)).unwrap();
    let event = event["Records"][0]["body"].as_str().unwrap();
    let event: Value = serde_json::from_str(event).unwrap();
    assert_eq!(event["detail"]["value"].as_str().unwrap().len(), MIDDLE);
}

#[test]
fn an_answer_with_a_failure_is_not_good() {
    let good = |job, answer: &str| events::is_good(job, answer.as_bytes());
    assert!(good(Job::Start, r#"{"statusCode":200,"body":""}"#));
    assert!(!good(Job::Start, r#"{"statusCode":500}"#));
    assert!(good(Job::Publish, r#"{"batchItemFailures":[]}"#));
    let failed = r#"{"batchItemFailures":[{"itemIdentifier":"message-1"}]}"#;
    assert!(!good(Job::Publish, failed));
    assert!(!good(Job::Publish, r#"{"errorType":"X"}"#));
    assert!(!good(Job::Start, "no JSON"));
}

/// The `--json` output of a run with one ratio.
fn run(found: f64) -> String {
    let target =
        json!({"what": "webhook, binary", "beside": "node", "at_most": 0.3, "found": found});
    json!({"machine": "any", "targets": [target]}).to_string()
}

#[test]
fn runs_agree_within_15_percent_of_the_smaller_ratio() {
    for (one, other, percent, agree) in [
        (0.2, 0.2, "0.0", true),
        (0.2, 0.228, "14.0", true),
        (0.228, 0.2, "14.0", true),
        (0.2, 0.232, "16.0", false),
        (0.232, 0.2, "16.0", false),
    ] {
        let (table, all_agree) = compare::runs(&run(one), &run(other)).unwrap();
        let row = table.lines().last().unwrap();
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let (one, other) = (format!("{one:.3}"), format!("{other:.3}"));
        let word = if agree { "agrees" } else { "differs" };
        let expected = [
            "",
            "webhook, binary",
            "node",
            &one,
            &other,
            percent,
            word,
            "",
        ];
        assert_eq!((cells.as_slice(), all_agree), (&expected[..], agree));
    }
}

#[test]
fn a_missing_ratio_is_a_difference() {
    let without = r#"{"targets": []}"#;
    for (one, other) in [
        (run(0.2), without.to_owned()),
        (without.to_owned(), run(0.2)),
    ] {
        let (table, all_agree) = compare::runs(&one, &other).unwrap();
        assert!(
            !all_agree && table.contains("0.200") && table.contains("differs"),
            "{table}"
        );
    }
    assert!(compare::runs(without, without).is_err());
    assert!(compare::runs("no JSON", &run(0.2)).is_err());
}

#[tokio::test]
async fn each_service_answers_only_its_own_calls() {
    tokio::task::LocalSet::new().run_until(calls()).await;
}

async fn calls() {
    let aws = Aws::start("the secret", None, Duration::ZERO)
        .await
        .unwrap();
    let client = reqwest::Client::new();
    let call = async |service, operation: &str| {
        let request = client.post(aws.endpoint(service)).body("{}");
        let request = request.header("x-amz-target", format!("Any.{operation}"));
        request.send().await.unwrap().status().as_u16()
    };
    for (own, operation) in [
        (Service::Secrets, "GetSecretValue"),
        (Service::StepFunctions, "StartExecution"),
        (Service::Queues, "SendMessage"),
        (Service::Events, "PutEvents"),
        (Service::Tables, "PutItem"),
    ] {
        for service in Service::ALL {
            let expected = if service == own { 200 } else { 400 };
            assert_eq!(call(service, operation).await, expected, "{operation}");
        }
    }
    assert_eq!(aws.started.get(), 1);
}

#[tokio::test]
async fn a_preopened_connection_is_not_counted() {
    tokio::task::LocalSet::new().run_until(ahead()).await;
}

async fn ahead() {
    // Longer than the client's timeout: the service time applies only to calls.
    let aws = Aws::start("the secret", None, Duration::from_secs(3_600));
    let aws = aws.await.unwrap();
    let client = reqwest::Client::builder().timeout(Duration::from_secs(60));
    let client = client.build().unwrap();
    for service in Service::ALL {
        let answer = client.get(aws.endpoint(service)).send().await.unwrap();
        assert_eq!(answer.status(), 404);
    }
    assert_eq!(aws.started.get(), 0);
}
