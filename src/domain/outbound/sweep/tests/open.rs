//! Executions that outlive a sweep, and redriven ones.

use std::collections::HashMap;

use super::*;

#[tokio::test(start_paused = true)]
async fn an_execution_of_weeks_is_found_and_recent_passes_stay_short() {
    let cloud = cloud().await;
    cloud.state().page = 1;
    cloud.runs(MACHINE, "long", &[(START, START + 40 * DAY - 3 * MINUTE)]);
    cloud.runs(MACHINE, "later", &[(START + DAY, START + DAY + 1)]);
    for day in 1..=41 {
        set_now(START + day * DAY);
        let lists = cloud.state().lists.len();
        cloud.both().await;
        let pages = cloud.state().lists.len() - lists;
        assert!(pages == 2 || day < 3, "day {day}: {pages} pages");
    }
    assert_eq!(cloud.queued(), ["later#0", "long#0"]);
    assert_eq!(cloud.state().described, ["long"]);
}

#[tokio::test(start_paused = true)]
async fn an_execution_open_long_before_the_first_sweep_is_found() {
    set_now(START);
    let cloud = Cloud::default();
    cloud.state().page = 1;
    cloud.runs(MACHINE, "old", &[(START - 60 * DAY, START + 3 * DAY)]);
    cloud.runs(MACHINE, "ended", &[(START - DAY, START - DAY / 2)]);
    for day in 0..=4 {
        set_now(START + day * DAY);
        cloud.both().await;
        cloud.pass(Reach::Far).await;
    }
    assert_eq!(cloud.queued(), ["old#0"]);
}

#[tokio::test(start_paused = true)]
async fn a_known_end_of_a_watched_execution_is_not_described() {
    let cloud = cloud().await;
    for i in 0..250 {
        let name = format!("e{i}");
        cloud.runs(MACHINE, &name, &[(START + i, START + DAY + i)]);
    }
    set_now(START + DAY);
    cloud.both().await;
    set_now(START + DAY + 5 * MINUTE);
    for i in 1..250 {
        cloud.state().ledger.insert(id(&format!("e{i}#0")));
    }
    assert_eq!(cloud.both().await, 1);
    assert_eq!(
        (cloud.queued().len(), cloud.state().described.len()),
        (1, 1)
    );
    set_now(START + DAY + 10 * MINUTE);
    let looked_up = cloud.state().looked_up;
    assert_eq!(cloud.both().await, 0);
    assert_eq!(cloud.state().looked_up, looked_up, "nothing is watched");
}

