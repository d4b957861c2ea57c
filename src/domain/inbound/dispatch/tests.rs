use std::time::Duration;

use serde_json::json;

use super::*;
use crate::domain::inbound::message::tests::message;
use crate::domain::inbound::routes::tests::{MACHINE, routes};
use crate::telemetry::metrics::Measurements;
use crate::testing::{Behaviour, World};

mod faults;
mod keys;

fn soon() -> Deadlines {
    let budget = Duration::from_secs(4);
    let end = Instant::now() + budget;
    Deadlines::within(budget, end, end)
}

fn trace(message: &TopicMessage) -> Trace {
    Tracer::default().trace(message.id.as_str(), message.event_timestamp)
}

fn incoming<'a>(message: &'a TopicMessage, trace: &'a Trace) -> Incoming<'a> {
    Incoming {
        message,
        trace,
        body: "{}",
        now_ms: 17,
        progress: Box::leak(Box::default()),
    }
}

async fn outcomes(
    world: &World,
    list: &[serde_json::Value],
    fields: serde_json::Value,
) -> Vec<Outcome> {
    let message = message(fields);
    let (targets, queues) = (world.targets(), world.queues());
    let deliveries = deliver(
        incoming(&message, &trace(&message)),
        routes(list).matching(&message),
        &targets,
        &queues,
        soon(),
    )
    .await;
    deliveries
        .into_iter()
        .map(|delivery| delivery.outcome)
        .collect()
}

fn bus() -> serde_json::Value {
    json!({"to": {"eventBus": "orders"}})
}

