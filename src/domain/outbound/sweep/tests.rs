use std::collections::HashSet;

use super::store::key;
use super::*;
use crate::domain::inbound::routes::tests::MACHINE;

pub(crate) mod cloud;
mod first;
mod open;
mod queue;

use cloud::{Cloud, DAY, MINUTE, START, execution_arn, now, set_now};
use serde_json::json;

impl Cloud {
    /// Steps of `MACHINE` until `is_done`, of at most `seconds`.
    async fn steps(
        &self,
        seconds: u64,
        list: impl AsyncFn(&Sweep, &mut Job, &mut Run<'_>) -> Result<Step, Failed>,
        is_done: impl Fn(&Job) -> bool,
    ) -> Result<(Step, Tally), Failed> {
        let mut budget = Budget::new(now(), Instant::now() + Duration::from_secs(seconds));
        let mut tally = Tally::default();
        let sweep = self.sweep();
        let routes = ["r".to_owned()];
        let job = sweep.job(MACHINE, &routes, now(), now() + 300_000).await?;
        let mut job = job.expect("no other invocation");
        let result = async {
            let (mut progress, unknown) = sweep.progress(&budget).await?;
            assert!(unknown.is_none());
            let mut run = Run {
                budget: &mut budget,
                progress: &mut progress,
                tally: &mut tally,
            };
            loop {
                let pages = run.tally.pages;
                let step = list(&sweep, &mut job, &mut run).await?;
                if step != Step::Page || run.tally.pages > pages && is_done(&job) {
                    return Ok(step);
                }
            }
        };
        let result = result.await;
        // A failed release is a lease until its end.
        let _ = sweep.release(&mut job).await;
        Ok((result?, tally))
    }

    /// A recent or far pass, of at most `seconds`.
    async fn run(&self, reach: Reach, seconds: u64) -> Result<(Step, Tally), Failed> {
        let list = async |sweep: &Sweep, job: &mut Job, run: &mut Run<'_>| {
            sweep.list(job, reach, run).await
        };
        self.steps(seconds, list, |job| match reach {
            Reach::Recent => job.state.recent.pass.is_none(),
            Reach::Far => job.state.far.as_ref().unwrap().pass.is_none(),
        })
        .await
    }

    /// A complete pass; returns the number of finds.
    async fn pass(&self, reach: Reach) -> usize {
        let (step, tally) = self.run(reach, 3600).await.unwrap();
        assert_eq!(step, Step::Page);
        tally.found
    }

    /// A complete scan; returns the number of finds.
    async fn scan(&self) -> usize {
        let list =
            async |sweep: &Sweep, job: &mut Job, run: &mut Run<'_>| sweep.scan(job, run).await;
        let is_done = |job: &Job| job.state.scan.completed >= Some(now());
        let scanned = self.steps(3600, list, is_done);
        let (step, tally) = scanned.await.unwrap();
        assert_eq!(step, Step::Page);
        tally.found
    }

    /// A recent pass and a scan.
    async fn both(&self) -> usize {
        self.pass(Reach::Recent).await + self.scan().await
    }
}

/// The id of an end of an execution of `MACHINE`.
fn id(name: &str) -> String {
    execution_arn(MACHINE, name)
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
    cloud.state().ledger.insert(id("known#0"));
    set_now(START + 5 * MINUTE);
    assert_eq!(cloud.pass(Reach::Recent).await, 1);
    assert_eq!(
        cloud.pass(Reach::Recent).await + cloud.pass(Reach::Far).await,
        0
    );
    assert_eq!(cloud.queued(), ["lost#0"]);
    assert!(cloud.state().ledger.contains(&id("lost#0")));

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
        (id("lost").as_str(), MACHINE)
    );
    // So the completion fetches input and output.
    assert!(execution.has_ended() && execution.lacks_detail());
}

