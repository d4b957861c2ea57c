use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::domain::inbound::routes::tests::routes;
use crate::domain::inbound::signature::sign;
use crate::testing::{Behaviour, World};

mod metrics;
mod properties;
mod refusals;
mod unavailable;

const NOW: i64 = 1_704_296_470_565;

fn webhook(world: &World, list: &[Value]) -> Webhook {
    Webhook {
        routes: LiveRoutes::fixed(routes(list)),
        targets: world.targets(),
        queues: world.queues(),
        secrets: SecretCache::new(Arc::new(world.clone())),
        settings: WebhookSettings {
            max_age: Duration::from_secs(60),
            max_skew: Duration::from_secs(30),
            answer_within: Duration::from_millis(4000),
            unrouted: Unrouted::DeadLetter,
        },
        metrics: Metrics::none(),
        now_ms: || NOW,
    }
}

/// A route to a state machine and one to an event bus, for the same messages.
fn two_targets() -> [Value; 2] {
    [
        json!({"name": "a"}),
        json!({"name": "b", "to": {"eventBus": "x"}}),
    ]
}

fn body(fields: Value) -> Vec<u8> {
    let mut body = json!({
        "cache": "chat", "topic": "room-281", "event_timestamp": NOW, "publish_timestamp": NOW,
        "topic_sequence_number": 1, "token_id": "mo", "text": "Here I am!!",
    });
    for (key, value) in fields.as_object().unwrap() {
        body[key] = value.clone();
    }
    body.to_string().into_bytes()
}

fn signed(secret: &str, body: Vec<u8>) -> Request<Vec<u8>> {
    let signature = sign(secret, &body);
    Request::post("/")
        .header("Momento-Signature", signature)
        .body(body)
        .unwrap()
}

async fn ask(webhook: &Webhook, request: &Request<Vec<u8>>) -> (u16, Value) {
    let times = Times::within(webhook.settings.answer_within);
    let response = webhook.answer(request, times).await;
    assert_eq!(response.headers()["content-type"], "application/json");
    (
        response.status().as_u16(),
        serde_json::from_str(response.body()).unwrap(),
    )
}

/// Sends a request to a webhook with one route. Returns status, code and the calls of the ports.
async fn outcome(request: Request<Vec<u8>>) -> (u16, String, Vec<String>) {
    let world = World::default();
    let (status, answer) = ask(&webhook(&world, &[json!({})]), &request).await;
    let calls = world
        .calls()
        .into_iter()
        .filter(|call| !call.starts_with("fetch"));
    (
        status,
        answer["code"].as_str().unwrap().to_owned(),
        calls.collect(),
    )
}

#[tokio::test(start_paused = true)]
async fn accepted_names_id_routes_and_outcomes() {
    let world = World::default();
    let webhook = webhook(&world, &two_targets());
    let request = signed("secret", body(json!({})));
    let (status, answer) = ask(&webhook, &request).await;
    let id = answer["id"].as_str().unwrap();
    assert_eq!(id.len(), 32);
    let targets =
        json!([{"route": "a", "outcome": "started"}, {"route": "b", "outcome": "event_put"}]);
    assert_eq!(
        (status, &answer),
        (
            200,
            &json!({"id": id, "code": "accepted", "targets": targets})
        )
    );
    let (status, again) = ask(&webhook, &request).await;
    assert_eq!(
        (status, &again["targets"][0]["outcome"]),
        (200, &json!("duplicate"))
    );
    assert_eq!(again["id"], id);
}

