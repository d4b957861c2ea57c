//! Ends before the first sweep of a state machine.

use super::*;

#[tokio::test(start_paused = true)]
async fn ends_before_the_first_sweep_are_skipped() {
    set_now(START);
    let cloud = Cloud::default();
    cloud.state().page = 1000;
    cloud.runs(MACHINE, "old", &[(START - 10 * MINUTE, START - 5 * MINUTE)]);
    cloud.runs(MACHINE, "ours", &[(START - 10 * MINUTE, START + 1)]);
    for minutes in [0, 5, 10] {
        set_now(START + minutes * MINUTE);
        cloud.pass(Reach::Recent).await;
        cloud.pass(Reach::Far).await;
    }
    assert_eq!(cloud.queued(), ["ours#0"]);
}

#[tokio::test(start_paused = true)]
async fn the_bridges_own_ends_of_the_hour_before_the_first_sweep_are_found() {
    for reach in [Reach::Recent, Reach::Far] {
        set_now(START);
        let cloud = Cloud::default();
        cloud.state().page = 1000;
        let digits = "0123456789abcdef";
        for (name, minutes) in [("r-t-1", 61), ("r-t-2", 60), ("r-t-3", 1), ("s-t-4", 1)] {
            let ended = START - minutes * MINUTE;
            cloud.runs(MACHINE, &format!("{name}-{digits}"), &[(ended - 1, ended)]);
        }
        for minutes in [0, 5, 10] {
            set_now(START + minutes * MINUTE);
            cloud.pass(reach).await;
        }
        let named = [2, 3].map(|i| format!("r-t-{i}-{digits}#0"));
        assert_eq!(cloud.queued(), named, "{reach:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_state_machine_routed_again_after_weeks_begins_anew() {
    for (days, found) in [(14, 1), (15, 0)] {
        let cloud = cloud().await;
        set_now(START + days * DAY);
        cloud.runs(MACHINE, "meanwhile", &[(now() - DAY, now() - 5 * MINUTE)]);
        assert_eq!(cloud.pass(Reach::Recent).await, found, "{days}");
        cloud.runs(MACHINE, "later", &[(now(), now() + MINUTE)]);
        set_now(now() + 5 * MINUTE);
        assert_eq!(cloud.pass(Reach::Recent).await, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_sweep_is_dated_before_any_list() {
    set_now(START);
    let cloud = Cloud::default();
    cloud.state().page = 1000;
    cloud.fails("list", Fault::permanent("AccessDeniedException", ""));
    assert!(cloud.run(Reach::Recent, 60).await.is_err());
    cloud.state().faults.clear();
    cloud.runs(MACHINE, "ours", &[(START, START + 1)]);
    set_now(START + 5 * MINUTE);
    assert_eq!(cloud.pass(Reach::Recent).await, 1);
}
