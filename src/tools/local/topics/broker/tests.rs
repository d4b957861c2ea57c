use super::*;

fn broker(limits: Limits) -> Arc<Broker> {
    Broker::new(limits)
}

fn publish(broker: &Broker, topic: &str, text: &str) {
    broker
        .publish("demo", topic, text.into(), Publisher::default(), |_| ())
        .unwrap();
}

fn at(broker: &Arc<Broker>, sequence: u64, page: u64) -> Subscriber {
    broker
        .subscribe("demo", "t", Position { sequence, page })
        .unwrap()
}

/// The next batch, as `text` or `!last>next`.
async fn read(subscriber: &mut Subscriber) -> Vec<String> {
    let batch = subscriber.next(100).await.unwrap();
    let show = |delivery: &Delivery| match delivery {
        Delivery::Message(message) => match &message.value {
            Value::Text(text) => text.clone(),
            Value::Binary(_) => unreachable!("the tests publish text"),
        },
        Delivery::Discontinuity(gap) => format!("!{}>{}", gap.last, gap.next),
    };
    batch.iter().map(show).collect()
}

#[tokio::test]
async fn a_subscription_without_position_gets_later_messages() {
    let broker = broker(Limits {
        replay: 0,
        ..Limits::default()
    });
    publish(&broker, "t", "a");
    let mut subscriber = at(&broker, 0, 0);
    publish(&broker, "t", "b");
    publish(&broker, "other", "x");
    publish(&broker, "t", "c");
    assert_eq!(read(&mut subscriber).await, ["b", "c"]);
}

