use std::collections::HashSet;

use super::*;
use crate::domain::inbound::routes::tests::MACHINE;

pub(crate) mod cloud;
mod first;

use cloud::{Cloud, DAY, MINUTE, START, now, set_now};

impl Cloud {
    /// One turn of `MACHINE`, of at most `seconds`.
    async fn turn(&self, reach: Reach, seconds: u64) -> Result<(Turn, Tally), Failed> {
        let mut budget = Budget::new(now(), Instant::now() + Duration::from_secs(seconds));
        let mut tally = Tally::default();
        let sweep = self.sweep();
        let routes = ["r".to_owned()];
        let mut job = sweep.job(MACHINE, &routes, reach, now()).await?;
        let grace = sweep.grace(Some(sweep.waiting().await?));
        let turn = sweep.turn(&mut job, grace, &mut budget, &mut tally).await?;
        Ok((turn, tally))
    }

    /// A complete turn; returns the number of finds.
    async fn pass(&self, reach: Reach) -> usize {
        let (turn, tally) = self.turn(reach, 60).await.unwrap();
        assert_eq!(turn, Turn::Complete);
        tally.found
    }
}

/// A cloud swept once, at [`START`].
async fn cloud() -> Cloud {
    set_now(START);
    let cloud = Cloud::default();
    cloud.state().page = 1000;
    assert_eq!(
        cloud.pass(Reach::Recent).await + cloud.pass(Reach::Far).await,
        0
    );
    cloud
}

#[tokio::test(start_paused = true)]
async fn an_end_without_an_event_is_queued_once() {
    let cloud = cloud().await;
    cloud.runs(MACHINE, "lost", &[(START - MINUTE, START + 1)]);
    cloud.runs(MACHINE, "known", &[(START + 1, START + 2)]);
    cloud.runs(MACHINE, "open", &[(START + 2, i64::MAX)]);
    cloud.state().ledger.insert("arn:known#0".to_owned());
    set_now(START + 5 * MINUTE);
    assert_eq!(cloud.pass(Reach::Recent).await, 1);
    assert_eq!(
        cloud.pass(Reach::Recent).await + cloud.pass(Reach::Far).await,
        0
    );
    assert_eq!(cloud.queued(), ["lost#0"]);
    assert!(cloud.state().ledger.contains("arn:lost#0"));

    let event = cloud.state().queued[0].clone();
    assert_eq!(
        (&event["source"], &event["detail-type"]),
        (
            &json!("aws.states"),
            &json!("Step Functions Execution Status Change")
        )
    );
    assert!(event["id"].as_str().unwrap().starts_with("sweep-"));
    assert_eq!(event["detail"]["startDate"], START - MINUTE);
    assert_eq!(event["detail"]["stopDate"], START + 1);
    let execution: crate::domain::outbound::result::Execution =
        serde_json::from_value(event["detail"].clone()).unwrap();
    assert_eq!(
        (
            execution.execution_arn.as_str(),
            execution.state_machine_arn.as_str()
        ),
        ("arn:lost", MACHINE)
    );
    // So the completion fetches input and output.
    assert!(execution.has_ended() && execution.lacks_detail());
}

#[tokio::test(start_paused = true)]
async fn an_event_has_the_grace_to_arrive() {
    let cloud = cloud().await;
    cloud.runs(MACHINE, "fresh", &[(START, START + 5 * MINUTE)]);
    set_now(START + 7 * MINUTE - 1);
    assert_eq!(cloud.pass(Reach::Recent).await, 0);
    set_now(START + 7 * MINUTE);
    assert_eq!(cloud.pass(Reach::Recent).await, 1);
}

