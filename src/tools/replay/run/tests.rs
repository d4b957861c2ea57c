mod fake;

use serde_json::json;

use self::fake::Fake;
use super::*;
use crate::tools::letters::tests::letter;
use crate::tools::replay::reading::HOLD;

fn message(id: usize, route: &str) -> String {
    letter(&format!("id{id}."), Some(route), ("message", json!({})))
}

fn messages(count: usize) -> impl Iterator<Item = String> {
    let route = |id: usize| ["upper", "other"][usize::from(id.is_multiple_of(5))];
    (0..count).map(move |id| message(id, route(id)))
}

fn only_upper() -> Choice {
    Choice {
        routes: vec!["upper".to_owned()],
        ..Choice::default()
    }
}

/// A run, and the fates of its letters.
async fn run_of(
    queues: &Fake,
    (kind, choice): (DeadQueue, Choice),
    (dry_run, mut limit): (bool, Option<u64>),
) -> (Tally, Vec<Fate>) {
    let (stop, mut fates) = (AtomicBool::new(false), Vec::new());
    let job = Job {
        kind,
        choice: &choice,
        dry_run,
        stop: &stop,
    };
    let report = |_: &Tally, what: Option<(&Dead, Fate)>| fates.extend(what.map(|(_, fate)| fate));
    let tally = job.run(queues, &mut limit, report).await;
    (tally, fates)
}

async fn run(queues: &Fake, choice: Choice) -> (Tally, Vec<Fate>) {
    run_of(queues, (DeadQueue::Messages, choice), (false, None)).await
}

async fn all(queues: &Fake, kind: DeadQueue) -> Tally {
    let all = (kind, Choice::default());
    run_of(queues, all, (false, None)).await.0
}

async fn dry_run(queues: &Fake, limit: Option<u64>) -> (Tally, Vec<Fate>) {
    let all = (DeadQueue::Messages, Choice::default());
    run_of(queues, all, (true, limit)).await
}

#[tokio::test]
async fn matching_letters_go_back_and_the_rest_shows_again() {
    let queues = Fake {
        hands_out_twice: true,
        ..Fake::holding(messages(25))
    };
    let (tally, fates) = run(&queues, only_upper()).await;
    let expected = Tally {
        found: 25,
        replayed: 20,
        not_matching: 5,
        ..Tally::default()
    };
    assert_eq!(tally, expected);
    assert_eq!(fates, vec![Fate::Replayed; 20]);
    assert_eq!((queues.path().len(), queues.left()), (20, (5, true)));
    assert!(queues.path().iter().all(|body| body.contains("upper")));
    assert!(!tally.failed());
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let queues = Fake::holding(messages(25));
    let (tally, fates) = dry_run(&queues, Some(7)).await;
    assert_eq!((tally.found, tally.replayed, tally.over_limit), (10, 7, 3));
    assert!(tally.limit_reached);
    assert_eq!(fates, vec![Fate::WouldReplay; 7]);
    assert_eq!((queues.path().len(), queues.left()), (0, (25, true)));
}

#[tokio::test]
async fn the_limit_counts_matching_letters() {
    let queues = Fake::holding(messages(25));
    let upper = (DeadQueue::Messages, only_upper());
    let (tally, _) = run_of(&queues, upper, (false, Some(18))).await;
    assert_eq!(
        (tally.replayed, tally.over_limit, tally.not_matching),
        (18, 2, 5)
    );
    assert_eq!(queues.left(), (7, true));
}

#[tokio::test]
async fn unsent_letters_stay() {
    let queues = Fake {
        unsendable: vec!["id3.", "id7."],
        ..Fake::holding(messages(12))
    };
    let (tally, fates) = run(&queues, Choice::default()).await;
    assert_eq!(
        (tally.replayed, tally.not_sent, tally.broke_off.as_ref()),
        (10, 2, None)
    );
    assert!(tally.failed());
    // Each letter with its own fate.
    let unsent = fates.iter().position(|fate| *fate != Fate::Replayed);
    assert_eq!(unsent, Some(3));
    assert_eq!(queues.left(), (2, true));
    let path = queues.path().concat();
    assert!(!path.contains("id3.") && !path.contains("id7."));
}

#[tokio::test]
async fn a_batch_without_a_success_ends_the_run() {
    let queues = Fake {
        unsendable: vec!["id"],
        ..Fake::holding(messages(25))
    };
    let (tally, _) = run(&queues, Choice::default()).await;
    assert_eq!((tally.found, tally.not_sent), (10, 10));
    assert!(tally.broke_off.is_some());
    assert_eq!(queues.left(), (25, true));
}