#[tokio::test]
async fn the_last_message_is_replayed_to_a_subscription_without_position() {
    let broker = broker(Limits::default());
    let mut early = at(&broker, 0, 0);
    for text in ["a", "b", "c"] {
        publish(&broker, "t", text);
    }
    assert_eq!(read(&mut early).await, ["a", "b", "c"]);
    assert_eq!(read(&mut at(&broker, 0, 0)).await, ["c"]);
    assert_eq!(read(&mut at(&broker, 3, 0)).await, ["c"]);
    assert_eq!(read(&mut at(&broker, 1, 0)).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_position_resumes_and_a_wrong_one_is_a_discontinuity() {
    let broker = broker(Limits::default());
    for text in ["a", "b", "c"] {
        publish(&broker, "t", text);
    }
    let page = at(&broker, 0, 0).position().page;
    assert_eq!(read(&mut at(&broker, 2, page)).await, ["b", "c"]);
    assert_eq!(read(&mut at(&broker, 2, 0)).await, ["b", "c"]);
    assert_eq!(read(&mut at(&broker, 0, page)).await, ["a", "b", "c"]);
    // After another page, all of the current one is new.
    let whole = ["!1>1", "a", "b", "c"];
    assert_eq!(read(&mut at(&broker, 2, page - 1)).await, whole);
    assert_eq!(read(&mut at(&broker, u64::MAX, u64::MAX)).await.len(), 4);
    // A number never reached.
    assert_eq!(read(&mut at(&broker, 10, page)).await, ["!9>3", "c"]);
    // The next one.
    let mut next = at(&broker, 4, page);
    publish(&broker, "t", "d");
    assert_eq!(read(&mut next).await, ["d"]);
}

#[tokio::test]
async fn a_position_before_the_history_is_a_discontinuity() {
    let broker = broker(Limits {
        history: 3,
        ..Limits::default()
    });
    for text in ["a", "b", "c", "d", "e"] {
        publish(&broker, "t", text);
    }
    let page = at(&broker, 0, 0).position().page;
    assert_eq!(read(&mut at(&broker, 3, page)).await, ["c", "d", "e"]);
    for (sequence, page) in [(2, page), (2, 0), (2, page - 1)] {
        assert_eq!(read(&mut at(&broker, sequence, page)).await, ["!1>5", "e"]);
    }
    // Number 1 without a page asks for the whole history.
    assert_eq!(read(&mut at(&broker, 1, 0)).await, ["!0>3", "c", "d", "e"]);
}

#[tokio::test]
async fn a_beginning_names_the_next_new_message() {
    let broker = broker(Limits::default());
    let beginning = |subscriber: Subscriber| subscriber.beginning().map(|begin| begin.next);
    assert_eq!(beginning(at(&broker, 0, 0)), Some(1));
    for text in ["a", "b", "c"] {
        publish(&broker, "t", text);
    }
    let page = at(&broker, 0, 0).position().page;
    assert_eq!(beginning(at(&broker, 0, 0)), Some(4));
    assert_eq!(beginning(at(&broker, 2, 0)), Some(2));
    assert_eq!(beginning(at(&broker, 2, page)), None);
    // The gap names it.
    assert_eq!(beginning(at(&broker, 9, 0)), None);
}

#[tokio::test]
async fn a_deleted_cache_ends_its_subscriptions_and_begins_another_page() {
    let broker = broker(Limits::default());
    publish(&broker, "t", "a");
    let mut subscriber = at(&broker, 0, 0);
    let page = subscriber.position().page;
    read(&mut subscriber).await;
    broker.delete_cache("other");
    publish(&broker, "t", "b");
    assert_eq!(read(&mut subscriber).await, ["b"]);
    broker.delete_cache("demo");
    assert_eq!(subscriber.next(1).await, None);
    assert!(at(&broker, 0, 0).position().page > page);
}

#[tokio::test]
async fn a_slow_subscriber_gets_a_discontinuity_and_the_history() {
    let by_count = Limits {
        history: 2,
        ..Limits::default()
    };
    let by_bytes = Limits {
        history_bytes: 2,
        ..Limits::default()
    };
    for limits in [by_count, by_bytes] {
        let broker = broker(limits);
        let mut slow = at(&broker, 0, 0);
        for text in ["a", "b", "c", "d", "e"] {
            publish(&broker, "t", text);
        }
        assert_eq!(read(&mut slow).await, ["!0>4", "d", "e"]);
    }
}

#[tokio::test]
async fn a_message_larger_than_the_history_is_a_gap() {
    let limits = Limits {
        history_bytes: 2,
        ..Limits::default()
    };
    let broker = broker(limits);
    let mut subscriber = at(&broker, 0, 0);
    publish(&broker, "t", "abc");
    assert_eq!(read(&mut subscriber).await, ["!0>2"]);
    publish(&broker, "t", "d");
    assert_eq!(read(&mut subscriber).await, ["d"]);
}

#[tokio::test]
async fn a_batch_is_bounded_and_the_next_one_goes_on() {
    let broker = broker(Limits::default());
    let mut subscriber = at(&broker, 0, 0);
    for text in ["a", "b", "c"] {
        publish(&broker, "t", text);
    }
    assert_eq!(subscriber.next(2).await.unwrap().len(), 2);
    assert_eq!(read(&mut subscriber).await, ["c"]);
}

#[tokio::test]
async fn a_reset_starts_a_greater_page_with_a_discontinuity() {
    let broker = broker(Limits::default());
    let mut subscriber = at(&broker, 0, 0);
    publish(&broker, "t", "a");
    publish(&broker, "t", "b");
    read(&mut subscriber).await;
    let page = subscriber.position().page;
    broker.reset("demo", "t");
    assert_eq!(read(&mut subscriber).await, ["!2>1"]);
    assert!(subscriber.position().page > page);
    publish(&broker, "t", "c");
    assert_eq!(read(&mut subscriber).await, ["c"]);
}

#[tokio::test]
async fn the_idlest_topic_without_subscribers_makes_room() {
    let limits = Limits {
        topics: 2,
        ..Limits::default()
    };
    let broker = broker(limits);
    publish(&broker, "t", "a");
    let mut held = at(&broker, 0, 0);
    let page = held.position().page;
    publish(&broker, "u", "x");
    publish(&broker, "v", "y");
    publish(&broker, "t", "b");
    assert_eq!(read(&mut held).await, ["a", "b"]);
    drop(held);
    publish(&broker, "u", "x");
    publish(&broker, "v", "y");
    // The topic was dropped and made anew, so the old position is invalid.
    assert_eq!(read(&mut at(&broker, 3, page)).await, ["!2>1"]);
}

#[tokio::test]
async fn subscribers_and_watched_topics_are_bounded() {
    let limits = Limits {
        topics: 1,
        subscribers: 1,
        ..Limits::default()
    };
    let broker = broker(limits);
    let held = at(&broker, 0, 0);
    let refused = broker.subscribe("demo", "t", Position::default());
    assert_eq!(refused.err(), Some(BrokerError::TooManySubscribers));
    let refused = broker.publish("demo", "u", "x".into(), Publisher::default(), |_| ());
    assert_eq!(refused, Err(BrokerError::TooManyTopics));
    drop(held);
    publish(&broker, "u", "x");
}

#[tokio::test]
async fn closing_ends_subscriptions_and_refuses_messages() {
    let broker = broker(Limits::default());
    let mut subscriber = at(&broker, 0, 0);
    let waiting = tokio::spawn(async move { subscriber.next(1).await });
    broker.close();
    assert_eq!(waiting.await.unwrap(), None);
    let refused = broker.publish("demo", "t", "x".into(), Publisher::default(), |_| ());
    assert_eq!(refused, Err(BrokerError::Closed));
}