#[tokio::test(start_paused = true)]
async fn an_end_is_not_lost_while_it_may_be_in_the_backlog() {
    let cloud = cloud().await;
    cloud.runs(MACHINE, "waits", &[(START, START + MINUTE)]);
    cloud.runs(MACHINE, "lost", &[(START, START + 2 * MINUTE)]);
    cloud.state().waiting = 1;
    for minutes in (10..=350).step_by(10) {
        set_now(START + minutes * MINUTE);
        assert_eq!(cloud.pass(Reach::Recent).await, 0, "{minutes}");
    }
    cloud.state().waiting = 0;
    cloud.state().ledger.insert("arn:waits#0".to_owned());
    assert_eq!(cloud.pass(Reach::Recent).await, 1);
    assert_eq!(cloud.queued(), ["lost#0"]);
}

#[tokio::test(start_paused = true)]
async fn no_backlog_hides_a_loss_for_ever() {
    let cloud = cloud().await;
    cloud.runs(MACHINE, "lost", &[(START, START + MINUTE)]);
    cloud.state().waiting = 1;
    set_now(START + 361 * MINUTE - 1);
    assert_eq!(cloud.pass(Reach::Recent).await, 0);
    set_now(START + 361 * MINUTE);
    assert_eq!(cloud.pass(Reach::Recent).await, 1);
}

#[tokio::test(start_paused = true)]
async fn ends_skipped_during_a_backlog_are_found_later() {
    let cloud = cloud().await;
    cloud.state().page = 1;
    for i in 0..6 {
        cloud.runs(MACHINE, &format!("e{i}"), &[(START + i, START + MINUTE)]);
    }
    cloud.state().waiting = 1;
    set_now(START + 30 * MINUTE);
    let (turn, tally) = cloud.turn(Reach::Recent, 3).await.unwrap();
    assert_eq!((turn, tally.found), (Turn::Cut, 0));
    cloud.state().waiting = 0;
    assert_eq!(cloud.pass(Reach::Recent).await, 2);
    assert_eq!(cloud.pass(Reach::Recent).await, 4);
}

#[tokio::test(start_paused = true)]
async fn every_end_of_a_redriven_execution_counts() {
    let cloud = cloud().await;
    let runs = [
        (START + 1, START + MINUTE),
        (START + 20 * MINUTE, START + 21 * MINUTE),
        (START + 9 * DAY, START + 9 * DAY + 1),
    ];
    cloud.runs(MACHINE, "r", &runs);
    cloud.state().ledger.insert("arn:r#0".to_owned());
    set_now(START + 10 * MINUTE);
    assert_eq!(cloud.pass(Reach::Recent).await, 0);
    set_now(START + 30 * MINUTE);
    assert_eq!(cloud.pass(Reach::Recent).await, 1);
    set_now(START + 8 * DAY);
    assert_eq!(cloud.pass(Reach::Recent).await, 0);
    assert_eq!(cloud.pass(Reach::Far).await, 0);
    // It started far below the floor of the recent passes.
    set_now(START + 10 * DAY);
    assert_eq!(cloud.pass(Reach::Recent).await, 0);
    assert_eq!(cloud.pass(Reach::Far).await, 1);
    assert_eq!(cloud.queued(), ["r#1", "r#2"]);
}

#[tokio::test(start_paused = true)]
async fn an_execution_of_weeks_is_found_and_recent_passes_stay_short() {
    let cloud = cloud().await;
    cloud.state().page = 1;
    cloud.runs(MACHINE, "long", &[(START, START + 40 * DAY)]);
    cloud.runs(MACHINE, "later", &[(START + DAY, START + DAY + 1)]);
    for day in 2..=41 {
        set_now(START + day * DAY);
        let lists = cloud.state().lists.len();
        cloud.pass(Reach::Recent).await;
        let pages = cloud.state().lists.len() - lists;
        assert!(pages == 1 || day < 4, "day {day}: {pages} pages");
        cloud.pass(Reach::Far).await;
    }
    assert_eq!(cloud.queued(), ["later#0", "long#0"]);
}

#[tokio::test(start_paused = true)]
async fn a_redrive_of_a_long_execution_is_found() {
    let cloud = cloud().await;
    let runs = [
        (START, START + 10 * DAY),
        (START + 18 * DAY, START + 18 * DAY + 1),
    ];
    cloud.runs(MACHINE, "r", &runs);
    cloud.state().ledger.insert("arn:r#0".to_owned());
    for day in 1..=20 {
        set_now(START + day * DAY);
        cloud.pass(Reach::Far).await;
    }
    assert_eq!(cloud.queued(), ["r#1"]);
}