#[tokio::test(start_paused = true)]
async fn a_message_starts_one_execution_however_often_it_comes() {
    let world = World::default();
    assert_eq!(
        outcomes(&world, &[json!({})], json!({})).await,
        [Outcome::Started]
    );
    assert_eq!(
        outcomes(&world, &[json!({})], json!({"publish_timestamp": 1})).await,
        [Outcome::Duplicate]
    );
    assert_eq!(world.executions(), 1);
    let calls = world.calls();
    assert!(
        calls[0].starts_with(&format!("start {MACHINE} r0-room-281-1-")),
        "{calls:?}"
    );
    assert_eq!(
        calls[0], calls[1],
        "a redelivery requests the very same execution"
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_resumes_its_task_once() {
    let world = World::default();
    let to = json!({"to": {"resume": {"token": "json.token", "output": "json.answer", "error": "json.error"}}});
    let send = async |text: &str| {
        let outcomes = outcomes(&world, std::slice::from_ref(&to), json!({ "text": text })).await;
        outcomes[0]
    };
    let yes = r#"{"token":"t1","answer":{"ok":true}}"#;
    assert_eq!(send(yes).await, Outcome::Resumed);
    // Step Functions has one error for a repeated and for a late answer; neither needs an operator.
    assert_eq!(send(yes).await, Outcome::Closed);
    let no = r#"{"token":"t2","error":{"error":"Denied","cause":"too dear"}}"#;
    assert_eq!(send(no).await, Outcome::Resumed);
    assert_eq!(
        world.calls(),
        [
            r#"succeed t1 {"ok":true}"#,
            r#"succeed t1 {"ok":true}"#,
            "fail t2 Denied too dear"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_refused_answer_is_a_dead_letter_and_a_failed_one_is_parked() {
    let to = json!({"to": {"resume": {"token": "json.token"}}});
    for (behaviour, text, outcome) in [
        (None, "no token", Outcome::DeadLettered),
        (
            Some(Fault::permanent("InvalidToken", "withheld")),
            r#"{"token":"t"}"#,
            Outcome::DeadLettered,
        ),
        (
            Some(Fault::transient("ThrottlingException", "slow down")),
            r#"{"token":"t"}"#,
            Outcome::Parked,
        ),
    ] {
        let world = World::default();
        if let Some(fault) = behaviour {
            world.make("succeed", Behaviour::Fails(fault));
        }
        let outcomes = outcomes(&world, std::slice::from_ref(&to), json!({ "text": text })).await;
        assert_eq!(outcomes, [outcome], "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn twenty_deliveries_at_once_start_one_execution() {
    let world = World::default();
    let (m, r, t) = (message(json!({})), routes(&[json!({})]), world.targets());
    let (q, trace) = (world.queues(), trace(&m));
    let all =
        join_all((0..20).map(|_| deliver(incoming(&m, &trace), r.matching(&m), &t, &q, soon())))
            .await
            .concat();
    let started = all.iter().filter(|d| d.outcome == Outcome::Started).count();
    assert_eq!((all.len(), started, world.executions()), (20, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_event_matches_rules_for_momentos_handler() {
    let world = World::default();
    assert_eq!(
        outcomes(&world, &[bus()], json!({"token_id": null})).await,
        [Outcome::EventPut]
    );
    let calls = world.calls();
    let detail = calls[0]
        .strip_prefix("put orders Momento chat#room-281 ")
        .unwrap();
    assert_eq!(
        detail,
        format!(
            r#"{{"id":"{}","cache":"chat","topic":"room-281","event_timestamp":1704296470564,"publish_timestamp":1704296470565,"topic_sequence_number":1,"token_id":"","text":"Here I am!!"}}"#,
            message(json!({})).id
        )
    );
}

#[tokio::test(start_paused = true)]
async fn a_detail_type_is_cut_to_128_characters() {
    let world = World::default();
    outcomes(
        &world,
        &[json!({"to": {"eventBus": "b"}, "from": {"cache": "*", "topic": "*"}})],
        json!({"topic": "ü".repeat(200)}),
    )
    .await;
    let calls = world.calls();
    assert_eq!(calls[0].split(' ').nth(3).unwrap().chars().count(), 128);
}

/// The letters of a queue, oldest first.
fn letters(world: &World, queue: &str) -> Vec<Letter> {
    let calls = world.calls().into_iter();
    let letters = calls.filter_map(|call| call.strip_prefix(queue).map(ToOwned::to_owned));
    letters
        .map(|json| serde_json::from_str(&json).unwrap())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn each_route_has_its_own_outcome_and_its_own_letter() {
    let world = World::default();
    world.make(
        "put",
        Behaviour::Fails(Fault::permanent("AccessDeniedException", "no")),
    );
    world.make(
        &format!("start {MACHINE} r2"),
        Behaviour::Fails(Fault::transient("ThrottlingException", "slow down")),
    );
    world.make(
        &format!("start {MACHINE} r3"),
        Behaviour::Fails(Fault::later("NoSecretValue", "none")),
    );
    assert_eq!(
        outcomes(&world, &[json!({}), bus(), json!({}), json!({})], json!({})).await,
        [
            Outcome::Started,
            Outcome::DeadLettered,
            Outcome::Parked,
            Outcome::Parked
        ]
    );
    let count = |prefix| {
        let calls = world.calls();
        calls.iter().filter(|c| c.starts_with(prefix)).count()
    };
    assert_eq!(count("put"), 1, "a permanent fault is not tried again");
    assert_eq!(
        count(&format!("start {MACHINE} r0")),
        1,
        "a route that worked is not repeated"
    );
    let [letter] = letters(&world, "dead_letter ").try_into().unwrap();
    assert_eq!(
        (
            letter.route.as_deref(),
            letter.reason,
            letter.detail.as_str(),
            letter.attempts
        ),
        (Some("r1"), Reason::Refused, "AccessDeniedException: no", 1)
    );
    let mut parked = letters(&world, "park ");
    parked.sort_by_key(|letter| letter.route.clone());
    assert_eq!(parked.len(), 2);
    assert_eq!(
        (parked[0].route.as_deref(), parked[0].reason),
        (Some("r2"), Reason::Unavailable)
    );
    assert!(parked[0].attempts > 1 && parked[0].first_at == 17);
    assert_eq!(parked[1].attempts, 1, "a retry at once cannot help");
}

#[tokio::test(start_paused = true)]
async fn a_log_names_each_route_with_its_outcome() {
    let world = World::default();
    let down = Fault::transient("Unreachable", "down");
    world.make("put", Behaviour::Fails(down));
    let (message, list) = (message(json!({})), routes(&[json!({}), bus()]));
    let trace = trace(&message);
    let (targets, queues) = (world.targets(), world.queues());
    let incoming = incoming(&message, &trace);
    let deliveries = deliver(incoming, list.matching(&message), &targets, &queues, soon()).await;
    assert_eq!(
        crate::domain::inbound::outcome::outcomes(&deliveries),
        "r0=started r1=parked"
    );
    assert_eq!(crate::domain::inbound::outcome::outcomes(&[]), "");
    let begun = incoming.progress.now().unwrap();
    assert_eq!(begun.id, message.id);
    assert_eq!(
        begun.outcomes,
        [
            ("r0".to_owned(), Outcome::Started),
            ("r1".to_owned(), Outcome::Parked)
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_delivery_is_counted_by_its_outcome() {
    use crate::testing::Measured;
    let measured = |outcome, fault: Option<Fault>, late| {
        let delivery = Delivery {
            route: "r".to_owned(),
            outcome,
            attempts: 1,
            took: Duration::from_millis(7),
            fault,
            queue_fault: None,
            late,
            execution: None,
            reply_refused: false,
        };
        let (written, mut counted) = (Measured::default(), Measurements::default());
        delivery.measure(&mut counted);
        written.metrics().write(counted);
        written.take()
    };
    let denied = Some(Fault::later("AccessDeniedException", "no"));
    let down = Some(Fault::transient("Unreachable", "down"));
    assert_eq!(
        measured(Outcome::Parked, denied, false),
        ["denied r 1", "parked r 1"]
    );
    assert_eq!(
        measured(Outcome::Parked, down.clone(), true),
        ["parked r 1", "stored_late r 1"]
    );
    assert_eq!(measured(Outcome::Parked, down, false), ["parked r 1"]);
    assert_eq!(
        measured(Outcome::Started, None, false),
        ["accepted_to_started r 7", "started r 1"]
    );
}
