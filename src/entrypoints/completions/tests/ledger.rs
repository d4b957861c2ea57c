use std::collections::HashMap;
use std::sync::Mutex;

use super::*;
use crate::domain::ports::{Answer, Lease, Ledger};

#[tokio::test(start_paused = true)]
async fn a_recorded_publication_is_not_repeated() {
    let world = World::default();
    let event = topic_publish(json!("x"));
    for _ in 0..2 {
        let records = [status_change(json!({})), event.clone()];
        assert!(failures(&world, &records).await.is_empty());
    }
    assert_eq!(calls(&world), ["publish demo/out HELLO", "publish c/t x"]);
    // A redriven execution ends once more.
    let redriven = status_change(json!({"redriveCount": 1}));
    assert!(failures(&world, &[redriven]).await.is_empty());
    assert_eq!(calls(&world).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn of_two_topics_only_the_one_that_failed_is_published_again() {
    let world = World::default();
    let event = json!({"id": "e", "source": "workflow-bridge", "detail-type": "Topic Publish", "detail": {"messages": [
        {"cache": "c", "topic": "a", "value": "1"}, {"cache": "c", "topic": "b", "value": "2"}, {"cache": "c", "topic": "a", "value": "3"},
    ]}});
    world.make(
        "publish c/b",
        Behaviour::Fails(Fault::later("AuthenticationError", "no")),
    );
    assert_eq!(failures(&world, std::slice::from_ref(&event)).await, ["m0"]);
    world.heal();
    assert!(failures(&world, &[event]).await.is_empty());
    let published: Vec<_> = calls(&world)
        .into_iter()
        .filter(|call| call.starts_with("publish"))
        .collect();
    assert_eq!(
        published,
        [
            "publish c/a 1",
            "publish c/b 2",
            "publish c/a 3",
            "publish c/b 2"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn without_its_ledger_nothing_is_published_and_nothing_lost() {
    for fault in [
        Fault::transient("InternalServerError", "x"),
        Fault::permanent("ResourceNotFoundException", "no table"),
    ] {
        let world = World::default();
        world.make("begin", Behaviour::Fails(fault));
        assert_eq!(failures(&world, &[status_change(json!({}))]).await, ["m0"]);
        let calls = world.calls();
        assert!(!calls.iter().any(|call| call.starts_with("publish")));
        // The lease may have been granted without a response.
        assert!(calls.iter().any(|call| call.starts_with("release")));
        world.heal();
        assert!(
            failures(&world, &[status_change(json!({}))])
                .await
                .is_empty()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn giving_an_event_back_is_retried() {
    let world = World::default();
    let fault = Fault::transient("InternalServerError", "x");
    world.make("publish", Behaviour::Fails(fault.clone()));
    world.make("release", Behaviour::FailsOnce(fault));
    assert_eq!(failures(&world, &[status_change(json!({}))]).await, ["m0"]);
    let calls = world.calls();
    let given_back = calls.iter().filter(|call| call.starts_with("release"));
    assert_eq!(given_back.count(), 2, "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn an_event_is_done_even_if_the_ledger_is_not_updated() {
    let world = World::default();
    world.make("finish", Behaviour::Hangs);
    assert!(
        failures(&world, &[status_change(json!({}))])
            .await
            .is_empty()
    );
}

#[tokio::test(start_paused = true)]
async fn an_event_leased_to_another_invocation_returns_after_its_lease() {
    struct Held;
    impl Ledger for Held {
        fn begin<'a>(&'a self, _: &'a str, _: &'a str, _: i64) -> Answer<'a, Lease> {
            Box::pin(async { Ok(Lease::Busy { until_ms: 8500 }) })
        }
        fn finish<'a>(&'a self, _: &'a str) -> Answer<'a, ()> {
            unreachable!("not leased here")
        }
        fn release<'a>(&'a self, _: &'a str, _: &'a str, _: &'a [String]) -> Answer<'a, ()> {
            unreachable!("not leased here")
        }
    }
    let world = World::default();
    let mut completion = completion(&world);
    completion.complete.publisher.ledger = Some(Arc::new(Held));
    let failures = failures_of(&completion, &[status_change(json!({}))], 2).await;
    assert_eq!(failures, ["m0"]);
    assert_eq!(calls(&world), ["postpone r0 8"]);
}

/// Leases each event to one owner.
#[derive(Default)]
struct Leases(Mutex<HashMap<String, String>>);

impl Ledger for Leases {
    fn begin<'a>(&'a self, id: &'a str, owner: &'a str, until_ms: i64) -> Answer<'a, Lease> {
        let mut leases = self.0.lock().unwrap();
        let holder = leases.entry(id.to_owned()).or_insert(owner.to_owned());
        let begun = if holder == owner {
            Lease::Yours {
                published: Vec::new(),
            }
        } else {
            Lease::Busy { until_ms }
        };
        Box::pin(async { Ok(begun) })
    }
    fn finish<'a>(&'a self, _: &'a str) -> Answer<'a, ()> {
        Box::pin(async { Ok(()) })
    }
    fn release<'a>(&'a self, _: &'a str, _: &'a str, _: &'a [String]) -> Answer<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_copies_in_one_batch_one_is_published() {
    let world = World::default();
    let mut completion = completion(&world);
    completion.complete.publisher.ledger = Some(Arc::new(Leases::default()));
    let twice = [status_change(json!({})), status_change(json!({}))];
    assert_eq!(failures_of(&completion, &twice, 1).await, ["m1"]);
    let calls = calls(&world);
    assert_eq!(
        (calls.len(), calls[0].as_str()),
        (2, "publish demo/out HELLO")
    );
    assert!(calls[1].starts_with("postpone r1 "), "{calls:?}");
    // An event leased until its last receive becomes a dead letter, which an operator can replay.
    assert_eq!(failures_of(&completion, &twice[..1], 3).await, [""; 0]);
    assert_eq!(letter(&world).reason, Reason::GaveUp);
}

#[tokio::test(start_paused = true)]
async fn a_marker_of_the_sweep_is_entered_into_the_ledger() {
    let world = World::default();
    let marker = json!({"id": "sweep-marker#1", "source": "workflow-bridge", "detail-type": "Sweep Marker", "resources": [], "detail": {}});
    world.make(
        "finish",
        Behaviour::Fails(Fault::permanent("ResourceNotFoundException", "no table")),
    );
    assert_eq!(
        failures(&world, std::slice::from_ref(&marker)).await,
        ["m0"]
    );
    world.heal();
    assert!(failures(&world, &[marker]).await.is_empty());
    let calls = world.calls();
    assert!(
        !calls.iter().any(|call| call.starts_with("publish")),
        "{calls:?}"
    );
    assert!(
        calls.iter().any(|call| call.starts_with("finish")),
        "{calls:?}"
    );
}