#[tokio::test(start_paused = true)]
async fn the_event_of_a_watched_execution_has_the_grace_to_arrive() {
    let cloud = cloud().await;
    cloud.runs(MACHINE, "e", &[(START, START + DAY)]);
    set_now(START + DAY - MINUTE);
    cloud.both().await;
    for (ms, found) in [
        (MINUTE, 0),
        (2 * MINUTE - 1, 0),
        (2 * MINUTE, 1),
        (9 * MINUTE, 0),
    ] {
        set_now(START + DAY + ms);
        assert_eq!(cloud.both().await, found, "{ms}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_end_of_a_redriven_execution_counts() {
    let cloud = cloud().await;
    let runs = [
        (START + 1, START + MINUTE),
        (START + 9 * DAY, START + 9 * DAY + 20 * MINUTE),
        (START + 18 * DAY, START + 18 * DAY + 1),
    ];
    cloud.runs(MACHINE, "r", &runs);
    cloud.state().ledger.insert(id("r#0"));
    set_now(START + 10 * MINUTE);
    assert_eq!(cloud.both().await, 0);
    cloud.pass(Reach::Far).await;
    // A scan sees the second run.
    set_now(START + 9 * DAY + 10 * MINUTE);
    assert_eq!(cloud.both().await, 0);
    set_now(START + 9 * DAY + 30 * MINUTE);
    assert_eq!(cloud.both().await, 1);
    // The third one is between two scans.
    set_now(START + 17 * DAY);
    cloud.pass(Reach::Far).await;
    set_now(START + 19 * DAY);
    assert_eq!(cloud.both().await, 0);
    assert_eq!(cloud.pass(Reach::Far).await, 1);
    assert_eq!(cloud.queued(), ["r#1", "r#2"]);
}

#[tokio::test(start_paused = true)]
async fn a_redrive_of_a_long_execution_is_found() {
    let cloud = cloud().await;
    let runs = [
        (START, START + 10 * DAY),
        (START + 18 * DAY, START + 18 * DAY + 1),
    ];
    cloud.runs(MACHINE, "r", &runs);
    cloud.state().ledger.insert(id("r#0"));
    for day in 1..=20 {
        set_now(START + day * DAY);
        cloud.both().await;
        cloud.pass(Reach::Far).await;
    }
    assert_eq!(cloud.queued(), ["r#1"]);
}

#[tokio::test(start_paused = true)]
async fn an_open_execution_missing_from_the_list_stays_watched() {
    let cloud = cloud().await;
    cloud.runs(MACHINE, "e", &[(START, START + 2 * DAY)]);
    set_now(START + DAY);
    cloud.both().await;
    // The list is eventually consistent.
    cloud.state().hidden.insert("e".to_owned());
    set_now(START + DAY + 5 * MINUTE);
    assert_eq!(cloud.both().await, 0);
    assert_eq!(cloud.state().described, ["e"]);
    cloud.state().hidden.clear();
    set_now(START + 2 * DAY + 5 * MINUTE);
    assert_eq!(cloud.both().await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_watch_list_of_many_pages_and_chunks_loses_nothing() {
    let cloud = cloud().await;
    cloud.state().page = 30;
    // Several start in the same millisecond, and end in another order.
    for i in 0..600 {
        let ends = START + DAY + (i * 7919) % 600 * MINUTE * 2;
        let runs = [(START + i / 3, ends)];
        cloud.runs(MACHINE, &format!("e{i:04}"), &runs);
    }
    for day in [8, 9, 10, 12, 14, 20] {
        set_now(START + day * DAY / 8);
        cloud.both().await;
        let directory = cloud.state().saved[&watch::directory_key(MACHINE)].clone();
        let chunks = directory.matches('l').count();
        assert!(chunks <= 25, "{chunks} on {day}");
        for (key, text) in &cloud.state().saved {
            assert!(text.len() < 20_000, "{key}: {}", text.len());
        }
    }
    let queued = cloud.queued();
    assert_eq!(queued.len(), 600);
    assert_eq!(queued.into_iter().collect::<HashSet<_>>().len(), 600);
    let described = cloud.state().described.len();
    assert!(described <= 700, "{described}");
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_list_continues_at_its_page() {
    let cloud = cloud().await;
    cloud.state().page = 2;
    for i in 0..61 {
        cloud.runs(MACHINE, &format!("e{i:02}"), &[(START + i, START + MINUTE)]);
    }
    set_now(START + 5 * MINUTE);
    // Ten quick calls, and one after two thirds of a second.
    let (step, tally) = cloud.run(Reach::Recent, 3).await.unwrap();
    assert_eq!((step, tally.pages, tally.found), (Step::Cut, 11, 22));
    let (step, tally) = cloud.run(Reach::Recent, 60).await.unwrap();
    assert_eq!((step, tally.pages, tally.found), (Step::Page, 20, 39));
    let mut names = cloud.queued();
    names.sort();
    assert_eq!(
        names,
        (0..61).map(|i| format!("e{i:02}#0")).collect::<Vec<_>>()
    );
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_two_writes_loses_no_watched_execution() {
    for lost in 1..8 {
        let cloud = cloud().await;
        for i in 0..90 {
            let name = format!("e{i:03}");
            cloud.runs(MACHINE, &name, &[(START + i, START + DAY)]);
        }
        set_now(START + DAY / 2);
        cloud.both().await;
        for i in 90..250 {
            let name = format!("e{i:03}");
            let start = START + DAY / 2 - 60 * MINUTE + i;
            cloud.runs(MACHINE, &name, &[(start, START + DAY)]);
        }
        set_now(START + DAY * 3 / 4);
        cloud.state().saves_left = Some(lost);
        let list =
            async |sweep: &Sweep, job: &mut Job, run: &mut Run<'_>| sweep.scan(job, run).await;
        let _ = cloud
            .steps(60, list, |job| job.state.scan.pass.is_none())
            .await;
        cloud.state().saves_left = None;
        // The lease of the crashed invocation is over.
        set_now(START + DAY * 3 / 4 + 6 * MINUTE);
        cloud.both().await;
        set_now(START + DAY + 5 * MINUTE);
        cloud.both().await;
        let queued: HashSet<String> = cloud.queued().into_iter().collect();
        assert_eq!(queued.len(), 250, "after {lost} writes");
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_permission_to_describe_is_reported() {
    let cloud = cloud().await;
    cloud.runs(MACHINE, "e", &[(START, START + DAY)]);
    set_now(START + DAY - MINUTE);
    cloud.both().await;
    cloud.fails("look", Fault::permanent("AccessDeniedException", ""));
    set_now(START + DAY + 5 * MINUTE);
    let list = async |sweep: &Sweep, job: &mut Job, run: &mut Run<'_>| sweep.scan(job, run).await;
    let failed = cloud.steps(60, list, |_| true).await;
    assert!(matches!(failed, Err(Failed::Describe(_))), "{failed:?}");
    cloud.state().faults.clear();
    assert_eq!(cloud.scan().await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_second_invocation_leaves_a_leased_state_machine() {
    let cloud = cloud().await;
    let sweep = cloud.sweep();
    let job = async |at: i64| sweep.job(MACHINE, &[], at, at + 60_000).await.unwrap();
    let mut first = job(START).await.unwrap();
    assert!(job(START + 59_999).await.is_none());
    sweep.release(&mut first).await.unwrap();
    assert!(job(START + 1).await.is_some());
    assert!(job(START + 60_001).await.is_some(), "the lease is over");
}

/// The states of earlier versions: a cursor without a scan, and a far one beside it.
#[tokio::test(start_paused = true)]
async fn saved_cursors_of_earlier_versions_go_on() {
    set_now(START);
    let cloud = Cloud::default();
    cloud.state().page = 1000;
    let recent = json!({
        "since": START - 17 * MINUTE, "began": START - 30 * DAY, "floor": START - 2 * 60 * MINUTE,
        "completed": START - 5 * MINUTE,
        "pass": {"started_at": START - MINUTE, "listed_at": START - MINUTE, "next_token": "old",
                 "oldest_open": START - DAY, "grace": 120_000},
    });
    cloud.state().ledger.insert(id("done#0"));
    let far = json!({
        "since": START - DAY, "began": START - 30 * DAY, "floor": START - 3 * DAY,
        "completed": START - 23 * 60 * MINUTE, "pass": null,
    });
    let mut saved = HashMap::new();
    saved.insert(format!("sweep#{MACHINE}"), recent.to_string());
    saved.insert(format!("sweep-far#{MACHINE}"), far.to_string());
    cloud.state().saved = saved;
    cloud.runs(MACHINE, "old", &[(START - 2 * DAY, START - 20 * MINUTE)]);
    cloud.runs(MACHINE, "open", &[(START - 2 * DAY, START + MINUTE)]);
    cloud.runs(MACHINE, "new", &[(START - 30 * MINUTE, START - 4 * MINUTE)]);
    cloud.runs(
        MACHINE,
        "done",
        &[(START - 60 * MINUTE, START - 40 * MINUTE)],
    );
    assert_eq!(cloud.both().await, 1);
    set_now(START + 5 * MINUTE);
    assert_eq!(cloud.both().await, 1);
    set_now(START + 60 * MINUTE);
    assert_eq!(cloud.pass(Reach::Far).await, 1);
    assert_eq!(cloud.queued(), ["new#0", "open#0", "old#0"]);
}