#[tokio::test(start_paused = true)]
async fn an_execution_open_long_before_the_first_sweep_is_found() {
    set_now(START);
    let cloud = Cloud::default();
    cloud.state().page = 1;
    cloud.runs(MACHINE, "old", &[(START - 60 * DAY, START + 3 * DAY)]);
    for day in 0..=20 {
        let name = format!("day{day}");
        let started = START - day * DAY;
        cloud.runs(MACHINE, &name, &[(started, started + 1)]);
    }
    for day in 0..=4 {
        set_now(START + day * DAY);
        cloud.pass(Reach::Far).await;
    }
    assert_eq!(cloud.queued(), ["day0#0", "old#0"]);
}

#[tokio::test(start_paused = true)]
async fn an_end_is_looked_up_a_few_times_and_no_more() {
    let cloud = cloud().await;
    cloud.runs(MACHINE, "open", &[(START + 1, i64::MAX)]);
    cloud.runs(MACHINE, "known", &[(START + 2, START + 3)]);
    cloud.state().ledger.insert("arn:known#0".to_owned());
    for minutes in (5..=12 * 60).step_by(5) {
        set_now(START + minutes * MINUTE);
        cloud.pass(Reach::Recent).await;
    }
    assert_eq!(cloud.state().looked_up, 3);
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_turn_continues_at_its_page() {
    let cloud = cloud().await;
    cloud.state().page = 2;
    for i in 0..25 {
        cloud.runs(MACHINE, &format!("e{i:02}"), &[(START + i, START + MINUTE)]);
    }
    set_now(START + 5 * MINUTE);
    // Three quick calls, and one after a second.
    let (turn, tally) = cloud.turn(Reach::Recent, 3).await.unwrap();
    assert_eq!((turn, tally.pages, tally.found), (Turn::Cut, 4, 8));
    let (turn, tally) = cloud.turn(Reach::Recent, 60).await.unwrap();
    assert_eq!((turn, tally.pages, tally.found), (Turn::Complete, 9, 17));
    let mut names = cloud.queued();
    names.sort();
    assert_eq!(
        names,
        (0..25).map(|i| format!("e{i:02}#0")).collect::<Vec<_>>()
    );
}

#[tokio::test(start_paused = true)]
async fn a_page_of_nothing_but_finds_fits_several_turns() {
    let cloud = cloud().await;
    for i in 0..1000 {
        cloud.runs(MACHINE, &format!("e{i}"), &[(START + i, START + MINUTE)]);
    }
    set_now(START + 5 * MINUTE);
    assert_eq!(cloud.pass(Reach::Recent).await, 1000);
    assert_eq!(
        cloud.queued().into_iter().collect::<HashSet<_>>().len(),
        1000
    );
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_begins_the_pass_again() {
    let cloud = cloud().await;
    cloud.state().page = 1;
    cloud.runs(MACHINE, "a", &[(START + 1, START + 2)]);
    cloud.runs(MACHINE, "b", &[(START + 2, START + 3)]);
    set_now(START + 5 * MINUTE);
    let refused = Fault::permanent("InvalidToken", "");
    cloud.fails_once(&format!("list {MACHINE} 0"), refused.clone());
    assert_eq!(cloud.pass(Reach::Recent).await, 2);
    assert_eq!(cloud.queued(), ["b#0", "a#0"]);

    cloud.fails(&format!("list {MACHINE}"), refused);
    assert!(matches!(
        cloud.turn(Reach::Recent, 60).await,
        Err(Failed::List(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn throttling_ends_the_turn_and_nothing_is_lost() {
    let cloud = cloud().await;
    cloud.runs(MACHINE, "a", &[(START + 1, START + 2)]);
    set_now(START + 5 * MINUTE);
    let slow = Fault::transient("ThrottlingException", "slow down");
    cloud.fails_once("list", slow.clone());
    assert_eq!(cloud.pass(Reach::Recent).await, 1);

    cloud.runs(MACHINE, "b", &[(START + 1, START + 2)]);
    cloud.fails("list", slow.clone());
    let (turn, _) = cloud.turn(Reach::Recent, 60).await.unwrap();
    assert_eq!(turn, Turn::Throttled(slow));
    cloud.state().faults.clear();
    assert_eq!(cloud.pass(Reach::Recent).await, 1);
}

#[tokio::test(start_paused = true)]
async fn an_express_state_machine_is_not_taken_for_a_missing_one() {
    let cloud = cloud().await;
    cloud.fails_once("list", Fault::permanent("StateMachineTypeNotSupported", ""));
    let (turn, _) = cloud.turn(Reach::Recent, 60).await.unwrap();
    assert_eq!(turn, Turn::Unlisted);
    cloud.fails_once("list", Fault::permanent("StateMachineDoesNotExist", ""));
    assert!(matches!(
        cloud.turn(Reach::Recent, 60).await,
        Err(Failed::List(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn a_crash_after_sending_sends_again() {
    let cloud = cloud().await;
    cloud.runs(MACHINE, "a", &[(START + 1, START + 2)]);
    set_now(START + 5 * MINUTE);
    cloud.fails("mark", Fault::permanent("AccessDeniedException", ""));
    assert!(matches!(
        cloud.turn(Reach::Recent, 60).await,
        Err(Failed::Table(_))
    ));
    cloud.state().faults.clear();
    assert_eq!(cloud.pass(Reach::Recent).await, 1);
    assert_eq!(cloud.queued(), ["a#0", "a#0"]);
    let queued = cloud.state().queued.clone();
    assert_eq!(queued[0], queued[1]);
}

#[tokio::test(start_paused = true)]
async fn a_find_that_cannot_be_sent_is_found_again() {
    let cloud = cloud().await;
    cloud.runs(MACHINE, "a", &[(START + 1, START + 2)]);
    set_now(START + 5 * MINUTE);
    cloud.fails(
        "send",
        Fault::permanent("AWS.SimpleQueueService.NonExistentQueue", ""),
    );
    assert!(matches!(
        cloud.turn(Reach::Recent, 60).await,
        Err(Failed::Queue(_))
    ));
    assert!(!cloud.state().ledger.contains("arn:a#0"));
    cloud.state().faults.clear();
    assert_eq!(cloud.pass(Reach::Recent).await, 1);
}

#[test]
fn every_failure_names_a_remedy() {
    let fault = || Fault::permanent("AccessDeniedException", "not authorized");
    for (failed, remedy) in [
        (Failed::List(fault()), "may the sweep list it?"),
        (Failed::Table(fault()), "the table of `LEDGER_TABLE` exist"),
        (
            Failed::Backlog(fault()),
            "GetQueueAttributes on the queue of `COMPLETIONS_QUEUE_URL`?",
        ),
        (
            Failed::Queue(fault()),
            "the queue of `COMPLETIONS_QUEUE_URL` exist",
        ),
    ] {
        let text = failed.to_string();
        assert!(
            text.contains(remedy) && text.contains("not authorized"),
            "{text}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_table_that_does_not_answer_fails_the_turn() {
    let cloud = cloud().await;
    cloud.runs(MACHINE, "a", &[(START + 1, START + 2)]);
    set_now(START + 5 * MINUTE);
    for call in ["load", "known", "save"] {
        cloud.fails(call, Fault::transient("InternalServerError", ""));
        let failed = cloud.turn(Reach::Recent, 60).await;
        assert!(
            matches!(failed, Err(Failed::Table(_))),
            "{call}: {failed:?}"
        );
        cloud.state().faults.clear();
    }
    let key = Reach::Recent.key(MACHINE);
    cloud.state().saved.insert(key.clone(), "{}".to_owned());
    let failed = cloud.turn(Reach::Recent, 60).await.unwrap_err().to_string();
    assert!(failed.contains(&key), "{failed}");
}