#[tokio::test]
async fn a_sent_letter_without_a_deletion_is_reported_and_sent_once() {
    let queues = Fake {
        undeletable: true,
        hands_out_twice: true,
        ..Fake::holding(messages(3))
    };
    let (tally, _) = run(&queues, Choice::default()).await;
    assert_eq!((tally.replayed, tally.not_deleted), (0, 3));
    assert!(tally.failed());
    assert_eq!(queues.path().len(), 3);
}

#[tokio::test]
async fn a_returning_letter_is_sent_once() {
    let letters = messages(15).collect();
    let copies = vec![message(1, "upper"); 2];
    // A text other than an event comes back in a letter with another id.
    let text = vec!["no JSON".to_owned()];
    for (kind, bodies, comes_back) in [
        (DeadQueue::Messages, letters, true),
        (DeadQueue::Messages, copies.clone(), true),
        (DeadQueue::Results, text, true),
        (DeadQueue::Messages, copies, false),
    ] {
        let count = bodies.len();
        let queues = Fake {
            comes_back,
            ..Fake::holding(bodies)
        };
        let tally = all(&queues, kind).await;
        let back = if comes_back { count } else { 0 };
        assert_eq!(
            (tally.found, tally.replayed, tally.came_back),
            (count as u64, count as u64, back as u64)
        );
        assert_eq!((queues.path().len(), queues.left()), (count, (back, true)));
    }

    // A message without a route comes back from its new route.
    let unrouted = letter("a", None, ("message", json!({})));
    let routed = letter("a", Some("upper"), ("message", json!({})));
    let queues = Fake::holding([unrouted, routed]);
    queues.state.lock().unwrap().at_first = 1;
    let tally = all(&queues, DeadQueue::Messages).await;
    assert_eq!((tally.replayed, tally.came_back), (1, 1));
}

#[tokio::test]
async fn a_record_without_a_letter_stays_among_messages_and_goes_back_among_results() {
    let queues = Fake::holding(["hush".to_owned(), message(1, "upper")]);
    let (tally, fates) = run(&queues, Choice::default()).await;
    assert_eq!(
        (tally.replayed, tally.no_letter, tally.failed()),
        (1, 1, false)
    );
    assert_eq!(fates, [Fate::NoLetter, Fate::Replayed]);
    assert_eq!(queues.left(), (1, true));

    let event = letter("e", Some("upper"), ("event", json!({"id": "e"})));
    let queues = Fake::holding(["hush".to_owned(), event]);
    let tally = all(&queues, DeadQueue::Results).await;
    assert_eq!((tally.replayed, queues.left().0), (2, 0));
    assert_eq!(queues.path(), ["hush", r#"{"id":"e"}"#]);
}

#[tokio::test]
async fn a_failed_receive_ends_the_run() {
    let queues = Fake {
        unreadable_after: Some(1),
        ..Fake::holding(messages(25))
    };
    let (tally, _) = run(&queues, only_upper()).await;
    assert_eq!(
        (tally.replayed, tally.broke_off.as_deref()),
        (8, Some("AccessDenied"))
    );
    assert_eq!(queues.left(), (17, true));
}

#[tokio::test]
async fn a_signal_ends_the_run_after_the_batch_in_hand() {
    let queues = Fake::holding(messages(25));
    let stop = AtomicBool::new(false);
    let choice = only_upper();
    let job = Job {
        kind: DeadQueue::Messages,
        choice: &choice,
        dry_run: false,
        stop: &stop,
    };
    let report = |_: &Tally, _: Option<(&Dead, Fate)>| stop.store(true, Ordering::Relaxed);
    let tally = job.run(&queues, &mut None, report).await;
    assert_eq!((tally.found, tally.replayed, tally.stopped), (10, 8, true));
    assert_eq!(queues.left(), (17, true));
}

#[tokio::test(start_paused = true)]
async fn a_long_run_renews_its_hold() {
    let slow = Fake {
        receive_takes: HOLD / 3,
        ..Fake::holding(messages(25))
    };
    let (tally, _) = dry_run(&slow, None).await;
    assert_eq!((tally.found, slow.left()), (25, (25, true)));
    assert!(slow.state.lock().unwrap().held >= 20);
    let quick = Fake::holding(messages(25));
    dry_run(&quick, None).await;
    assert_eq!(quick.state.lock().unwrap().held, 0);
}
