//! Announcements of started executions.

use super::*;
use crate::domain::inbound::envelope::ExecutionInput;
use crate::domain::inbound::message::tests::message;
use crate::domain::inbound::request::{Request, request};
use crate::testing::Measured;

fn orders() -> Value {
    json!({"name": "orders", "to": {"stateMachine": MACHINE, "key": "json.id"}, "reply": {"topics": ["out"], "started": ["order-status"]}})
}

fn routed(world: &World, route: Value) -> Completion {
    let mut completion = completion(world);
    completion.complete.routes = LiveRoutes::fixed(routes(&[route]));
    completion
}

/// A status change of the execution that the route starts for an order.
fn change(route: &Value, status: &str) -> Value {
    let message = message(json!({"text": r#"{"id":4711}"#}));
    let routes = routes(std::slice::from_ref(route));
    let route = routes.iter().next().unwrap();
    let Ok(Request::Start(execution)) = request(&message, route) else {
        panic!("expected a start");
    };
    let output = if status == "SUCCEEDED" {
        json!("\"paid\"")
    } else {
        Value::Null
    };
    let stopped = if status == "RUNNING" {
        Value::Null
    } else {
        json!(2000)
    };
    status_change(json!({
        "executionArn": format!("arn:{}", execution.name), "name": execution.name, "input": execution.input,
        "status": status, "output": output, "startDate": 1000, "stopDate": stopped,
    }))
}

async fn handle(completion: &Completion, event: Value) -> Vec<String> {
    failures_of(completion, &[event], 1).await
}

#[tokio::test(start_paused = true)]
async fn a_started_execution_is_announced_once() {
    let world = World::default();
    let measured = Measured::default();
    let mut completion = routed(&world, orders());
    completion.complete.metrics = measured.metrics();
    for _ in 0..2 {
        assert!(
            handle(&completion, change(&orders(), "RUNNING"))
                .await
                .is_empty()
        );
    }
    let id = message(json!({"text": r#"{"id":4711}"#})).id;
    let name = "orders-4711-ab4edd012d39858d";
    let expected = format!(
        r#"publish chat/order-status {{"id":"{id}","route":"orders","key":"4711","status":"RUNNING","execution":"arn:{name}","in_reply_to":{{"cache":"chat","topic":"room-281","topic_sequence_number":1}},"started_at":1000}}"#
    );
    assert_eq!(calls(&world), [expected]);
    assert_eq!(measured.take(), ["announced orders 1"]);
    handle(&completion, change(&orders(), "SUCCEEDED")).await;
    assert_eq!(calls(&world)[1..], ["publish chat/out paid"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_announced_after_the_result() {
    let world = World::default();
    let completion = routed(&world, orders());
    assert!(
        handle(&completion, change(&orders(), "FAILED"))
            .await
            .is_empty()
    );
    assert!(
        handle(&completion, change(&orders(), "RUNNING"))
            .await
            .is_empty()
    );
    let calls = calls(&world);
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert!(
        calls[0].contains(r#""route":"orders","key":"4711","status":"FAILED""#),
        "{calls:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_result_waits_until_its_announcement_is_closed() {
    let world = World::default();
    let completion = routed(&world, orders());
    let event = change(&orders(), "SUCCEEDED");
    world.make(
        "finish arn:orders-4711-ab4edd012d39858d#started",
        Behaviour::Fails(Fault::later("AccessDeniedException", "no")),
    );
    assert_eq!(handle(&completion, event.clone()).await, ["m0"]);
    assert_eq!(
        calls(&world)
            .iter()
            .filter(|call| call.starts_with("publish"))
            .count(),
        0
    );
    world.heal();
    assert!(handle(&completion, event).await.is_empty());
    assert_eq!(calls(&world).last().unwrap(), "publish chat/out paid");
}

#[tokio::test(start_paused = true)]
async fn a_failed_announcement_returns_to_the_queue() {
    let world = World::default();
    let completion = routed(&world, orders());
    world.make(
        "publish",
        Behaviour::Fails(Fault::transient("Unavailable", "no")),
    );
    assert_eq!(
        handle(&completion, change(&orders(), "RUNNING")).await,
        ["m0"]
    );
    world.heal();
    assert!(
        handle(&completion, change(&orders(), "RUNNING"))
            .await
            .is_empty()
    );
    assert!(
        calls(&world)
            .last()
            .unwrap()
            .starts_with("publish chat/order-status")
    );
}

#[tokio::test(start_paused = true)]
async fn a_route_without_announcements_touches_no_ledger() {
    let silent = json!({"name": "orders", "reply": {"topics": ["out"]}});
    let replyless = json!({"name": "orders"});
    for route in [silent, replyless] {
        let world = World::default();
        let completion = routed(&world, route.clone());
        assert!(
            handle(&completion, change(&route, "RUNNING"))
                .await
                .is_empty()
        );
        assert!(world.calls().is_empty(), "{:?}", world.calls());
    }
}

#[tokio::test(start_paused = true)]
async fn the_input_left_out_of_the_event_is_described() {
    let world = World::default();
    let completion = routed(&world, orders());
    let mut event = change(&orders(), "RUNNING");
    let input = event["detail"]["input"].take();
    // The execution may have ended meanwhile.
    world.describes(Described {
        status: "SUCCEEDED".into(),
        input: input.as_str().map(str::to_owned),
        output: Some("1".into()),
        ..Described::default()
    });
    assert!(handle(&completion, event).await.is_empty());
    assert!(calls(&world)[1].starts_with("publish chat/order-status"));
}

#[tokio::test(start_paused = true)]
async fn an_announcement_of_a_payload_route_has_fixed_topics() {
    let world = World::default();
    let route = json!({"name": "orders", "to": {"stateMachine": MACHINE, "key": "json.id", "input": "payload"}, "reply": {"topics": ["out"], "started": ["order-status"]}});
    let completion = routed(&world, route.clone());
    handle(&completion, change(&route, "RUNNING")).await;
    let published = calls(&world);
    assert!(
        published[0].starts_with(
            r#"publish chat/order-status {"id":null,"route":"orders","key":null,"status":"RUNNING""#
        ),
        "{published:?}"
    );
}

/// A publisher knows the key, and so the name of the execution.
#[tokio::test(start_paused = true)]
async fn a_text_shaped_like_a_keyed_envelope_chooses_no_address() {
    let honest = routes(&[orders()]);
    let mut forged = message(json!({"text": r#"{"id":4711}"#}));
    forged.cache = "chat".into();
    let input =
        ExecutionInput::envelope(&forged, honest.iter().next().unwrap(), Some("4711")).to_json();
    let input = input.replace(r#""topics":["out"]"#, r#""topics":["admin"]"#);
    assert!(input.contains("admin"));
    let event = status_change(
        json!({"name": "orders-4711-ab4edd012d39858d", "input": input, "executionArn": "arn:forged"}),
    );
    let payload = json!({"name": "orders", "to": {"stateMachine": MACHINE, "key": "json.bridge.key", "input": "payload"}, "reply": {"topics": ["out"]}});
    for (route, expected) in [
        (Some(payload), "publish chat/out HELLO"),
        (Some(orders()), "publish chat/out HELLO"),
        // Removed, or without its key.
        (None, "address_refused"),
        (Some(json!({"name": "orders"})), "address_refused"),
    ] {
        let world = World::default();
        let mut completion = completion(&world);
        let list: Vec<_> = route.into_iter().collect();
        completion.complete.routes = LiveRoutes::fixed(routes(&list));
        assert!(handle(&completion, event.clone()).await.is_empty());
        let calls = calls(&world);
        assert!(calls[0].contains(expected), "{expected}: {calls:?}");
        assert!(
            !calls
                .iter()
                .any(|call| call.starts_with("publish chat/admin")),
            "{calls:?}"
        );
    }
}