#[tokio::test(start_paused = true)]
async fn an_event_has_the_grace_to_arrive() {
    let cloud = cloud().await;
    cloud.runs(MACHINE, "fresh", &[(START, START + 5 * MINUTE)]);
    set_now(START + 7 * MINUTE - 1);
    assert_eq!(cloud.both().await, 0);
    set_now(START + 7 * MINUTE);
    assert_eq!(cloud.both().await, 1);
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
    cloud.state().ledger.insert(id("waits#0"));
    assert_eq!(cloud.pass(Reach::Recent).await, 1);
    assert_eq!(cloud.queued(), ["lost#0"]);
}

#[tokio::test(start_paused = true)]
async fn an_end_is_looked_up_a_few_times_and_no_more() {
    let cloud = cloud().await;
    cloud.runs(MACHINE, "open", &[(START + 1, i64::MAX)]);
    cloud.runs(MACHINE, "known", &[(START + 2, START + 3)]);
    cloud.state().ledger.insert(id("known#0"));
    for minutes in (5..=12 * 60).step_by(5) {
        set_now(START + minutes * MINUTE);
        cloud.pass(Reach::Recent).await;
    }
    assert_eq!(cloud.state().looked_up, 2);
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
        cloud.run(Reach::Recent, 60).await,
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
    let (run, _) = cloud.run(Reach::Recent, 60).await.unwrap();
    assert_eq!(run, Step::Throttled(slow));
    cloud.state().faults.clear();
    assert_eq!(cloud.pass(Reach::Recent).await, 1);
}

#[tokio::test(start_paused = true)]
async fn an_express_state_machine_is_not_taken_for_a_missing_one() {
    let cloud = cloud().await;
    cloud.fails_once("list", Fault::permanent("StateMachineTypeNotSupported", ""));
    let (run, _) = cloud.run(Reach::Recent, 60).await.unwrap();
    assert_eq!(run, Step::Unlisted);
    cloud.fails_once("list", Fault::permanent("StateMachineDoesNotExist", ""));
    assert!(matches!(
        cloud.run(Reach::Recent, 60).await,
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
        cloud.run(Reach::Recent, 60).await,
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
        cloud.run(Reach::Recent, 60).await,
        Err(Failed::Queue(_))
    ));
    assert!(!cloud.state().ledger.contains(&id("a#0")));
    cloud.state().faults.clear();
    assert_eq!(cloud.pass(Reach::Recent).await, 1);
}

#[test]
fn every_failure_names_a_remedy() {
    let fault = || Fault::permanent("AccessDeniedException", "not authorized");
    for (failed, remedy) in [
        (Failed::List(fault()), "allow the sweep ListExecutions"),
        (Failed::Describe(fault()), "the sweep DescribeExecution"),
        (Failed::Table(fault()), "the table of `LEDGER_TABLE` exists"),
        (
            Failed::Backlog(fault()),
            "GetQueueAttributes on the queue of `COMPLETIONS_QUEUE_URL`;",
        ),
        (
            Failed::Queue(fault()),
            "the queue of `COMPLETIONS_QUEUE_URL` exists",
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
async fn a_table_that_does_not_answer_fails_the_run() {
    let cloud = cloud().await;
    cloud.runs(MACHINE, "a", &[(START + 1, START + 2)]);
    set_now(START + 5 * MINUTE);
    for call in ["load", "known", "save", "replace"] {
        cloud.fails(call, Fault::transient("InternalServerError", ""));
        let failed = cloud.run(Reach::Recent, 60).await;
        assert!(
            matches!(failed, Err(Failed::Table(_))),
            "{call}: {failed:?}"
        );
        cloud.state().faults.clear();
        set_now(now() + 6 * MINUTE);
    }
    let key = key(MACHINE);
    cloud.state().saved.insert(key.clone(), "{}".to_owned());
    let failed = cloud.run(Reach::Recent, 60).await.unwrap_err().to_string();
    assert!(failed.contains(&key), "{failed}");
}
