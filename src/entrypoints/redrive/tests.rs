use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::domain::inbound::message::tests::message;
use crate::domain::inbound::routes::tests::{MACHINE, routes};
use crate::testing::{Behaviour, FakeTable, Measured, World};

mod damaged;

fn redrive(world: &World, list: &[Value]) -> Redrive {
    Redrive {
        routes: LiveRoutes::fixed(routes(list)),
        targets: world.targets(),
        queues: world.queues(),
        metrics: Metrics::none(),
        repeats: Repeats {
            receipts: Some(Arc::new(world.clone())),
            first: Duration::from_secs(30),
            longest: Duration::from_secs(7200),
            max_receives: 3,
            now_ms: || 50,
        },
    }
}

const BODY: &str = r#"{"cache":"chat","topic":"room-281","event_timestamp":1704296470564,"publish_timestamp":1704296470565,"topic_sequence_number":1,"token_id":"mo","text":"Here I am!!"}"#;

fn letter(route: Option<&str>) -> String {
    let message = message(json!({}));
    let text = "TimedOut: no answer".to_owned();
    let letter = Letter {
        attempts: 2,
        ..Letter::about(&message, BODY, route, Reason::Unavailable, text, 17)
    };
    letter.to_json()
}

/// Redrives one record on its n-th receive; true if it returns to the queue.
async fn again(redrive: &Redrive, body: &str, receives: u32) -> bool {
    let batch = json!({"Records": [{
        "messageId": "m", "receiptHandle": "receipt", "body": body,
        "attributes": {"ApproximateReceiveCount": receives.to_string(), "SentTimestamp": "0"},
    }]});
    let deadline = Instant::now() + Duration::from_secs(60);
    let response = redrive.handle(serde_json::from_value(batch).unwrap(), deadline);
    !response.await.unwrap().batch_item_failures.is_empty()
}

