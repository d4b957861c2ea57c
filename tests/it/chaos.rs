//! Many messages amid random faults: each accepted message is executed once, and its result is published.
//!
//! ```text
//! cargo test --all-features --test it chaos -- --nocapture
//! CHAOS_MESSAGES=10000 CHAOS_SEED=42 cargo test --all-features --test it chaos -- --nocapture
//! ```
//!
//! The second command takes 12 to 25 minutes on two cores. `CHAOS_MESSAGES` defaults to 300, `CHAOS_SEED` to a random number.
//! A seed repeats the faults and their durations ([`weather`]); the calls they meet depend on the machine. The run prints the
//! seed, also in front of a failure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_sdk_sfn::types::ExecutionStatus;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::sync::watch;
use workflow_bridge::domain::inbound::execution_name::sequence_in_name;
use workflow_bridge::domain::inbound::letter::Reason;
use workflow_bridge::tools::local::workspace::Workspace;
use workflow_bridge::tools::local::{Emulator, Port, Stack};
use workflow_bridge::tools::template::{add_resource, add_routes};
use workflow_bridge::tools::terminal::Progress;

use crate::deployed::RUNTIME;
use crate::faulty::FaultyStack;
use crate::messages::{
    Publications, QUICK, body, deliver_end_events, drain, enqueue, executions, invoke, post_signed,
    quicken, settle,
};

mod keyed;
mod report;
mod weather;

use report::Report;

/// Concurrent requests to the webhook.
const AT_ONCE: usize = 16;
/// The shortest time for all messages; a shorter run would meet few faults.
const SENT_WITHIN: Duration = Duration::from_secs(30);
/// The shortest time between two messages.
const SENT_EVERY: Duration = Duration::from_millis(25);
const PROGRESS_EVERY: Duration = Duration::from_secs(10);
/// One in so many messages is first sent with a forged signature.
const FORGED_EVERY: u64 = 10;

/// The webhook's answers.
#[derive(Clone, Debug, Default)]
struct Sent {
    taken: BTreeSet<u64>,
    /// By status; 0 without an answer.
    refused: BTreeMap<u16, usize>,
    /// Forged requests, and the accepted ones among them.
    forged: (usize, usize),
    /// Keys of accepted messages.
    keys: BTreeSet<u64>,
    /// Outcomes of the targets of accepted messages.
    outcomes: BTreeMap<String, usize>,
    slowest: Duration,
}

impl Sent {
    fn count(&mut self, number: u64, status: u16, answer: &Value, took: Duration) {
        self.slowest = self.slowest.max(took);
        if !(200..300).contains(&status) {
            *self.refused.entry(status).or_default() += 1;
            return;
        }
        self.taken.insert(number);
        self.count_outcomes(answer);
    }

    fn count_keyed(&mut self, key: u64, status: u16, answer: &Value) {
        if (200..300).contains(&status) {
            self.keys.insert(key);
            self.count_outcomes(answer);
        }
    }

    fn count_outcomes(&mut self, answer: &Value) {
        for target in answer["targets"].as_array().into_iter().flatten() {
            let outcome = target["outcome"].as_str().unwrap_or("none").to_owned();
            *self.outcomes.entry(outcome).or_default() += 1;
        }
    }

    fn all(&self) -> usize {
        self.taken.len() + self.refused.values().sum::<usize>()
    }
}

fn text(number: u64) -> String {
    format!("message {number}")
}

fn result(number: u64) -> String {
    text(number).to_uppercase()
}

/// A number from the environment.
pub fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("expected a number in `{name}`, found `{text}`")))
}

