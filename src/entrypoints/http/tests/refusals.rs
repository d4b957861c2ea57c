//! Refused requests: method, size, signature, body and time, in this order.

use super::*;

#[tokio::test(start_paused = true)]
async fn the_method_is_checked_first() {
    for method in ["GET", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS"] {
        let mut request = signed("wrong", vec![b'x'; BODY_MAX + 1]);
        *request.method_mut() = method.parse().unwrap();
        *request.uri_mut() = "/elsewhere".parse().unwrap();
        assert_eq!(
            outcome(request).await,
            (405, "method_not_allowed".into(), vec![]),
            "{method}"
        );
    }
    let world = World::default();
    let (status, about) = ask(
        &webhook(&world, &[]),
        &Request::get("/").body(vec![]).unwrap(),
    )
    .await;
    assert_eq!(
        (status, about),
        (
            200,
            json!({"name": "workflow-bridge", "version": crate::VERSION})
        )
    );
    assert!(world.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_size_comes_before_the_signature() {
    assert_eq!(
        outcome(signed("wrong", vec![b'x'; BODY_MAX + 1])).await,
        (413, "too_large".into(), vec![])
    );
    assert_eq!(
        outcome(signed("wrong", vec![b'x'; BODY_MAX])).await.1,
        "bad_signature"
    );
}

#[tokio::test(start_paused = true)]
async fn the_signature_comes_before_the_body() {
    let unsigned = Request::post("/").body(b"not json".to_vec()).unwrap();
    assert_eq!(outcome(unsigned).await, (401, "unsigned".into(), vec![]));
    assert_eq!(
        outcome(signed("wrong", b"not json".to_vec())).await,
        (401, "bad_signature".into(), vec![])
    );
    let good = sign("secret", &body(json!({})));
    for wrong in [
        "",
        &good[1..],
        &format!("{good}0"),
        "zz",
        &format!("sha3-256={good}"),
        &format!("{good}, {good}"),
    ] {
        let request = Request::post("/")
            .header("momento-signature", wrong)
            .body(body(json!({})))
            .unwrap();
        assert_eq!(
            outcome(request).await,
            (401, "bad_signature".into(), vec![]),
            "{wrong}"
        );
    }
    let twice = Request::post("/")
        .header("momento-signature", &good)
        .header("momento-signature", &good);
    assert_eq!(
        outcome(twice.body(body(json!({}))).unwrap()).await.1,
        "bad_signature"
    );
    let upper = Request::post("/").header("momento-signature", good.to_uppercase());
    assert_eq!(
        outcome(upper.body(body(json!({}))).unwrap()).await.1,
        "accepted"
    );
    assert_eq!(
        outcome(signed("older secret", body(json!({})))).await.1,
        "accepted"
    );
}

#[tokio::test(start_paused = true)]
async fn a_verified_body_without_a_message_is_malformed() {
    for wrong in [
        &b"not json"[..],
        b"",
        b"{}",
        b"\xff\xfe",
        &b"[".repeat(2000),
    ] {
        assert_eq!(
            outcome(signed("secret", wrong.to_vec())).await,
            (400, "malformed".into(), vec![])
        );
    }
    for fields in [
        json!({"text": null}),
        json!({"publish_timestamp": NOW.to_string()}),
        json!({"publish_timestamp": NOW as f64 + 0.5}),
    ] {
        assert_eq!(outcome(signed("secret", body(fields))).await.1, "malformed");
    }
}

#[tokio::test(start_paused = true)]
async fn freshness_is_checked_both_ways_and_calls_no_target() {
    for (publish_timestamp, status, code) in [
        (NOW - 59_000, 200, "accepted"),
        (NOW - 60_000, 200, "accepted"),
        (NOW - 60_001, 403, "stale"),
        (NOW - 61_000, 403, "stale"),
        (NOW + 29_000, 200, "accepted"),
        (NOW + 30_000, 200, "accepted"),
        (NOW + 30_001, 403, "from_the_future"),
        (NOW + 600_000, 403, "from_the_future"),
        (0, 403, "stale"),
        (-1, 403, "stale"),
        (i64::MIN, 403, "stale"),
        (i64::MAX, 403, "from_the_future"),
    ] {
        let (s, c, calls) = outcome(signed(
            "secret",
            body(json!({"publish_timestamp": publish_timestamp})),
        ))
        .await;
        assert_eq!((s, c.as_str()), (status, code), "{publish_timestamp}");
        assert_eq!(
            calls.is_empty(),
            status == 403,
            "{publish_timestamp}: {calls:?}"
        );
    }
    // Older events are fine when their delivery is fresh.
    assert_eq!(
        outcome(signed("secret", body(json!({"event_timestamp": 0}))))
            .await
            .1,
        "accepted"
    );
}
