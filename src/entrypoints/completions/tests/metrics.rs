//! Measurements of each event.

use super::*;
use crate::testing::Measured;

async fn measured(world: &World, record: Value, receives: u32) -> Vec<String> {
    let measured = Measured::default();
    let mut completion = completion(world);
    completion.complete.metrics = measured.metrics();
    failures_of(&completion, &[record], receives).await;
    measured.take()
}

#[tokio::test(start_paused = true)]
async fn a_result_counts_for_its_route() {
    let world = World::default();
    // Now it is 1000.
    let seen = measured(&world, status_change(json!({"stopDate": 900})), 1).await;
    assert_eq!(
        seen,
        [
            "end_to_published r 100",
            "published r 1",
            "start_to_end r 899"
        ]
    );
    let again = measured(&world, status_change(json!({"stopDate": 900})), 1).await;
    assert!(again.is_empty(), "{again:?}");
    let late = json!({"executionArn": "late", "startDate": -70_000, "stopDate": -60_000});
    let seen = measured(&world, status_change(late), 1).await;
    let expected = [
        "end_to_published r 61000",
        "published r 1",
        "published_late r 1",
        "start_to_end r 10000",
    ];
    assert_eq!(seen, expected);
    let large = json!({"executionArn": "large", "output": format!("\"{}\"", "x".repeat(5000)), "stopDate": null});
    let seen = measured(&world, status_change(large), 1).await;
    assert_eq!(seen, ["claimed r 1", "published r 1"]);
}

#[tokio::test(start_paused = true)]
async fn events_of_workflows_and_unrouted_ends_count_without_a_route() {
    let world = World::default();
    assert_eq!(
        measured(&world, topic_publish(json!("x")), 1).await,
        ["published 1"]
    );
    let unrouted = status_change(json!({"input": "{}"}));
    assert_eq!(measured(&world, unrouted, 1).await, ["ignored 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_counts_once_it_is_one() {
    let world = World::default();
    world.make(
        "publish",
        Behaviour::Fails(Fault::transient("Throttled", "")),
    );
    // It was sent at 500.
    let seen = measured(&world, topic_publish(json!("x")), 1).await;
    assert_eq!(seen, ["result_age 500"]);
    let seen = measured(&world, topic_publish(json!("x")), 3).await;
    assert_eq!(seen, ["dead_lettered gave_up 1"]);
    let seen = measured(&world, json!("no event"), 1).await;
    assert_eq!(seen, ["dead_lettered unreadable 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_address_counts() {
    let world = World::default();
    let nested = status_change(json!({"name": "0c2f6a35", "stopDate": null}));
    assert_eq!(
        measured(&world, nested, 1).await,
        ["address_refused 1", "dead_lettered address_refused 1"]
    );
    assert!(
        letter(&world)
            .detail
            .starts_with("expected an execution name")
    );
    // Its route has another address meanwhile.
    let measured = Measured::default();
    let mut completion = completion(&world);
    completion.complete.metrics = measured.metrics();
    completion.complete.routes = LiveRoutes::fixed(routes(&[
        json!({"name": "r", "reply": {"cache": "demo", "topics": ["new"]}}),
    ]));
    let event = status_change(json!({"stopDate": null}));
    failures_of(&completion, &[event], 1).await;
    assert_eq!(measured.take(), ["address_refused 1", "published r 1"]);
    assert_eq!(calls(&world).last().unwrap(), "publish demo/new HELLO");
}

#[test]
fn only_the_bridges_own_input_identifies_the_message() {
    let event = status_change(json!({}));
    let input = event["detail"]["input"].as_str().unwrap();
    let identified = |name: &str, input: &str| {
        let detail = status_change(json!({"name": name, "input": input}))["detail"].take();
        let execution: Execution = serde_json::from_value(detail).unwrap();
        let origin = execution.origin();
        let message = origin.message();
        message.map(|message| (message.id.to_string(), message.event_timestamp))
    };
    let (id, name) = (
        "9c1534bf10e3da4255f8c8b02987a327",
        "r-in-1-9c1534bf10e3da42",
    );
    assert_eq!(identified(name, input), Some((id.to_owned(), 1)));
    for (name, input) in [
        (name, input.replace(id, "9c1534bf10e3da42 and a secret")),
        (name, input.replace(id, &id[..16])),
        (name, input.replace("hello", "goodbye")),
        ("r-in-1-fedcba9876543210", input.to_owned()),
        ("by-hand", input.to_owned()),
    ] {
        assert_eq!(identified(name, &input), None, "{name} {input}");
    }
}
