//! A run of messages whose metrics match their outcomes.
//!
//! ```text
//! METRICS_MESSAGES=1000 cargo test --all-features --test it metrics -- --nocapture
//! ```
//!
//! `METRICS_MESSAGES` defaults to 1,000. Every tenth message has no route, every tenth a wrong signature, and so on. During a
//! twelfth of the run, StartExecution answers 503.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use aws_sdk_sfn::types::ExecutionStatus;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::net::UdpSocket;
use workflow_bridge::clock::now_ms;
use workflow_bridge::telemetry::metrics::Metric;
use workflow_bridge::tools::local::{Emulator, Port, Stack, workspace::Workspace};
use workflow_bridge::tools::template::add_routes;
use workflow_bridge::tools::terminal::Progress;

use crate::chaos::setting;
use crate::deployed::RUNTIME;
use crate::faulty::{Dependency, FaultyStack};
use crate::messages::{
    Publications, QUICK, body, deliver_end_events, depth, executions, invoke, post_signed, quicken,
    settle,
};
use crate::proxy::{Fault, Span};

mod format;

use format::Sums;

const AT_ONCE: usize = 8;
/// Larger than the limit of an execution's input.
const TOO_LARGE: usize = 262_144;

/// The answers of the webhook, counted.
#[derive(Debug, Default)]
struct Seen {
    answers: BTreeMap<String, i64>,
    /// By `outcome route`.
    outcomes: BTreeMap<String, i64>,
    ids: BTreeMap<String, BTreeSet<String>>,
}

impl Seen {
    fn answer(&mut self, (status, answer): (u16, Value)) {
        let code = answer["code"]
            .as_str()
            .unwrap_or_else(|| panic!("{status} {answer}"));
        *self.answers.entry(code.to_owned()).or_default() += 1;
        for target in answer["targets"].as_array().into_iter().flatten() {
            let word = |key: &str| target[key].as_str().unwrap().to_owned();
            let (outcome, route) = (word("outcome"), word("route"));
            let ids = self.ids.entry(outcome.clone()).or_default();
            ids.insert(answer["id"].as_str().unwrap().to_owned());
            *self
                .outcomes
                .entry(format!("{outcome} {route}"))
                .or_default() += 1;
        }
    }

    fn outcome(&self, outcome: &str) -> i64 {
        let with = |(key, _): &(&String, &i64)| key.starts_with(&format!("{outcome} "));
        self.outcomes.iter().filter(with).map(|(_, n)| n).sum()
    }
}

/// Sends the messages with these numbers. Returns bodies to repeat after their executions have ended: until then Step Functions
/// answers a repeat like the first request.
async fn send(stack: &Stack, numbers: std::ops::Range<u64>, seen: &mut Seen) -> Vec<String> {
    let http = reqwest::Client::new();
    let mut repeats = Vec::new();
    let posts = stream::iter(numbers).map(|number| {
        let http = &http;
        async move {
            let secret = stack.signing_secret();
            let text = format!("payload of {number}");
            let plain = body("uppercase-in", number, &text);
            let post = |body: String| async move { post_signed(http, stack, secret, &body).await };
            let repeat = (number % 10 == 3).then(|| plain.clone());
            let answer = match number % 10 {
                0 => post(body("nobody", number, &text)).await,
                1 => post_signed(http, stack, "wrong", &plain).await,
                2 => {
                    let mut stale: Value = serde_json::from_str(&plain).unwrap();
                    stale["publish_timestamp"] = json!(now_ms() - 61_000);
                    post(stale.to_string()).await
                }
                4 => post(body("uppercase-in", number, &"x".repeat(5000))).await,
                5 => post(body("uppercase-in", number, &"x".repeat(TOO_LARGE))).await,
                6 => post(body("bus-in", number, &text)).await,
                _ => post(plain).await,
            };
            (answer, repeat)
        }
    });
    let mut posts = std::pin::pin!(posts.buffer_unordered(AT_ONCE));
    while let Some((answer, repeat)) = posts.next().await {
        seen.answer(answer);
        repeats.extend(repeat);
    }
    repeats
}

/// An X-Ray daemon: its address and the segments received.
async fn daemon() -> (String, Arc<Mutex<Vec<Value>>>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let segments = Arc::<Mutex<Vec<Value>>>::default();
    let kept = segments.clone();
    tokio::spawn(async move {
        let mut datagram = vec![0; 65_536];
        while let Ok(n) = socket.recv(&mut datagram).await {
            let text = std::str::from_utf8(&datagram[..n]).unwrap();
            let (_, segment) = text.split_once('\n').unwrap();
            kept.lock()
                .unwrap()
                .push(serde_json::from_str(segment).unwrap());
        }
    });
    (address, segments)
}