fn dead_letter(world: &World) -> Letter {
    let calls = world.calls();
    let last = calls
        .last()
        .and_then(|call| call.strip_prefix("dead_letter "));
    serde_json::from_str(last.unwrap_or_else(|| panic!("{calls:?}"))).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_parked_message_starts_the_execution_that_the_webhook_would_have_started() {
    let world = World::default();
    let list = [json!({}), json!({"name": "other"})];
    let redrive = redrive(&world, &list);
    assert!(!again(&redrive, &letter(Some("r0")), 1).await);
    let [start] = world.calls().try_into().unwrap();
    assert!(start.starts_with(&format!("start {MACHINE} r0-room-281-1-")));
    // At any age, and after any number of receives.
    assert!(!again(&redrive, &letter(Some("r0")), 2).await);
    assert_eq!((world.calls()[1].clone(), world.executions()), (start, 1));
}

#[tokio::test(start_paused = true)]
async fn an_unavailable_target_is_retried_later() {
    for fault in [
        Fault::transient("ThrottlingException", "x"),
        Fault::later("NoSecretValue", "x"),
    ] {
        let world = World::default();
        world.make("start", Behaviour::Fails(fault));
        let redrive = redrive(&world, &[json!({})]);
        assert!(again(&redrive, &letter(Some("r0")), 2).await);
        let calls = world.calls();
        let postponed = calls.last().unwrap().strip_prefix("postpone receipt ");
        let seconds: u64 = postponed.unwrap().parse().unwrap();
        assert!((45..=60).contains(&seconds), "{seconds}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_receive_makes_a_dead_letter_with_all_details() {
    let world = World::default();
    world.make("start", Behaviour::Hangs);
    let redrive = redrive(&world, &[json!({})]);
    assert!(!again(&redrive, &letter(Some("r0")), 3).await);
    let letter = dead_letter(&world);
    assert_eq!(
        (
            letter.reason,
            letter.route.as_deref(),
            letter.detail.as_str()
        ),
        (Reason::GaveUp, Some("r0"), "TimedOut: no answer in time")
    );
    assert_eq!((letter.first_at, letter.last_at), (17, 50));
    assert!(letter.attempts > 2 + 2, "before, and on each receive");
    assert_eq!(letter.message.unwrap().get(), BODY);
}

#[tokio::test(start_paused = true)]
async fn a_permanent_failure_is_a_dead_letter_at_once() {
    let refuses = Behaviour::Fails(Fault::permanent("StateMachineDoesNotExist", "gone"));
    let switched_off = json!({"enabled": false});
    for (list, body, reason) in [
        (json!({}), letter(Some("r0")), Reason::Refused),
        (switched_off, letter(Some("r0")), Reason::RouteGone),
        (json!({}), letter(Some("old")), Reason::RouteGone),
        (json!({}), "no letter".to_owned(), Reason::Unreadable),
        (
            json!({}),
            letter(Some("r0")).replace("text", "txet"),
            Reason::Unreadable,
        ),
        (
            json!({"from": {"cache": "x", "topic": "y"}}),
            letter(None),
            Reason::Unrouted,
        ),
    ] {
        let world = World::default();
        world.make("start", refuses.clone());
        assert!(!again(&redrive(&world, &[list]), &body, 1).await);
        assert_eq!(dead_letter(&world).reason, reason);
    }
}

#[tokio::test(start_paused = true)]
async fn a_letter_refused_by_the_dead_letter_queue_returns() {
    let world = World::default();
    world.make("dead_letter", Behaviour::Hangs);
    let redrive = redrive(&world, &[]);
    assert!(again(&redrive, &letter(Some("old")), 3).await);
    assert!(again(&redrive, "no letter", 3).await);
}

#[tokio::test(start_paused = true)]
async fn an_unrouted_letter_becomes_one_for_each_current_route() {
    let world = World::default();
    let list = [json!({}), json!({"to": {"eventBus": "b"}})];
    let redrive = redrive(&world, &list);
    world.make("park", Behaviour::Fails(Fault::permanent("x", "y")));
    assert!(again(&redrive, &letter(None), 1).await, "not parked");
    world.heal();
    assert!(!again(&redrive, &letter(None), 2).await);
    let parked = world.calls();
    let parked = parked.iter().filter_map(|call| call.strip_prefix("park "));
    let parked: Vec<Letter> = parked
        .map(|json| serde_json::from_str(json).unwrap())
        .collect();
    let routes: Vec<_> = parked[1..]
        .iter()
        .map(|letter| letter.route.as_deref())
        .collect();
    assert_eq!(routes, [Some("r0"), Some("r1")]);
    assert_eq!(
        (
            parked[1].first_at,
            parked[1].message.as_ref().unwrap().get()
        ),
        (17, BODY)
    );
    assert_eq!(world.executions(), 0, "each of them is tried by itself");
}

#[tokio::test(start_paused = true)]
async fn every_letter_counts_by_its_outcome() {
    let world = World::default();
    let measured = Measured::default();
    let redrive = Redrive {
        metrics: measured.metrics(),
        ..redrive(&world, &[json!({}), json!({"name": "other"})])
    };
    // Parked at 17, and now it is 50.
    again(&redrive, &letter(Some("r0")), 1).await;
    let expected = ["accepted_to_started r0 33", "redriven r0 1", "started r0 1"];
    assert_eq!(measured.take(), expected);
    again(&redrive, &letter(None), 1).await;
    assert_eq!(measured.take(), ["parked other 1", "parked r0 1"]);
    again(&redrive, &letter(Some("gone")), 1).await;
    assert_eq!(measured.take(), ["dead_lettered gone route_gone 1"]);
    again(&redrive, "no letter", 1).await;
    assert_eq!(measured.take(), ["dead_lettered unreadable 1"]);
    world.make("start", Behaviour::Fails(Fault::transient("Throttled", "")));
    again(&redrive, &letter(Some("r0")), 2).await;
    assert_eq!(measured.take(), ["parked_age r0 33"]);
    again(&redrive, &letter(Some("r0")), 3).await;
    assert_eq!(measured.take(), ["dead_lettered r0 gave_up 1"]);
    world.make(
        "dead_letter",
        Behaviour::Fails(Fault::transient("Throttled", "")),
    );
    again(&redrive, &letter(Some("r0")), 3).await;
    assert!(measured.take().is_empty(), "it keeps waiting");
}

fn whole(delivered: &[&str]) -> String {
    let message = message(json!({}));
    let delivered = delivered.iter().map(ToString::to_string).collect();
    Letter::routes_unavailable(&message, BODY, delivered, 17).to_json()
}

fn parked_routes(world: &World) -> Vec<String> {
    let calls = world.calls();
    let parked = calls.iter().filter_map(|call| call.strip_prefix("park "));
    let letters = parked.map(|json| serde_json::from_str::<Letter>(json).unwrap());
    letters.filter_map(|letter| letter.route).collect()
}

#[tokio::test(start_paused = true)]
async fn a_message_parked_whole_waits_for_the_routes_and_goes_to_all_others() {
    let (world, table) = (World::default(), Arc::new(FakeTable::default()));
    let redrive = Redrive {
        routes: table.beside(routes(&[json!({"name": "base"})])),
        ..redrive(&world, &[])
    };
    table.answers(Err(Fault::later("AccessDeniedException", "no")));
    assert!(again(&redrive, &whole(&[]), 1).await);
    assert!(parked_routes(&world).is_empty());
    table.has(1, &["collected"]);
    tokio::time::sleep(ROUTES_AGE).await;
    assert!(!again(&redrive, &whole(&["base"]), 2).await);
    assert_eq!(parked_routes(&world), ["collected"]);
    assert!(!again(&redrive, &whole(&[]), 2).await);
    assert_eq!(parked_routes(&world), ["collected", "base", "collected"]);
    // Every route has it: no letter, and no dead letter.
    assert!(!again(&redrive, &whole(&["base", "collected"]), 2).await);
    assert_eq!(parked_routes(&world).len(), 3);
    assert!(
        !world
            .calls()
            .iter()
            .any(|call| call.starts_with("dead_letter"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_route_counts_as_gone_only_after_a_fresh_read() {
    let (world, table) = (World::default(), Arc::new(FakeTable::default()));
    let redrive = Redrive {
        routes: table.beside(routes(&[])),
        ..redrive(&world, &[])
    };
    table.has(1, &["r1"]);
    redrive
        .routes
        .warm_up(Instant::now() + Duration::from_secs(2))
        .await;
    tokio::time::sleep(ROUTES_AGE).await;
    table.answers(Err(Fault::later("AccessDeniedException", "no")));
    assert!(again(&redrive, &letter(Some("r0")), 1).await, "it waits");
    tokio::time::sleep(ROUTES_AGE).await;
    table.has(2, &["r0", "r1"]);
    assert!(!again(&redrive, &letter(Some("r0")), 2).await);
    assert_eq!(world.executions(), 1);
    tokio::time::sleep(ROUTES_AGE).await;
    assert!(!again(&redrive, &letter(Some("old")), 3).await);
    assert_eq!(dead_letter(&world).reason, Reason::RouteGone);
}