#[tokio::test(start_paused = true)]
async fn an_unrouted_message_is_kept_with_its_reason() {
    let world = World::default();
    let request = signed("secret", body(json!({"topic": "nowhere"})));
    let (status, answer) = ask(&webhook(&world, &[json!({})]), &request).await;
    assert_eq!(
        (status, &answer["code"], &answer["targets"]),
        (200, &json!("unrouted"), &json!([]))
    );
    let calls = world.calls();
    let letter: Value =
        serde_json::from_str(calls.last().unwrap().strip_prefix("dead_letter ").unwrap()).unwrap();
    assert_eq!(
        (&letter["reason"], &letter["message"]["topic"]),
        (&json!("unrouted"), &json!("nowhere"))
    );
    assert_eq!(letter["id"], answer["id"]);

    let gone = Behaviour::Fails(Fault::permanent("QueueDoesNotExist", "gone"));
    world.make("dead_letter", gone.clone());
    let (status, answer) = ask(&webhook(&world, &[]), &request).await;
    assert_eq!((status, &answer["code"]), (200, &json!("unrouted")));
    assert!(world.calls().last().unwrap().starts_with("park "));
    world.make("park", gone);
    let (status, answer) = ask(&webhook(&world, &[]), &request).await;
    assert_eq!((status, &answer["code"]), (503, &json!("not_stored")));

    let world = World::default();
    let mut ignoring = webhook(&world, &[]);
    ignoring.settings.unrouted = Unrouted::Ignore;
    let (status, answer) = ask(&ignoring, &request).await;
    assert_eq!((status, &answer["code"]), (200, &json!("unrouted")));
    assert!(
        !world
            .calls()
            .iter()
            .any(|call| call.starts_with("dead_letter"))
    );
}

