//! Targets and queues that fail: what is tried again, and where a message is stored.

use super::*;

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
async fn a_target_that_hangs_leaves_time_for_parking() {
    let world = World::default();
    world.make("start", Behaviour::Hangs);
    let began = Instant::now();
    assert_eq!(
        outcomes(&world, &[json!({}), bus()], json!({})).await,
        [Outcome::Parked, Outcome::EventPut]
    );
    assert_eq!(began.elapsed(), Duration::from_millis(2500));
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_hangs_once_gets_a_second_attempt() {
    let world = World::default();
    world.make("start", Behaviour::Hangs);
    world.make("park", Behaviour::HangsOnce);
    assert_eq!(
        outcomes(&world, &[json!({})], json!({})).await,
        [Outcome::Parked]
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_queue_the_outcome_is_not_stored_in_time() {
    for (target, queue) in [
        (Fault::transient("InternalFailure", "x"), "park"),
        (
            Fault::permanent("StateMachineDoesNotExist", "x"),
            "dead_letter",
        ),
    ] {
        let world = World::default();
        world.make("start", Behaviour::Fails(target));
        world.make("park", Behaviour::Hangs);
        world.make("dead_letter", Behaviour::Hangs);
        let began = Instant::now();
        assert_eq!(
            outcomes(&world, &[json!({})], json!({})).await,
            [Outcome::NotStored]
        );
        assert!(began.elapsed() <= Duration::from_secs(4));
        let calls = world.calls();
        assert!(
            calls.iter().any(|call| call.starts_with(queue)),
            "{calls:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_input_over_256_kib_is_a_dead_letter_at_once() {
    let world = World::default();
    let list = [
        json!({}),
        json!({"to": {"stateMachine": MACHINE, "input": "payload"}}),
    ];
    let fields = json!({"text": "x".repeat(262_144)});
    assert_eq!(
        outcomes(&world, &list, fields).await,
        [Outcome::DeadLettered; 2]
    );
    for letter in letters(&world, "dead_letter ") {
        assert_eq!((letter.reason, letter.attempts), (Reason::InputTooLarge, 0));
        assert!(letter.detail.contains("at most 262144 bytes"));
    }
    assert_eq!(world.calls().len(), 2, "nothing was started");
}

#[tokio::test(start_paused = true)]
async fn a_letter_refused_by_one_queue_goes_to_the_other() {
    for refusal in [
        Fault::later("AccessDeniedException", "no"),
        Fault::permanent("AWS.SimpleQueueService.NonExistentQueue", "gone"),
        Fault::later("KmsDisabled", "off"),
    ] {
        for (target, refuses, takes, outcome) in [
            (
                Fault::transient("InternalFailure", "x"),
                "park",
                "dead_letter",
                Outcome::DeadLettered,
            ),
            (
                Fault::permanent("InvalidArn", "x"),
                "dead_letter",
                "park",
                Outcome::Parked,
            ),
        ] {
            let world = World::default();
            world.make("start", Behaviour::Fails(target));
            world.make(refuses, Behaviour::Fails(refusal.clone()));
            let began = Instant::now();
            assert_eq!(outcomes(&world, &[json!({})], json!({})).await, [outcome]);
            assert!(began.elapsed() <= Duration::from_secs(4));
            let [letter] = letters(&world, &format!("{takes} ")).try_into().unwrap();
            let why = format!("did not take it: {refusal}");
            assert!(letter.detail.contains(&why), "{}", letter.detail);
            assert_eq!(letter.route.as_deref(), Some("r0"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_other_queue_has_a_second_for_an_attempt() {
    let world = World::default();
    let (wrong, refusal) = (
        Fault::permanent("InvalidArn", "x"),
        Fault::later("AccessDeniedException", "no"),
    );
    world.make("start", Behaviour::Fails(wrong));
    world.make("dead_letter", Behaviour::Fails(refusal));
    world.make("park", Behaviour::HangsOnce);
    let began = Instant::now();
    assert_eq!(
        outcomes(&world, &[json!({})], json!({})).await,
        [Outcome::Parked]
    );
    // And a pause before both are tried again.
    assert_eq!(began.elapsed(), Duration::from_millis(1100));
}

#[tokio::test(start_paused = true)]
async fn storing_is_retried_with_pauses_while_both_queues_refuse() {
    let world = World::default();
    for call in ["start", "park", "dead_letter"] {
        world.make(
            call,
            Behaviour::Fails(Fault::later("AccessDeniedException", "no")),
        );
    }
    let (message, began) = (message(json!({})), Instant::now());
    let trace = trace(&message);
    let deadlines = Deadlines {
        store: began + Duration::from_secs(9),
        ..soon()
    };
    let (targets, queues) = (world.targets(), world.queues());
    let list = routes(&[json!({})]);
    let [delivery] = deliver(
        incoming(&message, &trace),
        list.matching(&message),
        &targets,
        &queues,
        deadlines,
    )
    .await
    .try_into()
    .unwrap();
    assert_eq!(delivery.outcome, Outcome::NotStored);
    assert_eq!(delivery.queue_fault.unwrap().code, "AccessDeniedException");
    assert!(began.elapsed() > Duration::from_secs(7) && began.elapsed() <= Duration::from_secs(9));
    let calls = world.calls().len();
    assert!((10..40).contains(&calls), "{calls}");
}

#[test]
fn deadlines_leave_time_for_later_steps() {
    let now = Instant::now();
    let ms = |ms| now + Duration::from_millis(ms);
    let usual = Deadlines::within(Duration::from_secs(4), ms(4000), ms(9500));
    assert_eq!(
        (usual.target, usual.answer, usual.store),
        (ms(2500), ms(4000), ms(9500))
    );
    assert_eq!((usual.secrets(), usual.reread()), (ms(7500), ms(3250)));
    // A message verified in time keeps the target's end; one verified late has a second, except for the queues' last one.
    assert_eq!(usual.once_verified(ms(100)).target, ms(2500));
    assert_eq!(usual.once_verified(ms(2000)).target, ms(3000));
    assert_eq!(usual.once_verified(ms(7000)).target, ms(8000));
    assert_eq!(usual.once_verified(ms(8000)).target, ms(8500));
    let bounded = Deadlines::within(Duration::from_secs(4), ms(4000), ms(0));
    assert_eq!(bounded.store, ms(4000));
    assert_eq!((bounded.secrets(), bounded.reread()), (ms(3250), ms(3250)));
    assert_eq!(bounded.once_verified(ms(3200)).target, ms(3000));
}
