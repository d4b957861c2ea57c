//! Collected routes that cannot be read.

use super::*;
use crate::domain::inbound::letter::Letter;
use crate::testing::{FakeTable, Measured};

fn over(table: &Arc<FakeTable>, world: &World, base: &[Value]) -> Webhook {
    Webhook {
        routes: table.beside(routes(base)),
        ..webhook(world, &[])
    }
}

fn denied() -> Fault {
    Fault::later("AccessDeniedException", "no")
}

fn parked(world: &World) -> Vec<Letter> {
    let calls = world.calls();
    let letters = calls.iter().filter_map(|call| call.strip_prefix("park "));
    letters
        .map(|letter| serde_json::from_str(letter).unwrap())
        .collect()
}

async fn answer(webhook: &Webhook) -> (u16, Value, Duration) {
    let began = Instant::now();
    let (status, mut answer) = ask(webhook, &signed("secret", body(json!({})))).await;
    answer.as_object_mut().unwrap().remove("id");
    (status, answer, began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_message_without_a_known_route_is_parked_whole() {
    for hangs in [false, true] {
        let (world, table) = (World::default(), Arc::new(FakeTable::default()));
        table.answers(Err(denied()));
        table.hangs(hangs);
        let measured = Measured::default();
        let mut webhook = over(&table, &world, &[]);
        webhook.metrics = measured.metrics();
        webhook.settings.unrouted = Unrouted::Ignore;
        let (status, answer, took) = answer(&webhook).await;
        assert_eq!(status, 200);
        assert_eq!(answer, json!({"code": "accepted", "targets": []}));
        assert!(took < Duration::from_secs(2), "{took:?}");
        let [letter] = parked(&world).try_into().unwrap();
        assert_eq!(
            (letter.reason, letter.route),
            (Reason::RoutesUnavailable, None)
        );
        assert!(letter.delivered.is_empty());
        assert!(measured.take().contains(&"routes_unavailable 1".to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_known_route_takes_its_message_and_the_others_wait() {
    let (world, table) = (World::default(), Arc::new(FakeTable::default()));
    table.answers(Err(denied()));
    let webhook = over(&table, &world, &[json!({"name": "known"})]);
    let (status, answer, _) = answer(&webhook).await;
    let targets = json!([{"route": "known", "outcome": "started"}]);
    assert_eq!(
        (status, answer),
        (200, json!({"code": "accepted", "targets": targets}))
    );
    assert_eq!(parked(&world)[0].delivered, ["known"]);
}

#[tokio::test(start_paused = true)]
async fn neither_routes_nor_queues_is_not_stored() {
    let (world, table) = (World::default(), Arc::new(FakeTable::default()));
    table.answers(Err(denied()));
    let gone = Behaviour::Fails(Fault::permanent("QueueDoesNotExist", "gone"));
    world.make("park", gone.clone());
    world.make("dead_letter", gone);
    for base in [vec![], vec![json!({"name": "known"})]] {
        let (status, answer, _) = answer(&over(&table, &world, &base)).await;
        assert_eq!((status, &answer["code"]), (503, &json!("not_stored")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_route_added_after_the_last_read_takes_its_message() {
    let (world, table) = (World::default(), Arc::new(FakeTable::default()));
    let webhook = over(&table, &world, &[]);
    webhook
        .routes
        .warm_up(Instant::now() + Duration::from_secs(2))
        .await;
    tokio::time::sleep(ROUTES_AGE).await;
    table.has(1, &["new"]);
    let (_, answer, _) = answer(&webhook).await;
    assert_eq!(
        answer["targets"],
        json!([{"route": "new", "outcome": "started"}])
    );
}

#[tokio::test(start_paused = true)]
async fn unrouted_messages_cause_a_read_every_three_seconds_at_most() {
    let (world, table) = (World::default(), Arc::new(FakeTable::default()));
    let webhook = over(&table, &world, &[]);
    webhook
        .routes
        .warm_up(Instant::now() + Duration::from_secs(2))
        .await;
    for _ in 0..10 {
        let (_, answer, _) = answer(&webhook).await;
        assert_eq!(answer["code"], "unrouted");
    }
    assert_eq!(table.reads(), 1);
    tokio::time::sleep(ROUTES_AGE).await;
    for _ in 0..10 {
        answer(&webhook).await;
    }
    assert_eq!(table.reads(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_warm_function_keeps_known_routes_and_calls_nothing_unrouted() {
    let (world, table) = (World::default(), Arc::new(FakeTable::default()));
    table.has(
        1,
        &[json!({"name": "other", "from": {"cache": "chat", "topic": "lobby"}})],
    );
    let webhook = over(&table, &world, &[]);
    webhook
        .routes
        .warm_up(Instant::now() + Duration::from_secs(2))
        .await;
    table.hangs(true);
    tokio::time::sleep(Duration::from_secs(61)).await;
    let (_, unknown, took) = answer(&webhook).await;
    assert_eq!(unknown, json!({"code": "accepted", "targets": []}));
    assert!(took <= Duration::from_millis(1_200), "{took:?}");
    assert_eq!(parked(&world)[0].reason, Reason::RoutesUnavailable);
    let lobby = signed("secret", body(json!({"topic": "lobby"})));
    let (_, known) = ask(&webhook, &lobby).await;
    assert_eq!(
        known["targets"],
        json!([{"route": "other", "outcome": "started"}])
    );
    assert_eq!(parked(&world).len(), 1, "the known routes are complete");
}