#[test]
fn accepted_messages_are_executed_once_and_published() {
    let messages = setting("CHAOS_MESSAGES").unwrap_or(300);
    let seed = setting("CHAOS_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000));
    eprintln!("chaos: seed {seed}, {messages} messages");
    let report = RUNTIME.block_on(run(messages, seed));
    eprintln!("{report}");
    assert!(
        report.problems.is_empty(),
        "seed {seed}; repeat with `CHAOS_MESSAGES={messages} CHAOS_SEED={seed} cargo test --all-features --test it chaos -- --nocapture`:\n{}",
        report.problems.join("\n")
    );
}

async fn run(messages: u64, seed: u64) -> Report {
    let began = Instant::now();
    // An emulator of its own, so that other tests put no load on it.
    let workspace = Workspace::find().unwrap();
    let emulator = Emulator::start(&workspace, Port::Free, &Progress::silent())
        .await
        .unwrap();
    let faulty = FaultyStack::start(Arc::new(emulator), &QUICK, |template| {
        quicken(template)?;
        template["Parameters"]["CompletionConcurrency"]["Default"] = json!(4);
        // The same messages go to a bus; a queue collects its events.
        add_resource(template, "EventsQueue", json!({"Type": "AWS::SQS::Queue"}))?;
        let rule = json!({
            "EventPattern": {"source": ["Momento"]},
            "Targets": [{"Id": "events", "Arn": {"Fn::GetAtt": ["EventsQueue", "Arn"]}}],
        });
        let rule = json!({"Type": "AWS::Events::Rule", "Properties": rule});
        add_resource(template, "EventsRule", rule)?;
        let from = json!({"cache": "demo", "topic": "uppercase-in"});
        add_routes(
            template,
            &[
                json!({"name": "audit", "from": from, "to": {"eventBus": "default"}}),
                keyed::route(),
            ],
        )
    })
    .await
    .unwrap();
    let stack = &faulty.stack;
    let publications = Publications::of(stack);
    // The first sweep sets the time from which it looks for ends.
    invoke(stack, "SweepFunction").await;

    let (end, ended) = watch::channel(());
    let secret = Mutex::new(stack.signing_secret().to_owned());
    let sending = async {
        let sent = send(stack, messages, &secret, &publications).await;
        drop(end);
        sent
    };
    let (sent, weather) = tokio::join!(sending, weather::blow(&faulty, seed, &secret, ended));
    faulty.heal().unwrap();
    deliver_end_events(stack, true).await;
    eprintln!(
        "chaos: all is healed, {} of {messages} taken",
        sent.taken.len()
    );

    settle(stack, &["UppercaseWorkflow"]).await;
    replay_unparked(stack).await;
    settle(stack, &["UppercaseWorkflow"]).await;
    let results =
        || distinct(&publications.on("uppercase-out")) + distinct(&publications.on(keyed::RESULTS));
    let before_sweep = results();
    // In a long run the sweep's schedule fires too: a pass cut off by a fault resumes first and sees nothing newer.
    // On a busy machine a pass over thousands of executions takes several invocations.
    for round in 0..SWEEPS {
        if round >= 2 && results() >= sent.taken.len() + sent.keys.len() {
            break;
        }
        invoke(stack, "SweepFunction").await;
        settle(stack, &["UppercaseWorkflow"]).await;
    }
    let published = publications.on("uppercase-out");
    let keyed = publications.on(keyed::RESULTS);
    let mut report = Report {
        seed,
        messages,
        swept: results() - before_sweep,
        weather,
        lost_answers: report::lost_answers(&faulty),
        logs: report::Logs::read(&stack.logs().await.unwrap()),
        ..Report::default()
    };
    check(&mut report, stack, &sent, &published, &keyed).await;
    let elsewhere = publications.count() - published.len() - keyed.len();
    if elsewhere > 0 {
        let problem = format!("{elsewhere} results were published elsewhere");
        report.problems.push(problem);
    }
    report.sent = sent;
    report.duration = began.elapsed();
    report
}

/// Puts letters back that the dead-letter queue holds in place of a failed parking queue, as `bridge replay` does.
async fn replay_unparked(stack: &Stack) {
    for letter in drain(stack, "DeadLetterQueue").await {
        let parked = [
            Reason::Unavailable,
            Reason::Undecided,
            Reason::RoutesUnavailable,
        ];
        let is_parked = parked
            .iter()
            .any(|reason| letter["reason"] == reason.name());
        let queue = if is_parked {
            "ParkedQueue"
        } else {
            "DeadLetterQueue"
        };
        enqueue(stack, queue, &letter).await;
    }
}

fn distinct(texts: &[String]) -> usize {
    texts.iter().collect::<BTreeSet<_>>().len()
}

/// Invocations of the sweep at the end, at most.
const SWEEPS: usize = 10;

async fn send(
    stack: &Stack,
    messages: u64,
    secret: &Mutex<String>,
    publications: &Publications,
) -> Sent {
    let http = reqwest::Client::new();
    let every = (SENT_WITHIN / u32::try_from(messages).unwrap()).max(SENT_EVERY);
    let mut pace = tokio::time::interval(every);
    let numbers = async_stream::stream! {
        for number in 1..=messages {
            pace.tick().await;
            yield number;
        }
    };
    let posts = numbers.map(|number| {
        let http = &http;
        async move {
            let body = body("uppercase-in", number, &text(number));
            let forged = if number.is_multiple_of(FORGED_EVERY) {
                Some(post_signed(http, stack, "forged", &body).await.0)
            } else {
                None
            };
            let began = Instant::now();
            let signed_with = secret.lock().unwrap().clone();
            let (status, answer) = post_signed(http, stack, &signed_with, &body).await;
            let took = began.elapsed();
            let keyed = match keyed::after(number) {
                Some((key, body)) => {
                    let signed_with = secret.lock().unwrap().clone();
                    let (status, answer) = post_signed(http, stack, &signed_with, &body).await;
                    Some((key, status, answer))
                }
                None => None,
            };
            (number, status, answer, took, forged, keyed)
        }
    });
    let mut posts = std::pin::pin!(posts.buffer_unordered(AT_ONCE));
    let (mut sent, mut printed) = (Sent::default(), Instant::now());
    while let Some((number, status, answer, took, forged, keyed)) = posts.next().await {
        if let Some(status) = forged {
            sent.forged.0 += 1;
            sent.forged.1 += usize::from((200..300).contains(&status));
        }
        sent.count(number, status, &answer, took);
        if let Some((key, status, answer)) = keyed {
            sent.count_keyed(key, status, &answer);
        }
        if printed.elapsed() > PROGRESS_EVERY {
            printed = Instant::now();
            eprintln!(
                "chaos: {} of {messages} sent, {} taken, {} published",
                sent.all(),
                sent.taken.len(),
                publications.count()
            );
        }
    }
    sent
}

/// Compares the results with the guarantees.
async fn check(
    report: &mut Report,
    stack: &Stack,
    sent: &Sent,
    published: &[String],
    keyed: &[String],
) {
    let mut executions = executions(stack, "UppercaseWorkflow").await;
    let with_key = keyed::split(&mut executions);
    let (times, mut problems) = keyed::check(&sent.keys, &with_key, keyed);
    for (name, times) in &times {
        report.count_duplicates(name, *times);
    }
    report.keyed = (sent.keys.len(), with_key.len(), keyed.len());
    let mut names: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for execution in executions {
        let Some(number) = sequence_in_name(&execution.name, "uppercase") else {
            problems.push(format!(
                "an execution of an unknown message: {}",
                execution.name
            ));
            continue;
        };
        if execution.status != ExecutionStatus::Succeeded {
            problems.push(format!("{} is {}", execution.name, execution.status));
        }
        names.entry(number).or_default().push(execution.name);
    }
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for text in published {
        *times.entry(text).or_default() += 1;
    }
    for (number, names) in &names {
        let times = times.get(result(*number).as_str()).copied().unwrap_or(0);
        if names.len() > 1 {
            problems.push(format!("more than one execution: {}", names.join(", ")));
        }
        if times == 0 {
            problems.push(format!("no result was published: {}", names.join(", ")));
        } else {
            report.count_duplicates(&names[0], times);
        }
    }
    let events = drain(stack, "EventsQueue").await;
    let on_bus: BTreeSet<u64> = events
        .iter()
        .filter_map(|event| event["detail"]["topic_sequence_number"].as_u64())
        .collect();
    for number in &sent.taken {
        if !names.contains_key(number) {
            problems.push(format!("message {number} was taken and never executed"));
        }
        if !on_bus.contains(number) {
            problems.push(format!("message {number} was taken and is not on the bus"));
        }
    }
    if sent.forged.1 > 0 {
        problems.push(format!("{} forged requests were taken", sent.forged.1));
    }
    for queue in ["DeadLetterQueue", "CompletionsDeadLetterQueue"] {
        for letter in drain(stack, queue).await {
            let why = (&letter["reason"], &letter["detail"]);
            problems.push(format!("a dead letter in {queue}: {} {}", why.0, why.1));
        }
    }
    if report.duplicates() > report.may_be_duplicates() {
        problems.push(format!(
            "{} duplicates, of which faults and kills explain {} at most",
            report.duplicates(),
            report.may_be_duplicates()
        ));
    }
    report.executions = names.len();
    report.published = published.len();
    report.events = (events.len(), on_bus.len());
    report.problems = problems;
}
