use std::time::Duration;

use serde_json::json;

use super::*;
use crate::message::tests::message;
use crate::routes::tests::{MACHINE, routes};
use crate::testing::{Behaviour, World};

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(4)
}

async fn outcomes(
    world: &World,
    list: &[serde_json::Value],
    fields: serde_json::Value,
) -> Vec<Outcome> {
    let deliveries = deliver(&message(fields), &routes(list), &world.targets(), soon()).await;
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
        "a redelivery asks for the very same execution"
    );
}

#[tokio::test(start_paused = true)]
async fn twenty_deliveries_at_once_start_one_execution() {
    let world = World::default();
    let (m, r, t) = (message(json!({})), routes(&[json!({})]), world.targets());
    let all = join_all((0..20).map(|_| deliver(&m, &r, &t, soon())))
        .await
        .concat();
    let started = all.iter().filter(|d| d.outcome == Outcome::Started).count();
    assert_eq!((all.len(), started, world.executions()), (20, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_event_is_what_rules_for_momentos_handler_match() {
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

#[tokio::test(start_paused = true)]
async fn each_route_has_its_own_outcome() {
    let world = World::default();
    world.make(
        "put",
        Behaviour::Fails(Fault::permanent("AccessDeniedException", "no")),
    );
    assert_eq!(
        outcomes(&world, &[json!({}), bus(), json!({})], json!({})).await,
        [Outcome::Started, Outcome::NotStored, Outcome::Started]
    );
    assert_eq!(
        world.calls().len(),
        3,
        "a permanent fault is not tried again, and repeats no other route"
    );
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
async fn a_target_that_hangs_costs_the_budget_and_no_more() {
    let world = World::default();
    world.make("start", Behaviour::Hangs);
    let began = Instant::now();
    assert_eq!(
        outcomes(&world, &[json!({}), bus()], json!({})).await,
        [Outcome::NotStored, Outcome::EventPut]
    );
    assert!(began.elapsed() <= Duration::from_secs(4));
}

#[tokio::test(start_paused = true)]
async fn an_input_over_256_kib_is_never_sent() {
    let world = World::default();
    let deliveries = deliver(
        &message(json!({"text": "x".repeat(262_144)})),
        &routes(&[
            json!({}),
            json!({"to": {"stateMachine": MACHINE, "input": "payload"}}),
        ]),
        &world.targets(),
        soon(),
    )
    .await;
    for delivery in deliveries {
        let fault = delivery.fault.unwrap();
        assert_eq!(
            (delivery.outcome, fault.code.as_str()),
            (Outcome::NotStored, "InputTooLarge")
        );
    }
    assert!(world.calls().is_empty());
}
