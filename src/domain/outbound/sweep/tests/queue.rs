//! Ends while messages wait for the completion.

use super::*;

/// Ends at each minute of the hour after [`START`], each event lost, and a queue with messages.
async fn backlog() -> Cloud {
    let cloud = cloud().await;
    for i in 0..60 {
        let ends = START + i * MINUTE;
        cloud.runs(MACHINE, &format!("e{i:02}"), &[(ends, ends)]);
    }
    cloud.state().waiting = 1;
    cloud
}

fn markers(cloud: &Cloud) -> Vec<String> {
    let state = cloud.state();
    let markers = state
        .queued
        .iter()
        .filter(|event| event["detail-type"] == "Sweep Marker");
    markers
        .map(|event| event["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_backlog_delays_finds_by_its_own_age() {
    let cloud = backlog().await;
    for minutes in (10..=60).step_by(5) {
        set_now(START + minutes * MINUTE);
        // The completion takes each marker half an hour after it was sent.
        let sent = markers(&cloud);
        let taken = sent.into_iter().filter(|id| {
            let at: i64 = id.rsplit_once('#').unwrap().1.parse().unwrap();
            at <= now() - 30 * MINUTE
        });
        let taken: Vec<String> = taken.collect();
        cloud.state().ledger.extend(taken);
        cloud.both().await;
        // The first marker is of minute 10.
        let expected = if minutes < 40 {
            0
        } else {
            minutes - 30 - 2 + 1
        };
        assert_eq!(cloud.queued().len(), expected as usize, "{minutes}");
    }
    cloud.state().waiting = 0;
    set_now(START + 65 * MINUTE);
    cloud.both().await;
    assert_eq!(cloud.queued().len(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_busy_queue_delays_nothing() {
    let cloud = backlog().await;
    cloud.state().takes_markers = true;
    set_now(START + 30 * MINUTE);
    assert_eq!(cloud.both().await, 29);
    assert_eq!(markers(&cloud).len(), 1);
    set_now(START + 35 * MINUTE);
    assert_eq!(cloud.both().await, 5);
}

#[tokio::test(start_paused = true)]
async fn the_outstanding_markers_are_bounded() {
    let cloud = backlog().await;
    for minutes in (10..=5000).step_by(5) {
        set_now(START + minutes * MINUTE);
        cloud.pass(Reach::Recent).await;
    }
    assert_eq!(cloud.queued().len(), 0);
    let saved = cloud.state().saved["sweep-queue"].clone();
    assert!(saved.matches(',').count() <= 102, "{saved}");
    let looked_up = cloud.state().looked_up;
    cloud.pass(Reach::Recent).await;
    assert!(cloud.state().looked_up - looked_up <= 200);
    // The newest one is taken.
    let newest = markers(&cloud).pop().unwrap();
    cloud.state().ledger.insert(newest);
    set_now(now() + MINUTE);
    assert_eq!(cloud.pass(Reach::Recent).await, 60);
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_depth_counts_as_a_backlog() {
    let cloud = backlog().await;
    cloud.fails("waiting", Fault::permanent("AccessDenied", "no"));
    cloud.state().takes_markers = true;
    let budget = Budget::new(START + 9 * MINUTE, Instant::now() + Duration::from_secs(60));
    let (progress, unknown) = cloud.sweep().progress(&budget).await.unwrap();
    assert!(matches!(unknown, Some(Failed::Backlog(_))));
    assert_eq!(progress.waiting, None);
    assert_eq!(progress.age(START + 9 * MINUTE), 0);
}
