mod rates;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::fault::Fault;
use crate::domain::inbound::routes::tests::{MACHINE, routes};
use crate::domain::outbound::sweep::tests::cloud::{
    Cloud, DAY, MINUTE, START, Simulated, execution_arn, now, set_now,
};
use crate::testing::{FakeTable, Measured};

fn machine(name: &str) -> String {
    format!("arn:aws:states:us-east-1:123456789012:stateMachine:{name}")
}

fn sweeper(cloud: &Cloud, machines: &[&str]) -> Sweeper {
    let list: Vec<_> = machines
        .iter()
        .map(|name| json!({"to": {"stateMachine": machine(name)}}))
        .collect();
    Sweeper {
        routes: LiveRoutes::fixed(routes(&list)),
        sweep: cloud.sweep(),
        metrics: Metrics::none(),
        now_ms: now,
    }
}

/// An invocation of at most `seconds`, at `at`.
async fn invoke(sweeper: &Sweeper, at: i64, seconds: u64) -> Result<(), String> {
    set_now(at);
    sweeper
        .handle(Instant::now() + Duration::from_secs(seconds))
        .await
}

fn cloud(page: usize) -> Cloud {
    let cloud = Cloud::default();
    cloud.state().page = page;
    cloud
}

#[tokio::test(start_paused = true)]
async fn every_routed_state_machine_is_swept_once() {
    let cloud = cloud(1000);
    let bus = json!({"eventBus": "default"});
    let sweeper = Sweeper {
        routes: LiveRoutes::fixed(routes(&[
            json!({}),
            json!({"to": {"stateMachine": format!("{MACHINE}:live")}}),
            json!({"enabled": false, "to": {"stateMachine": machine("Off")}}),
            json!({"to": bus}),
        ])),
        sweep: cloud.sweep(),
        metrics: Metrics::none(),
        now_ms: now,
    };
    invoke(&sweeper, START, 60).await.unwrap();
    invoke(&sweeper, START + MINUTE, 60).await.unwrap();
    let off = machine("Off");
    // Open, recent and far, and then recent and open.
    let lists = ["open", "list", "list", "list", "open"]
        .iter()
        .flat_map(|verb| [&off, MACHINE].map(|arn| format!("{verb} {arn}")));
    assert_eq!(cloud.state().lists, lists.collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_failing_state_machine_fails_the_invocation_and_stops_no_other() {
    let cloud = cloud(1000);
    let sweeper = sweeper(&cloud, &["A", "B", "C"]);
    invoke(&sweeper, START, 60).await.unwrap();
    for name in ["A", "B", "C"] {
        cloud.runs(&machine(name), name, &[(START + 1, START + 2)]);
    }
    let gone = Fault::permanent("StateMachineDoesNotExist", "gone");
    let express = Fault::permanent("StateMachineTypeNotSupported", "express");
    cloud.fails(&format!("list {}", machine("A")), gone);
    cloud.fails(&format!("list {}", machine("B")), express);
    let error = invoke(&sweeper, START + 5 * MINUTE, 60).await.unwrap_err();
    assert!(
        error.contains("sweep of 3 state machines, found 1; the log"),
        "{error}"
    );
    assert_eq!(cloud.queued(), ["C#0"]);
}

#[tokio::test(start_paused = true)]
async fn an_express_state_machine_costs_one_call() {
    let cloud = cloud(1000);
    let sweeper = sweeper(&cloud, &["A"]);
    let express = Fault::permanent("StateMachineTypeNotSupported", "express");
    cloud.fails("list", express.clone());
    cloud.fails("open", express);
    invoke(&sweeper, START, 60).await.unwrap();
    assert_eq!(cloud.state().lists.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_queue_depth_fails_the_invocation_after_the_sweep() {
    let cloud = cloud(1000);
    let sweeper = sweeper(&cloud, &["A"]);
    invoke(&sweeper, START, 60).await.unwrap();
    cloud.runs(&machine("A"), "lost", &[(START + 1, START + 2)]);
    cloud.fails("waiting", Fault::permanent("AccessDenied", "no"));
    for (minutes, takes, found) in [(10, false, 0), (15, true, 1)] {
        cloud.state().takes_markers = takes;
        let swept = invoke(&sweeper, START + minutes * MINUTE, 60).await;
        assert!(swept.is_err());
        assert_eq!(cloud.queued().len(), found);
    }
}

#[tokio::test(start_paused = true)]
async fn throttling_is_not_a_failure() {
    let cloud = cloud(1000);
    let sweeper = sweeper(&cloud, &["A", "B"]);
    cloud.fails("list", Fault::transient("ThrottlingException", "slow down"));
    invoke(&sweeper, START, 60).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_busy_state_machine_delays_no_other() {
    let cloud = cloud(1);
    let sweeper = sweeper(&cloud, &["A", "B"]);
    invoke(&sweeper, START, 60).await.unwrap();
    for i in 0..1000 {
        let name = format!("a{i}");
        cloud.runs(&machine("A"), &name, &[(START + i, START + MINUTE)]);
    }
    cloud.runs(&machine("B"), "b", &[(START, START + MINUTE)]);
    invoke(&sweeper, START + 5 * MINUTE, 60).await.unwrap();
    assert_eq!(cloud.queued()[1], "b#0");
    for minutes in (10..=60).step_by(5) {
        invoke(&sweeper, START + minutes * MINUTE, 60)
            .await
            .unwrap();
    }
    assert_eq!(cloud.queued().len(), 1001);
}

#[tokio::test(start_paused = true)]
async fn scans_and_passes_of_many_invocations_alternate() {
    let cloud = cloud(1);
    let sweeper = sweeper(&cloud, &["A"]);
    for i in 0..120 {
        cloud.runs(
            &machine("A"),
            &format!("e{i}"),
            &[(START - DAY + i, i64::MAX)],
        );
    }
    cloud.runs(
        &machine("A"),
        "ends",
        &[(START - DAY - 1, START + 30 * MINUTE)],
    );
    for minutes in (0..=60).step_by(5) {
        let at = START + minutes * MINUTE;
        // Each pass takes several invocations, too.
        for i in 0..90 {
            let start = at - i;
            cloud.runs(&machine("A"), &format!("s{minutes}-{i}"), &[(start, start)]);
        }
        invoke(&sweeper, at, 60).await.unwrap();
    }
    let queued = cloud.queued();
    assert!(queued.contains(&"s15-0#0".to_owned()), "{queued:?}");
    assert!(queued.contains(&"ends#0".to_owned()), "{queued:?}");
}

#[tokio::test(start_paused = true)]
async fn far_passes_have_the_rest_of_the_time_at_a_lower_rate() {
    let cloud = cloud(1);
    let sweeper = sweeper(&cloud, &["A"]);
    for i in 0..1000 {
        let start = START - 2 * DAY + i;
        cloud.runs(&machine("A"), &format!("e{i}"), &[(start, start)]);
    }
    invoke(&sweeper, START, 60).await.unwrap();
    let lists = cloud.state().lists.len();
    assert!((25..35).contains(&lists), "{lists}");
    invoke(&sweeper, START + 5 * MINUTE, 300).await.unwrap();
    let lists = cloud.state().lists.len() - lists;
    assert!((140..=155).contains(&lists), "{lists}");
}

#[tokio::test(start_paused = true)]
async fn no_invocation_calls_more_often_than_allowed_or_too_late() {
    let cloud = cloud(1);
    let sweeper = sweeper(&cloud, &["A"]);
    for i in 0..1000 {
        cloud.runs(
            &machine("A"),
            &format!("e{i}"),
            &[(START - i, START + MINUTE)],
        );
    }
    let began = Instant::now();
    invoke(&sweeper, START, 60).await.unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(59),
        "{:?}",
        began.elapsed()
    );
    let calls = cloud.state().lists.len();
    assert!((90..=100).contains(&calls), "{calls}");
}

#[tokio::test(start_paused = true)]
async fn a_table_that_hangs_fails_the_invocation_in_time() {
    let cloud = cloud(1000);
    let names: Vec<String> = (0..40).map(|i| format!("M{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    cloud.state().hangs = true;
    let began = Instant::now();
    assert!(invoke(&sweeper(&cloud, &names), START, 60).await.is_err());
    let elapsed = began.elapsed();
    assert!(elapsed < Duration::from_secs(10), "{elapsed:?}");
}

/// An execution of minutes or weeks, begun before the first sweep or after, with redrives as late as AWS allows; and the
/// delay of each end's event, or its loss.
fn execution() -> impl Strategy<Value = (i64, Vec<(i64, i64, Option<i64>)>)> {
    let length = prop_oneof![3 => 0..30 * MINUTE, 1 => 0..3 * DAY, 1 => 0..20 * DAY];
    let pause = prop_oneof![1 => 0..2 * DAY, 1 => 0..14 * DAY];
    let wait = prop_oneof![4 => Just(0), 1 => 0..6 * 60 * MINUTE];
    let run = (pause, length, prop::option::weighted(0.7, wait));
    let start = prop_oneof![3 => 0..2 * DAY, 1 => -30 * DAY..0];
    (start, prop::collection::vec(run, 1..4))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Executions of two state machines over three months, events lost at random, invocations of random length with
    /// random faults, and later a few good ones.
    #[test]
    fn each_lost_end_is_queued_and_no_other(
        executions in prop::collection::vec(execution(), 0..16),
        flaky in prop_oneof![Just(0.0), 0.0..0.4],
        page in 1_usize..5,
        seed in any::<u64>(),
    ) {
        // For the lengths, the faults and, on this thread, the waits of retries, so that a failure is reproducible.
        fastrand::seed(seed);
        let cloud = cloud(page);
        let mut arrived = Vec::new();
        let mut lost = Vec::new();
        let mut last = START;
        for (i, (start, runs)) in executions.iter().enumerate() {
            let mut at = START + start;
            let mut simulated = Vec::new();
            for (count, (pause, length, wait)) in runs.iter().enumerate() {
                let begin = if count == 0 { at } else { at + 1 + pause };
                at = begin + length;
                simulated.push((begin, at));
                let id = format!("e{i}#{count}");
                // Of a redriven execution, only the last end is certain to be found. Ends before the first sweep do not
                // count.
                match wait {
                    Some(wait) => arrived.push((at, at + wait, id)),
                    None if at < START => arrived.push((at, at, id)),
                    None if count + 1 == runs.len() => lost.push(id),
                    None => {}
                }
            }
            last = last.max(at);
            let machine = machine(if i % 2 == 0 { "A" } else { "B" });
            cloud.state().executions.push(Simulated { machine, name: format!("e{i}"), runs: simulated });
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let sweeper = sweeper(&cloud, &["A", "B"]);
            // The first sweep comes before all ends that count.
            invoke(&sweeper, START - 1, 60).await.unwrap();
            let random = (0..180).map(|i| (START + i * DAY / 2, fastrand::u64(10..30), flaky));
            let random = random.take_while(|(at, ..)| *at < last + DAY);
            let good = (1..40).map(|i| (last + DAY + i * DAY / 10, 60, 0.0));
            for (at, seconds, flaky) in random.chain(good) {
                // Ends before the first sweep do not count.
                let sent = arrived.iter().filter(|(end, ..)| (START..=at).contains(end));
                let (taken, waiting): (Vec<_>, Vec<_>) = sent.partition(|(_, taken, _)| *taken <= at);
                let taken = taken.iter().map(|(.., id)| {
                    let number: usize = id[1..id.find('#').unwrap()].parse().unwrap();
                    execution_arn(&machine(["A", "B"][number % 2]), id)
                });
                cloud.state().ledger.extend(taken);
                cloud.state().waiting = waiting.len() as u64;
                cloud.state().flaky = flaky;
                let result = invoke(&sweeper, at, seconds).await;
                assert!(flaky > 0.0 || result.is_ok(), "{result:?}");
            }
        });
        let queued = cloud.queued();
        for id in &lost {
            prop_assert!(queued.contains(id), "{} was not queued", id);
        }
        for (.., id) in &arrived {
            prop_assert!(!queued.contains(id), "{} was queued", id);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn finds_count_for_their_route() {
    let cloud = cloud(1000);
    let measured = Measured::default();
    let sweeper = Sweeper {
        metrics: measured.metrics(),
        ..sweeper(&cloud, &["A"])
    };
    invoke(&sweeper, START, 60).await.unwrap();
    assert_eq!(measured.take(), ["sweep_lag 0"]);
    let ended = [(START + 1, START + 2)];
    cloud.runs(&machine("A"), "r0-in-1-0123456789abcdef", &ended);
    cloud.runs(&machine("A"), "by hand", &ended);
    invoke(&sweeper, START + 5 * MINUTE, 60).await.unwrap();
    let found = ["sweep_found 1", "sweep_found r0 1", "sweep_lag 0"];
    assert_eq!(measured.take(), found);
}

#[tokio::test(start_paused = true)]
async fn a_lag_is_measured_until_a_complete_run() {
    let cloud = cloud(1000);
    let measured = Measured::default();
    let sweeper = Sweeper {
        metrics: measured.metrics(),
        ..sweeper(&cloud, &["A"])
    };
    invoke(&sweeper, START, 60).await.unwrap();
    cloud.fails("open", Fault::transient("ThrottlingException", "slow down"));
    for minutes in [5, 10] {
        invoke(&sweeper, START + minutes * MINUTE, 60)
            .await
            .unwrap();
    }
    cloud.state().faults.clear();
    invoke(&sweeper, START + 15 * MINUTE, 60).await.unwrap();
    let lags: Vec<i64> = measured
        .take()
        .iter()
        .map(|line| line[10..].parse().unwrap())
        .collect();
    let minutes: Vec<i64> = lags.iter().map(|lag| lag / MINUTE).collect();
    // Sorted: two complete runs, and two without a scan.
    assert_eq!(minutes, [0, 0, 5, 10]);
}

#[tokio::test(start_paused = true)]
async fn without_the_collected_routes_the_invocation_fails() {
    let cloud = cloud(1000);
    let table = std::sync::Arc::new(FakeTable::default());
    let sweeper = Sweeper {
        routes: table.beside(routes(&[])),
        ..sweeper(&cloud, &[])
    };
    table.answers(Err(Fault::later("AccessDeniedException", "no")));
    let error = invoke(&sweeper, START, 60).await.unwrap_err();
    assert!(
        error.starts_with("cannot read the routes of other stacks"),
        "{error}"
    );
    table.has(1, &[json!({})]);
    invoke(&sweeper, START + MINUTE, 60).await.unwrap();
    assert!(!cloud.state().lists.is_empty());
}
