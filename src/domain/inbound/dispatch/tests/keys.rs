//! Executions of business keys, started and stopped.

use super::*;

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