#[test]
fn metrics_match_the_outcomes() {
    let messages = setting("METRICS_MESSAGES").unwrap_or(1000);
    RUNTIME.block_on(run(messages));
}

async fn run(messages: u64) {
    // An emulator of its own, so that its logs have no other lines.
    let workspace = Workspace::find().unwrap();
    let emulator = Emulator::start(&workspace, Port::Free, &Progress::silent()).await;
    let emulator = Arc::new(emulator.unwrap());
    let (address, segments) = daemon().await;
    let traced = [
        ("TRACE_SAMPLE_RATE", "1"),
        ("AWS_XRAY_DAEMON_ADDRESS", &address),
    ];
    let variables: Vec<_> = QUICK.into_iter().chain(traced).collect();
    let faulty = FaultyStack::start(emulator, &variables, |template| {
        quicken(template)?;
        template["Parameters"]["CompletionConcurrency"]["Default"] = json!(4);
        let from = json!({"cache": "demo", "topic": "bus-in"});
        let to = json!({"eventBus": "default"});
        add_routes(template, &[json!({"name": "bus", "from": from, "to": to})])
    });
    let faulty = faulty.await.unwrap();
    let stack = &faulty.stack;
    let publications = Publications::of(stack);
    invoke(stack, "SweepFunction").await;

    let mut seen = Seen::default();
    let third = messages / 3;
    let repeats = send(stack, 0..third, &mut seen).await;
    let step_functions = faulty.proxy(Dependency::StepFunctions);
    step_functions.fault_of("StartExecution", Fault::Status(503), Span::Until);
    send(stack, third..third + third / 4, &mut seen).await;
    faulty.heal().unwrap();
    send(stack, third + third / 4..messages - 20, &mut seen).await;
    settle(stack, &["UppercaseWorkflow"]).await;
    let http = reqwest::Client::new();
    for body in repeats {
        seen.answer(post_signed(&http, stack, stack.signing_secret(), &body).await);
    }
    deliver_end_events(stack, false).await;
    send(stack, messages - 20..messages, &mut seen).await;
    settle(stack, &["UppercaseWorkflow"]).await;
    // The rule stays disabled: Step Functions sends an event after an execution has ended, so the last one can be late.
    let before_sweep = publications.on("uppercase-out").len();
    invoke(stack, "SweepFunction").await;
    settle(stack, &["UppercaseWorkflow"]).await;

    let executions = executions(stack, "UppercaseWorkflow").await;
    let started = i64::try_from(executions.len()).unwrap();
    assert!(
        executions
            .iter()
            .all(|one| one.status == ExecutionStatus::Succeeded)
    );
    let results = publications.wait("uppercase-out", executions.len()).await;
    let published = i64::try_from(results.len()).unwrap();
    let swept = published - i64::try_from(before_sweep).unwrap();
    let claims = results
        .iter()
        .filter(|text| text.starts_with(r#"{"claim":"#))
        .count();
    let letters = i64::try_from(depth(stack, "DeadLetterQueue").await).unwrap();

    let logs = stack.logs().await.unwrap();
    let sums = Sums::of(&logs);
    eprintln!("{sums}");
    // Every part of the test happened.
    let answer = |code: &str| seen.answers.get(code).copied().unwrap_or_default();
    let happened = [
        answer("accepted"),
        answer("unrouted"),
        answer("bad_signature"),
        answer("stale"),
        seen.outcome("parked"),
        seen.outcome("duplicate"),
        seen.outcome("dead_lettered"),
        swept,
        i64::try_from(claims).unwrap(),
    ];
    assert!(happened.iter().all(|n| *n > 0), "{happened:?} {seen:?}");

    let all: i64 = seen.answers.values().sum();
    let total = |metric| sums.total(metric);
    assert_eq!(total(Metric::Received), all);
    assert_eq!(total(Metric::Accepted), answer("accepted"));
    assert_eq!(total(Metric::Unrouted), answer("unrouted"));
    let refused = answer("bad_signature") + answer("stale");
    assert_eq!(all, answer("accepted") + answer("unrouted") + refused);
    assert_eq!(total(Metric::Refused), refused);
    for code in ["bad_signature", "stale"] {
        assert_eq!(
            sums.by(Metric::Refused, "outcome", code),
            answer(code),
            "{code}"
        );
    }
    assert_eq!(total(Metric::EventPut), seen.outcome("event_put"));
    assert_eq!(total(Metric::Parked), seen.outcome("parked"));
    // All of them reached their target in the end, where they are counted as well.
    assert_eq!(total(Metric::Redriven), seen.outcome("parked"));
    assert_eq!(total(Metric::Started), started);
    assert_eq!(total(Metric::Duplicate), seen.outcome("duplicate"));
    let targets = started + seen.outcome("duplicate");
    assert_eq!(total(Metric::DeadLettered), letters);
    assert_eq!(letters, answer("unrouted") + seen.outcome("dead_lettered"));
    assert_eq!(
        sums.by(Metric::DeadLettered, "outcome", "input_too_large"),
        seen.outcome("dead_lettered")
    );
    assert_eq!(
        sums.by(Metric::DeadLettered, "route", "uppercase"),
        seen.outcome("dead_lettered")
    );
    assert_eq!(total(Metric::Published), published);
    assert_eq!(total(Metric::Claimed), i64::try_from(claims).unwrap());
    assert_eq!(total(Metric::SweepFound), swept);
    assert_eq!(sums.by(Metric::SweepFound, "route", "uppercase"), swept);
    for (metric, samples) in [
        (
            Metric::PublishToAccepted,
            answer("accepted") + answer("unrouted"),
        ),
        (Metric::StartToEnd, published),
        (Metric::EndToPublished, published),
        (
            Metric::AcceptedToStarted,
            targets + seen.outcome("event_put"),
        ),
    ] {
        assert_eq!(
            sums.samples(metric),
            usize::try_from(samples).unwrap(),
            "{metric:?}"
        );
    }
    for metric in [
        Metric::Closed,
        Metric::Resumed,
        Metric::Gap,
        Metric::Ignored,
    ] {
        assert_eq!(total(metric), 0, "{metric:?}");
    }

    for hidden in [
        "payload of",
        "PAYLOAD OF",
        stack.signing_secret(),
        "xxxxxxxx",
    ] {
        assert!(!logs.contains(hidden), "`{hidden}` in the logs");
    }
    correlated(&logs, &seen, swept);
    one_trace_each(&segments.lock().unwrap(), &seen);
}

/// Every part logs each message that passes through it.
fn correlated(logs: &str, seen: &Seen, swept: i64) {
    let mut parts: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let lines: Vec<Value> = logs
        .lines()
        .filter_map(|line| serde_json::from_str(line.split_once(": ")?.1).ok())
        .collect();
    for line in lines.iter().filter(|line| line["message"].is_string()) {
        let service = line["service"].as_str().unwrap_or_else(|| panic!("{line}"));
        assert!(line["function_request_id"].is_string(), "{line}");
        assert!(line["cold_start"].is_boolean(), "{line}");
        if let Some(id) = line["correlation_id"].as_str() {
            parts
                .entry(service)
                .or_default()
                .insert(id[..16].to_owned());
        }
    }
    let has = |part: &str, outcome: &str| {
        for id in &seen.ids[outcome] {
            assert!(parts[part].contains(&id[..16]), "{part} {outcome} {id}");
        }
    };
    for outcome in ["started", "parked", "dead_lettered", "event_put"] {
        has("webhook", outcome);
    }
    has("redrive", "parked");
    has("completion", "started");
    has("completion", "parked");
    assert_eq!(parts["sweep"].len(), usize::try_from(swept).unwrap());
    assert!(parts["sweep"].is_subset(&parts["completion"]));
}

/// The segments of a message share the trace in its ID; the webhook's segment is the parent of the others.
fn one_trace_each(segments: &[Value], seen: &Seen) {
    let mut names: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for segment in segments {
        let text = |key: &str| segment[key].as_str().unwrap_or_else(|| panic!("{segment}"));
        let id = segment["annotations"]["message_id"].as_str().unwrap();
        assert_eq!(text("trace_id").split('-').next_back(), Some(&id[..24]));
        match text("name") {
            "webhook" => assert_eq!((text("id"), segment.get("parent_id")), (&id[16..], None)),
            _ => assert_eq!(text("parent_id"), &id[16..]),
        }
        names.entry(id).or_default().insert(text("name"));
    }
    for (outcome, parts) in [
        ("started", &["webhook", "completion"][..]),
        ("parked", &["webhook", "redrive", "completion"]),
        ("dead_lettered", &["webhook"]),
    ] {
        for id in &seen.ids[outcome] {
            let found = names.get(id.as_str());
            assert!(
                found.is_some_and(|found| parts.iter().all(|part| found.contains(part))),
                "{outcome} {id} {found:?}"
            );
        }
    }
}
