//! Routes that changed after the completion last read them.

use std::sync::Arc;

use super::*;
use crate::testing::{FakeTable, Measured};

fn over(table: &Arc<FakeTable>, world: &World) -> Completion {
    let mut completion = completion(world);
    completion.complete.routes = table.beside(routes(&[]));
    completion
}

async fn warm(completion: &Completion) {
    let deadline = Instant::now() + Duration::from_secs(2);
    completion.complete.routes.warm_up(deadline).await;
}

/// The end of an execution with the text of its message as the input.
fn payload() -> Value {
    status_change(
        json!({"executionArn": "arn:payload", "input": "\"hello\"", "name": "p-in-1-9c1534bf10e3da42"}),
    )
}

fn payload_route() -> Value {
    json!({"name": "p", "to": {"stateMachine": MACHINE, "input": "payload"}, "reply": {"topics": ["answers"]}})
}

#[tokio::test(start_paused = true)]
async fn a_new_route_publishes_the_results_of_its_first_executions() {
    let (world, table) = (World::default(), Arc::new(FakeTable::default()));
    let completion = over(&table, &world);
    warm(&completion).await;
    table.has(1, &[payload_route()]);
    assert!(failures_of(&completion, &[payload()], 1).await.is_empty());
    assert_eq!(calls(&world), ["publish chat/answers HELLO"]);
}

#[tokio::test(start_paused = true)]
async fn a_changed_address_is_not_refused_by_an_old_route() {
    let (world, table) = (World::default(), Arc::new(FakeTable::default()));
    let replies = |topic: &str| {
        let from = json!({"cache": "demo", "topic": "in"});
        json!({"name": "r", "from": from, "reply": {"topics": [topic], "failures": ["failed"]}})
    };
    table.has(1, &[replies("old")]);
    let completion = over(&table, &world);
    warm(&completion).await;
    table.has(2, &[replies("out")]);
    failures_of(&completion, &[status_change(json!({}))], 1).await;
    assert_eq!(calls(&world), ["publish demo/out HELLO"]);
    assert_eq!(table.reads(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_result_without_a_known_route_waits_until_the_routes_can_be_read() {
    let (world, table) = (World::default(), Arc::new(FakeTable::default()));
    let measured = Measured::default();
    let mut completion = over(&table, &world);
    completion.complete.metrics = measured.metrics();
    table.answers(Err(Fault::later("AccessDeniedException", "no")));
    assert_eq!(failures_of(&completion, &[payload()], 1).await, ["m0"]);
    assert!(measured.take().contains(&"routes_unavailable 1".to_owned()));
    // An address in the input by the bridge needs no route.
    assert!(
        failures_of(&completion, &[status_change(json!({}))], 1)
            .await
            .is_empty()
    );
    table.has(1, &[payload_route()]);
    assert!(failures_of(&completion, &[payload()], 2).await.is_empty());
    assert_eq!(calls(&world).last().unwrap(), "publish chat/answers HELLO");
}
