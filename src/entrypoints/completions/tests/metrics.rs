//! What each event counts.

use super::*;
use crate::testing::Measured;

async fn measured(world: &World, record: Value, receives: u32) -> Vec<String> {
    let measured = Measured::default();
    let completion = Completion {
        metrics: measured.metrics(),
        ..completion(world)
    };
    failures_of(&completion, &[record], receives).await;
    measured.take()
}

#[tokio::test(start_paused = true)]
async fn a_result_counts_for_its_route() {
    let world = World::default();
    // Now it is 1000.
    let told = measured(&world, status_change(json!({"stopDate": 900})), 1).await;
    assert_eq!(
        told,
        [
            "end_to_published r 100",
            "published r 1",
            "start_to_end r 899"
        ]
    );
    let again = measured(&world, status_change(json!({"stopDate": 900})), 1).await;
    assert!(again.is_empty(), "{again:?}");
    let late = json!({"executionArn": "late", "startDate": -70_000, "stopDate": -60_000});
    let told = measured(&world, status_change(late), 1).await;
    let expected = [
        "end_to_published r 61000",
        "published r 1",
        "published_late r 1",
        "start_to_end r 10000",
    ];
    assert_eq!(told, expected);
    let large = json!({"executionArn": "large", "output": format!("\"{}\"", "x".repeat(5000)), "stopDate": null});
    let told = measured(&world, status_change(large), 1).await;
    assert_eq!(told, ["claimed r 1", "published r 1"]);
}

#[tokio::test(start_paused = true)]
async fn events_of_workflows_and_of_strangers_count_without_a_route() {
    let world = World::default();
    assert_eq!(
        measured(&world, topic_publish(json!("x")), 1).await,
        ["published 1"]
    );
    let stranger = status_change(json!({"input": "{}"}));
    assert_eq!(measured(&world, stranger, 1).await, ["ignored 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_counts_once_it_is_one() {
    let world = World::default();
    world.make(
        "publish",
        Behaviour::Fails(Fault::transient("Throttled", "")),
    );
    assert!(
        measured(&world, topic_publish(json!("x")), 1)
            .await
            .is_empty()
    );
    let told = measured(&world, topic_publish(json!("x")), 3).await;
    assert_eq!(told, ["dead_lettered gave_up 1"]);
    let told = measured(&world, json!("no event"), 1).await;
    assert_eq!(told, ["dead_lettered unreadable 1"]);
}

#[test]
fn only_the_bridges_own_input_tells_the_message() {
    let id = "0123456789abcdef0123456789abcdef";
    let told = |name: &str, id: Value| {
        let input = json!({"message": {"id": id, "cache": "c", "topic": "t", "topic_sequence_number": 1, "event_timestamp": 17}, "bridge": {"route": "r"}});
        let detail =
            status_change(json!({"name": name, "input": input.to_string()}))["detail"].take();
        serde_json::from_value::<Execution>(detail)
            .unwrap()
            .message()
    };
    let name = "r-t-1-0123456789abcdef";
    assert_eq!(told(name, id.into()), Some((id.to_owned(), 17)));
    for (name, found) in [
        (name, json!("0123456789abcdef and a secret")),
        (name, json!(&id[..16])),
        ("r-t-1-fedcba9876543210", json!(id)),
        ("by-hand", json!(id)),
    ] {
        assert_eq!(told(name, found.clone()), None, "{name} {found}");
    }
}
