//! Rates of executions, beside executions that stay open for days, on a simulated clock: which ends are found, when, and with
//! how many calls. The list is AWS's: sorted by start, in pages, with a status filter, eventually consistent by seconds.

mod world;

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;

use self::world::{BEGAN, Execution, World, clock, name};
use super::*;

const PERIOD: i64 = 5 * MINUTE;

/// The results of a simulation.
struct Figures {
    lost: usize,
    median: i64,
    longest: i64,
    /// In a period.
    calls: BTreeMap<&'static str, u64>,
    largest_item: usize,
}

/// Sweeps every five minutes for the time, with `page` executions a page; every lost end has to be found `within` so long,
/// and once. The calls are those of a period, on average after the first 40 minutes.
fn simulate(rate: i64, long: i64, page: usize, minutes: i64, within: i64) -> Figures {
    let world = Arc::new(World {
        rate,
        long,
        page,
        calls: Mutex::default(),
        saved: Mutex::default(),
        marked: Mutex::default(),
        found: Mutex::default(),
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let warm = 40;
    runtime.block_on(async {
        BEGAN.set(Some(Instant::now()));
        let sweeper = Sweeper {
            routes: LiveRoutes::fixed(routes(&[json!({"to": {"stateMachine": machine("A")}})])),
            sweep: crate::domain::outbound::sweep::Sweep {
                listing: world.clone(),
                register: world.clone(),
                completions: world.clone(),
                backlog: world.clone(),
                grace: Duration::from_secs(120),
            },
            metrics: Metrics::none(),
            now_ms: clock,
        };
        for period in 0..=minutes / 5 {
            if period == warm / 5 {
                world.calls.lock().unwrap().clear();
            }
            let next = Instant::now() + Duration::from_millis(PERIOD as u64);
            sweeper.handle(next).await.unwrap();
            tokio::time::sleep_until(next).await;
        }
    });
    let found = world.found.lock().unwrap();
    let names: HashSet<&str> = found.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(names.len(), found.len(), "each is queued once");
    // Ends before the first sweep are found, too, but late.
    let end = START + minutes * MINUTE;
    let counts = |one: &Execution| one.is_lost && (START..end - within).contains(&one.ends_at);
    let shorts = (0..world.shorts(end)).map(|number| world.short(number));
    let longs = (0..long).map(|number| world.long(number));
    let lost: Vec<String> = shorts
        .chain(longs)
        .filter(counts)
        .map(|one| name(&one))
        .collect();
    let missing: Vec<&String> = lost
        .iter()
        .filter(|name| !names.contains(name.as_str()))
        .collect();
    assert!(
        missing.is_empty(),
        "{} of {}: {missing:?}",
        missing.len(),
        lost.len()
    );
    let of_time = |name: &str| world.execution(name).ends_at >= START;
    let mut delays: Vec<i64> = (found.iter().filter(|(_, name)| of_time(name)))
        .map(|(delay, _)| *delay)
        .collect();
    delays.sort_unstable();
    let longest = *delays.last().unwrap();
    assert!(longest <= within, "{} min", longest / MINUTE);
    let periods = (minutes / 5 - warm / 5 + 1) as u64;
    let calls = world.calls.lock().unwrap();
    let saved = world.saved.lock().unwrap();
    Figures {
        lost: lost.len(),
        median: delays[delays.len() / 2],
        longest,
        calls: calls
            .iter()
            .map(|(call, n)| (*call, n.div_ceil(periods)))
            .collect(),
        largest_item: saved.values().map(String::len).max().unwrap(),
    }
}

/// As a hundred a second beside 100,000 open ones, with pages and numbers of a tenth: the numbers of pages are the same.
#[test]
fn lost_ends_are_found_within_two_periods_at_a_hundred_a_second() {
    let figures = simulate(10, 10_000, 100, 90, 2 * PERIOD);
    assert!(figures.lost > 100, "{}", figures.lost);
    assert!(figures.largest_item < 40_000, "{}", figures.largest_item);
    let lists = figures.calls["ListExecutions by start"] + figures.calls["ListExecutions, open"];
    assert!(lists < 400, "{lists}");
}

/// As a thousand a second beside 100,000 open ones, with pages and numbers of a hundredth.
#[test]
fn lost_ends_are_found_within_an_hour_at_a_thousand_a_second() {
    let figures = simulate(10, 1_000, 10, 300, 12 * PERIOD);
    assert!(figures.lost > 400, "{}", figures.lost);
}

/// Writes the table of docs/reliability.md. `RATES=1000` leaves the others out.
#[test]
#[ignore = "takes minutes; run it with --nocapture, best in a release build"]
fn the_figures_of_every_rate() {
    let only: Option<i64> = std::env::var("RATES")
        .ok()
        .map(|rate| rate.parse().unwrap());
    println!(
        "| rate | open | found after: median, longest | by start | open | described | table reads | writes | lost |"
    );
    for rate in [1, 10, 100, 1000] {
        if only.is_some_and(|only| only != rate) {
            continue;
        }
        for long in [0, 1_000, 100_000] {
            // A thousand a second with pages and numbers of a tenth: as many pages, and a tenth of the look-ups.
            let (scale, minutes, within) = match rate {
                1000 => (10, 300, 60 * MINUTE),
                _ => (1, 120, 2 * PERIOD),
            };
            let page = 1000 / scale as usize;
            let figures = simulate(rate / scale, long / scale, page, minutes, within);
            let of = |call| figures.calls.get(call).copied().unwrap_or_default();
            let scaled = |call| of(call) * scale as u64;
            let minutes = |ms: i64| ms as f64 / MINUTE as f64;
            println!(
                "| {rate}/s | {long} | {:.1}, {:.1} min | {} | {} | {} | {} ({}) | {} ({}) | {} |",
                minutes(figures.median),
                minutes(figures.longest),
                of("ListExecutions by start"),
                of("ListExecutions, open"),
                of("DescribeExecution"),
                scaled("BatchGetItem") + of("GetItem"),
                scaled("read units"),
                of("PutItem"),
                of("write units"),
                figures.lost,
            );
        }
    }
}