#[tokio::test(start_paused = true)]
async fn an_undelivered_message_is_stored_or_answered_503() {
    let world = World::default();
    let webhook = webhook(&world, &two_targets());
    let request = signed("secret", body(json!({})));
    let refuses = Fault::permanent("StateMachineDoesNotExist", "internal words");
    let throttles = Fault::transient("ThrottlingException", "internal words");
    for (behaviour, kept) in [
        (Behaviour::Fails(refuses), "dead_lettered"),
        (Behaviour::Fails(throttles), "parked"),
        (Behaviour::Hangs, "parked"),
    ] {
        world.make("start", behaviour);
        let (status, answer) = ask(&webhook, &request).await;
        let targets =
            json!([{"route": "a", "outcome": kept}, {"route": "b", "outcome": "event_put"}]);
        assert_eq!((status, &answer["code"]), (200, &json!("accepted")));
        assert_eq!(answer["targets"], targets);

        for queue in ["park", "dead_letter"] {
            world.make(queue, Behaviour::Hangs);
        }
        let began = Instant::now();
        let (status, answer) = ask(&webhook, &request).await;
        assert_eq!((status, &answer["code"]), (503, &json!("not_stored")));
        let targets = json!([{"route": "a", "outcome": "not_stored"}, {"route": "b", "outcome": "event_put"}]);
        assert_eq!(answer["targets"], targets);
        assert!(!answer.to_string().contains("internal"));
        assert!(
            began.elapsed() <= Duration::from_millis(4000),
            "{:?}",
            began.elapsed()
        );
        world.heal();
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_secret_the_answer_is_503_and_not_401() {
    for behaviour in [
        Behaviour::Fails(Fault::transient("Unreachable", "down")),
        Behaviour::Hangs,
    ] {
        let world = World::default();
        let webhook = webhook(&world, &[json!({})]);
        let request = signed("secret", body(json!({})));
        world.make("fetch", behaviour.clone());
        let began = Instant::now();
        assert_eq!(
            ask(&webhook, &request).await,
            (503, json!({"code": "not_stored"}))
        );
        assert!(began.elapsed() <= Duration::from_millis(4000));
        world.heal();
        assert_eq!(
            ask(&webhook, &request).await.0,
            200,
            "back as soon as the store is"
        );
        world.make("fetch", behaviour);
        assert_eq!(
            ask(&webhook, &request).await.0,
            200,
            "kept while the store is down"
        );
        // Forged, or signed with an unreadable secret: 401 would be a guess.
        let unknown = signed("newer", body(json!({})));
        assert_eq!(
            ask(&webhook, &unknown).await,
            (503, json!({"code": "not_stored"}))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn failed_signatures_fetch_newer_secrets_within_bounds() {
    let world = World::default();
    let webhook = webhook(&world, &[json!({})]);
    let fetches = || {
        let calls = world.calls();
        calls.iter().filter(|call| *call == "fetch Current").count()
    };
    let began = Instant::now();
    for _ in 0..20 {
        ask(&webhook, &signed("forged", body(json!({})))).await;
    }
    // The first one, three at once, and two a second.
    let seconds = began.elapsed().as_secs_f64();
    assert!(fetches() as f64 <= 4.0 + 2.0 * seconds, "{}", fetches());
}

#[tokio::test(start_paused = true)]
async fn the_front_ends_time_overrides_the_clock() {
    let world = World::default();
    let webhook = webhook(&world, &[json!({})]);
    for (skew, seen) in [
        (-360_000, 200),
        (-90_000, 200),
        (90_000, 200),
        (400_000, 200),
    ] {
        // The message is fresh by the front end's clock only.
        let request = signed("secret", body(json!({"publish_timestamp": NOW + skew})));
        let times = |received_at| Times {
            received_at,
            ..Times::within(webhook.settings.answer_within)
        };
        let response = webhook.answer(&request, times(Some(NOW + skew + 5))).await;
        assert_eq!(response.status(), seen, "{skew}");
        let response = webhook.answer(&request, times(None)).await;
        assert_eq!(response.status(), 403, "{skew}");
    }
    let request = signed("secret", body(json!({})));
    let late = Times {
        received_at: Some(NOW + 61_000),
        ..Times::within(webhook.settings.answer_within)
    };
    assert_eq!(webhook.answer(&request, late).await.status(), 403);
}

/// Leaves time for storing a message after its answer is due.
async fn late(webhook: &Webhook, request: &Request<Vec<u8>>) -> (u16, String, Duration) {
    let began = Instant::now();
    let times = Times {
        answer_by: began + Duration::from_secs(4),
        store_by: began + Duration::from_millis(9500),
        received_at: None,
    };
    let response = webhook.answer(request, times).await;
    let answer: Value = serde_json::from_str(response.body()).unwrap();
    let outcome = answer["targets"][0]["outcome"].as_str().unwrap_or("-");
    let status = response.status().as_u16();
    (status, outcome.to_owned(), began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn an_undelivered_message_may_be_stored_late() {
    for (fails, away_s, outcome) in [
        (&["start", "park", "dead_letter"][..], 5, "parked"),
        (&["fetch", "start", "park", "dead_letter"], 5, "started"),
        (&["fetch"], 6, "started"),
    ] {
        for behaviour in [
            Behaviour::Fails(Fault::transient("Unreachable", "down")),
            Behaviour::Hangs,
        ] {
            let world = World::default();
            for call in fails {
                world.make(call, behaviour.clone());
            }
            let webhook = webhook(&world, &[json!({})]);
            let request = signed("secret", body(json!({})));
            let healing = async {
                tokio::time::sleep(Duration::from_secs(away_s)).await;
                world.heal();
            };
            let (answered, ()) = futures_util::join!(late(&webhook, &request), healing);
            assert_eq!(
                (answered.0, answered.1.as_str()),
                (200, outcome),
                "{fails:?}"
            );
            assert!(answered.2 >= Duration::from_secs(away_s), "{fails:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_never_stored_is_answered_503_in_time() {
    let world = World::default();
    for call in ["start", "park", "dead_letter"] {
        world.make(call, Behaviour::Hangs);
    }
    let webhook = webhook(&world, &[json!({})]);
    let (status, outcome, took) = late(&webhook, &signed("secret", body(json!({})))).await;
    assert_eq!((status, outcome.as_str()), (503, "not_stored"));
    assert!(took <= Duration::from_millis(9500), "{took:?}");
    assert!(took > Duration::from_secs(8), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_routes_are_undecided_is_parked_whole() {
    let items: Vec<i32> = (0..50_000).collect();
    let others: Vec<i32> = (1..1000).map(|n| -n).collect();
    let list = [json!({"where": {"json": {"items": others}}})];
    let world = World::default();
    let webhook = webhook(&world, &list);
    let text = json!({ "items": items }).to_string();
    let request = signed("secret", body(json!({ "text": text })));
    let (status, answer) = ask(&webhook, &request).await;
    assert_eq!(
        (status, &answer["code"], &answer["targets"]),
        (200, &json!("accepted"), &json!([]))
    );
    let calls = world.calls();
    let letter = calls
        .last()
        .unwrap()
        .strip_prefix("park ")
        .expect("a parked letter");
    let letter: Value = serde_json::from_str(letter).unwrap();
    assert_eq!(
        (&letter["reason"], &letter["route"]),
        (&json!("undecided"), &Value::Null)
    );
}
