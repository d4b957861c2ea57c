//! Measurements of each answer.

use super::*;
use crate::testing::Measured;

async fn measured(webhook: &mut Webhook, request: &Request<Vec<u8>>) -> Vec<String> {
    let measured = Measured::default();
    webhook.metrics = measured.metrics();
    ask(webhook, request).await;
    measured.take()
}

#[tokio::test(start_paused = true)]
async fn each_route_counts_by_its_outcome() {
    let world = World::default();
    let mut webhook = webhook(&world, &two_targets());
    let request = signed("secret", body(json!({"publish_timestamp": NOW - 250})));
    let first = measured(&mut webhook, &request).await;
    let expected = [
        "accepted 1",
        "accepted_to_started a 0",
        "accepted_to_started b 0",
        "event_put b 1",
        "publish_to_accepted 250",
        "received 1",
        "started a 1",
    ];
    assert_eq!(first, expected);
    world.make(
        "start",
        Behaviour::Fails(Fault::permanent("InvalidName", "")),
    );
    world.make("put", Behaviour::Fails(Fault::transient("Throttled", "")));
    let second = measured(&mut webhook, &request).await;
    let expected = [
        "accepted 1",
        "dead_lettered a refused 1",
        "parked b 1",
        "publish_to_accepted 250",
        "received 1",
    ];
    assert_eq!(second, expected);
    world.make("park", Behaviour::Fails(Fault::transient("Throttled", "")));
    let third = measured(&mut webhook, &request).await;
    let expected = [
        "accepted 1",
        "dead_lettered a refused 1",
        "dead_lettered b unavailable 1",
        "publish_to_accepted 250",
        "received 1",
    ];
    assert_eq!(third, expected);
    world.make(
        "dead_letter",
        Behaviour::Fails(Fault::transient("Throttled", "")),
    );
    let fourth = measured(&mut webhook, &request).await;
    assert_eq!(fourth, ["received 1", "refused not_stored 1"]);
}

#[tokio::test(start_paused = true)]
async fn refusals_count_by_their_code() {
    let body = body(json!({}));
    let unsigned = Request::post("/").body(body.clone()).unwrap();
    let stale = super::body(json!({"publish_timestamp": NOW - 60_001}));
    for (request, code) in [
        (unsigned, "unsigned"),
        (signed("wrong", body), "bad_signature"),
        (signed("secret", b"{}".to_vec()), "malformed"),
        (signed("secret", stale), "stale"),
        (
            Request::put("/").body(vec![]).unwrap(),
            "method_not_allowed",
        ),
        (
            Request::post("/").body(vec![0; BODY_MAX + 1]).unwrap(),
            "too_large",
        ),
    ] {
        let mut webhook = webhook(&World::default(), &two_targets());
        let seen = measured(&mut webhook, &request).await;
        let mut expected = vec!["received 1".to_owned(), format!("refused {code} 1")];
        if code == "bad_signature" {
            expected.push("secret_reread 1".to_owned());
        }
        assert_eq!(seen, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn an_unrouted_message_counts_as_a_dead_letter_unless_ignored() {
    let request = signed("secret", body(json!({"topic": "nowhere"})));
    let mut webhook = webhook(
        &World::default(),
        &[json!({"from": {"cache": "c", "topic": "t"}})],
    );
    let seen = measured(&mut webhook, &request).await;
    assert_eq!(
        seen,
        [
            "dead_lettered unrouted 1",
            "publish_to_accepted 0",
            "received 1",
            "unrouted 1"
        ]
    );
    webhook.settings.unrouted = Unrouted::Ignore;
    let seen = measured(&mut webhook, &request).await;
    assert_eq!(seen, ["publish_to_accepted 0", "received 1", "unrouted 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_get_of_the_root_is_not_counted() {
    let mut webhook = webhook(&World::default(), &[]);
    let request = Request::get("/").body(vec![]).unwrap();
    assert!(measured(&mut webhook, &request).await.is_empty());
}
