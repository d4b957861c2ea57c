use std::time::Duration;

use serde_json::json;

use super::*;
use crate::domain::inbound::message::tests::message;
use crate::domain::inbound::routes::tests::{MACHINE, routes};
use crate::telemetry::metrics::Measurements;
use crate::testing::{Behaviour, World};

fn soon() -> Deadlines {
    let budget = Duration::from_secs(4);
    let end = Instant::now() + budget;
    Deadlines::within(budget, end, end)
}

fn trace(message: &TopicMessage) -> Trace {
    Tracer::default().trace(message.id.as_str(), message.event_timestamp)
}

fn delivered<'a>(message: &'a TopicMessage, trace: &'a Trace) -> Delivered<'a> {
    Delivered {
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
        delivered(&message, &trace(&message)),
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
        join_all((0..20).map(|_| deliver(delivered(&m, &trace), r.matching(&m), &t, &q, soon())))
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
async fn a_transient_fault_is_tried_again() {
    let world = World::default();
    for prefix in ["put", "start"] {
        world.make(
            prefix,
            Behaviour::FailsOnce(Fault::transient("ThrottlingException", "slow down")),
        );
    }
    assert_eq!(
        outcomes(&world, &[json!({}), bus()], json!({})).await,
        [Outcome::Started, Outcome::EventPut]
    );
    assert_eq!(world.calls().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_hangs_leaves_time_for_parking() {
    let world = World::default();
    world.make("start", Behaviour::Hangs);
    let began = Instant::now();
    assert_eq!(
        outcomes(&world, &[json!({}), bus()], json!({})).await,
        [Outcome::Parked, Outcome::EventPut]
    );
    assert_eq!(began.elapsed(), Duration::from_millis(2500));
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_hangs_once_gets_a_second_attempt() {
    let world = World::default();
    world.make("start", Behaviour::Hangs);
    world.make("park", Behaviour::HangsOnce);
    assert_eq!(
        outcomes(&world, &[json!({})], json!({})).await,
        [Outcome::Parked]
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_queue_the_answer_is_honest_and_in_time() {
    for (target, queue) in [
        (Fault::transient("InternalFailure", "x"), "park"),
        (
            Fault::permanent("StateMachineDoesNotExist", "x"),
            "dead_letter",
        ),
    ] {
        let world = World::default();
        world.make("start", Behaviour::Fails(target));
        world.make("park", Behaviour::Hangs);
        world.make("dead_letter", Behaviour::Hangs);
        let began = Instant::now();
        assert_eq!(
            outcomes(&world, &[json!({})], json!({})).await,
            [Outcome::NotStored]
        );
        assert!(began.elapsed() <= Duration::from_secs(4));
        let calls = world.calls();
        assert!(
            calls.iter().any(|call| call.starts_with(queue)),
            "{calls:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_input_over_256_kib_is_a_dead_letter_at_once() {
    let world = World::default();
    let list = [
        json!({}),
        json!({"to": {"stateMachine": MACHINE, "input": "payload"}}),
    ];
    let fields = json!({"text": "x".repeat(262_144)});
    assert_eq!(
        outcomes(&world, &list, fields).await,
        [Outcome::DeadLettered; 2]
    );
    for letter in letters(&world, "dead_letter ") {
        assert_eq!((letter.reason, letter.attempts), (Reason::InputTooLarge, 0));
        assert!(letter.detail.contains("at most 262144 bytes"));
    }
    assert_eq!(world.calls().len(), 2, "nothing was started");
}

#[tokio::test(start_paused = true)]
async fn a_letter_refused_by_one_queue_goes_to_the_other() {
    for refusal in [
        Fault::later("AccessDeniedException", "no"),
        Fault::permanent("AWS.SimpleQueueService.NonExistentQueue", "gone"),
        Fault::later("KmsDisabled", "off"),
    ] {
        for (target, refuses, takes, outcome) in [
            (
                Fault::transient("InternalFailure", "x"),
                "park",
                "dead_letter",
                Outcome::DeadLettered,
            ),
            (
                Fault::permanent("InvalidArn", "x"),
                "dead_letter",
                "park",
                Outcome::Parked,
            ),
        ] {
            let world = World::default();
            world.make("start", Behaviour::Fails(target));
            world.make(refuses, Behaviour::Fails(refusal.clone()));
            let began = Instant::now();
            assert_eq!(outcomes(&world, &[json!({})], json!({})).await, [outcome]);
            assert!(began.elapsed() <= Duration::from_secs(4));
            let [letter] = letters(&world, &format!("{takes} ")).try_into().unwrap();
            let why = format!("did not take it: {refusal}");
            assert!(letter.detail.contains(&why), "{}", letter.detail);
            assert_eq!(letter.route.as_deref(), Some("r0"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn storing_is_retried_with_pauses_while_both_queues_refuse() {
    let world = World::default();
    for call in ["start", "park", "dead_letter"] {
        world.make(
            call,
            Behaviour::Fails(Fault::later("AccessDeniedException", "no")),
        );
    }
    let (message, began) = (message(json!({})), Instant::now());
    let trace = trace(&message);
    let deadlines = Deadlines {
        store: began + Duration::from_secs(9),
        ..soon()
    };
    let (targets, queues) = (world.targets(), world.queues());
    let list = routes(&[json!({})]);
    let [delivery] = deliver(
        delivered(&message, &trace),
        list.matching(&message),
        &targets,
        &queues,
        deadlines,
    )
    .await
    .try_into()
    .unwrap();
    assert_eq!(delivery.outcome, Outcome::NotStored);
    assert_eq!(delivery.queue_fault.unwrap().code, "AccessDeniedException");
    assert!(began.elapsed() > Duration::from_secs(7) && began.elapsed() <= Duration::from_secs(9));
    let calls = world.calls().len();
    assert!((10..40).contains(&calls), "{calls}");
}

#[test]
fn deadlines_leave_time_for_later_steps() {
    let now = Instant::now();
    let ms = |ms| now + Duration::from_millis(ms);
    let usual = Deadlines::within(Duration::from_secs(4), ms(4000), ms(9500));
    assert_eq!(
        (usual.target, usual.answer, usual.store),
        (ms(2500), ms(4000), ms(9500))
    );
    assert_eq!((usual.secrets(), usual.reread()), (ms(7500), ms(3250)));
    // A message verified in time keeps the target's end; one verified late has a second, except for the queues' last one.
    assert_eq!(usual.once_verified(ms(100)).target, ms(2500));
    assert_eq!(usual.once_verified(ms(2000)).target, ms(3000));
    assert_eq!(usual.once_verified(ms(7000)).target, ms(8000));
    assert_eq!(usual.once_verified(ms(8000)).target, ms(8500));
    let bounded = Deadlines::within(Duration::from_secs(4), ms(4000), ms(0));
    assert_eq!(bounded.store, ms(4000));
    assert_eq!((bounded.secrets(), bounded.reread()), (ms(3250), ms(3250)));
    assert_eq!(bounded.once_verified(ms(3200)).target, ms(3000));
}

#[tokio::test(start_paused = true)]
async fn a_log_names_each_route_with_its_outcome() {
    let world = World::default();
    let down = Fault::transient("Unreachable", "down");
    world.make("put", Behaviour::Fails(down));
    let (message, list) = (message(json!({})), routes(&[json!({}), bus()]));
    let trace = trace(&message);
    let (targets, queues) = (world.targets(), world.queues());
    let delivered = delivered(&message, &trace);
    let deliveries = deliver(
        delivered,
        list.matching(&message),
        &targets,
        &queues,
        soon(),
    )
    .await;
    assert_eq!(
        crate::domain::inbound::outcome::outcomes(&deliveries),
        "r0=started r1=parked"
    );
    assert_eq!(crate::domain::inbound::outcome::outcomes(&[]), "");
    let begun = delivered.progress.now().unwrap();
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

fn orders() -> [serde_json::Value; 2] {
    [
        json!({"name": "orders", "to": {"stateMachine": MACHINE, "key": "json.id"}}),
        json!({"name": "cancel", "from": {"cache": "chat", "topic": "cancel"}, "to": {"stop": {"route": "orders", "key": "json.id", "error": "json.reason", "cause": "json.note"}}}),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_key_has_one_execution_whatever_the_messages() {
    let world = World::default();
    let send = async |number: u64, text: serde_json::Value| {
        let fields = json!({"topic_sequence_number": number, "text": text.to_string()});
        outcomes(&world, &orders(), fields).await[0]
    };
    assert_eq!(send(1, json!({"id": 4711})).await, Outcome::Started);
    assert_eq!(
        send(2, json!({"id": "4711", "more": true})).await,
        Outcome::Duplicate
    );
    assert_eq!(send(3, json!({"id": 4712})).await, Outcome::Started);
    let calls = world.calls();
    assert!(
        calls[0].starts_with(&format!("start {MACHINE} orders-4711-ab4edd012d39858d ")),
        "{calls:?}"
    );
    assert!(
        calls[0].contains(r#""route":"orders","key":"4711","reply":null"#),
        "{calls:?}"
    );
    assert_eq!(send(4, json!({"key": 1})).await, Outcome::DeadLettered);
    assert_eq!(letters(&world, "dead_letter")[0].reason, Reason::NoKey);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_messages_over_a_hundred_keys_start_a_hundred_executions() {
    let world = World::default();
    let list = orders();
    let (world_ref, list) = (&world, &list);
    let sends = (0..1000_u64).map(async |number| {
        let text = json!({"id": number % 100}).to_string();
        // Each one twice, as after a lost answer.
        for _ in 0..2 {
            let fields = json!({"topic_sequence_number": number, "text": text});
            outcomes(world_ref, list, fields).await;
        }
    });
    join_all(sends).await;
    assert_eq!(world.executions(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_message_stops_the_execution_of_its_key_once() {
    let world = World::default();
    let send = async |topic: &str, text: serde_json::Value| {
        let fields = json!({"topic": topic, "text": text.to_string()});
        outcomes(&world, &orders(), fields).await[0]
    };
    let stop = json!({"id": "4711", "reason": "Cancelled", "note": {"by": "customer"}});
    assert_eq!(
        send("cancel", stop.clone()).await,
        Outcome::Closed,
        "before its start"
    );
    send("room-281", json!({"id": "4711"})).await;
    assert_eq!(send("cancel", stop.clone()).await, Outcome::Stopped);
    assert_eq!(send("cancel", stop).await, Outcome::Closed);
    let execution = MACHINE.replace(":stateMachine:", ":execution:");
    let expected =
        format!(r#"stop {execution}:orders-4711-ab4edd012d39858d Cancelled {{"by":"customer"}}"#);
    assert_eq!(world.calls()[2], expected);
    assert_eq!(
        send("cancel", json!({"reason": "x"})).await,
        Outcome::DeadLettered
    );
    assert_eq!(letters(&world, "dead_letter")[0].reason, Reason::NoKey);
    world.make(
        "stop",
        Behaviour::Fails(Fault::transient("ThrottlingException", "slow down")),
    );
    assert_eq!(send("cancel", json!({"id": 1})).await, Outcome::Parked);
    world.heal();
    world.make(
        "stop",
        Behaviour::Fails(Fault::later("AccessDeniedException", "no")),
    );
    assert_eq!(send("cancel", json!({"id": 1})).await, Outcome::Parked);
}

#[tokio::test(start_paused = true)]
async fn errors_and_causes_are_cut_to_the_limits_of_stop_execution() {
    let world = World::default();
    let long = "\u{e4}".repeat(40_000);
    let text = json!({"id": 1, "reason": long, "note": long}).to_string();
    outcomes(&world, &orders(), json!({"topic": "cancel", "text": text})).await;
    let calls = world.calls();
    let lengths: Vec<_> = calls[0]
        .split(' ')
        .skip(2)
        .map(|text| text.chars().count())
        .collect();
    assert_eq!(lengths, [256, 32_768]);
}
