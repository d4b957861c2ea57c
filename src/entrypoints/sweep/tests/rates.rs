//! Rates of executions, beside executions that stay open for days, on a simulated clock: which ends are found, when, and with
//! how many calls. The list is AWS's: sorted by start, in pages, with a status filter, eventually consistent by seconds.

use std::cell::Cell;
use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;

use super::*;
use crate::domain::ports::{
    Answer, Backlog, Exclusive, ExecutionPage, Listed, Listing, Queue, Register, Sweeping,
};

const SECOND: i64 = 1000;
/// The list's delay.
const LISTED_AFTER: i64 = 3 * SECOND;
/// The time of an event from the end to the ledger.
const TAKEN_AFTER: i64 = 2 * SECOND;
const PERIOD: i64 = 5 * MINUTE;

thread_local! {
    static BEGAN: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// The simulated time: [`START`] and the runtime's paused clock.
fn clock() -> i64 {
    let began = BEGAN.get().expect("it was set");
    START + i64::try_from(began.elapsed().as_millis()).unwrap()
}

fn scatter(number: i64) -> i64 {
    let mixed = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) as i64 >> 20 & 0xfff_ffff
}

/// Short executions `s0`, `s1` and so on, from ten minutes before [`START`]; and long ones, `l0` the oldest.
struct World {
    /// Short executions a second.
    rate: i64,
    long: i64,
    page: usize,
    calls: Mutex<BTreeMap<&'static str, u64>>,
    saved: Mutex<BTreeMap<String, String>>,
    marked: Mutex<HashSet<String>>,
    /// The delays of the finds, and their names.
    found: Mutex<Vec<(i64, String)>>,
}

#[derive(Clone, Copy)]
struct Execution {
    number: i64,
    is_long: bool,
    started_at: i64,
    ends_at: i64,
    is_lost: bool,
}

impl World {
    fn short(&self, number: i64) -> Execution {
        let started_at = START - 10 * MINUTE + number * 1000 / self.rate;
        let random = scatter(number);
        let length = match random % 1000 {
            0..900 => random % (20 * SECOND),
            900..990 => random % (3 * MINUTE),
            _ => random % (30 * MINUTE),
        };
        Execution {
            number,
            is_long: false,
            started_at,
            ends_at: started_at + length,
            // One in half a minute, at the rates of 1 and more.
            is_lost: scatter(number + 7) % (30 * self.rate) == 0,
        }
    }

    /// They started within three days, and one in 50 ends every day.
    fn long(&self, number: i64) -> Execution {
        let started_at = START - 3 * DAY + number * (2 * DAY) / self.long;
        Execution {
            number,
            is_long: true,
            started_at,
            ends_at: START + scatter(number) % (50 * DAY),
            is_lost: number % 10 == 0,
        }
    }

    fn shorts(&self, now: i64) -> i64 {
        ((now - LISTED_AFTER - START + 10 * MINUTE) * self.rate / 1000).max(0)
    }

    fn listed(&self, one: &Execution, delay: i64) -> Listed {
        let name = name(one);
        let ended = one.ends_at + delay <= clock();
        Listed {
            execution_arn: execution_arn(&machine("A"), &name),
            name,
            status: if ended { "SUCCEEDED" } else { "RUNNING" }.to_owned(),
            started_at: one.started_at,
            stopped_at: ended.then_some(one.ends_at),
            redrive_count: 0,
        }
    }

    /// The execution in an id or ARN.
    fn execution(&self, id: &str) -> Execution {
        let mut parts = id.rsplit('-');
        let number = parts.nth(1).unwrap().parse().unwrap();
        match parts.next() {
            Some("long") => self.long(number),
            _ => self.short(number),
        }
    }

    fn count(&self, call: &'static str, number: u64) {
        *self.calls.lock().unwrap().entry(call).or_default() += number;
    }

    /// The position in the token counts the long executions first.
    async fn page(&self, only_open: bool, token: Option<&str>) -> Result<ExecutionPage, Fault> {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = clock();
        let mut position = match token {
            None => self.long + self.shorts(now),
            Some(token) => {
                let (at, position) = token.split_once('/').unwrap();
                if at.parse::<i64>().unwrap() < now - DAY {
                    return Err(Fault::permanent("InvalidToken", "expired"));
                }
                position.parse().unwrap()
            }
        };
        let mut executions = Vec::new();
        while position > 0 && executions.len() < self.page {
            position -= 1;
            let one = match position - self.long {
                number @ 0.. => self.short(number),
                // None is open any more.
                _ if only_open && self.long == 0 => break,
                _ => self.long(position),
            };
            if only_open && one.ends_at + LISTED_AFTER <= now {
                let is_old = !one.is_long && one.started_at < now - 31 * MINUTE;
                if is_old {
                    position = position.min(self.long);
                }
                continue;
            }
            executions.push(self.listed(&one, LISTED_AFTER));
        }
        let next_token = (position > 0).then(|| format!("{now}/{position}"));
        Ok(ExecutionPage {
            executions,
            next_token,
        })
    }
}

fn name(one: &Execution) -> String {
    let kind = if one.is_long { "long" } else { "short" };
    format!("r0-uppercase-in-{kind}-{}-0123456789abcdef", one.number)
}

impl Listing for World {
    fn list<'a>(&'a self, _: &'a str, token: Option<&'a str>) -> Answer<'a, ExecutionPage> {
        self.count("ListExecutions by start", 1);
        Box::pin(self.page(false, token))
    }
}

impl Sweeping for World {
    fn list_open<'a>(&'a self, _: &'a str, token: Option<&'a str>) -> Answer<'a, ExecutionPage> {
        self.count("ListExecutions, open", 1);
        Box::pin(self.page(true, token))
    }

    fn look<'a>(&'a self, execution: &'a str) -> Answer<'a, Option<Listed>> {
        self.count("DescribeExecution", 1);
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(40)).await;
            Ok(Some(self.listed(&self.execution(execution), 0)))
        })
    }
}

impl Register for World {
    fn known<'a>(&'a self, ids: &'a [String]) -> Answer<'a, HashSet<String>> {
        self.count("BatchGetItem", 1);
        self.count("read units", ids.len() as u64);
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let marked = self.marked.lock().unwrap();
            let is_known = |id: &&String| {
                let one = self.execution(id.split_once('#').unwrap().0);
                let is_taken = !one.is_lost && one.ends_at + TAKEN_AFTER <= clock();
                is_taken || marked.contains(*id)
            };
            Ok(ids.iter().filter(is_known).cloned().collect())
        })
    }

    fn mark<'a>(&'a self, id: &'a str) -> Answer<'a, ()> {
        self.count("PutItem", 1);
        self.count("write units", 1);
        self.marked.lock().unwrap().insert(id.to_owned());
        Box::pin(async { Ok(()) })
    }

    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<String>> {
        let found = self.saved.lock().unwrap().get(key).cloned();
        let length = found.as_ref().map_or(0, String::len);
        self.count("GetItem", 1);
        self.count("read units", length as u64 / 4096 + 1);
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Ok(found)
        })
    }

    fn save<'a>(&'a self, key: &'a str, text: &'a str) -> Answer<'a, ()> {
        self.count("PutItem", 1);
        self.count("write units", (text.len() + key.len()) as u64 / 1024 + 1);
        let mut saved = self.saved.lock().unwrap();
        saved.insert(key.to_owned(), text.to_owned());
        Box::pin(async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Ok(())
        })
    }
}

impl Exclusive for World {
    fn replace<'a>(&'a self, key: &'a str, text: &'a str, _: Option<&'a str>) -> Answer<'a, bool> {
        Box::pin(async move { self.save(key, text).await.map(|()| true) })
    }
}

impl Backlog for World {
    fn waiting(&self) -> Answer<'_, u64> {
        Box::pin(async { Ok(0) })
    }
}

impl Queue for World {
    fn send<'a>(&'a self, body: &'a str) -> Answer<'a, ()> {
        let event: serde_json::Value = serde_json::from_str(body).unwrap();
        let name = event["detail"]["name"].as_str().unwrap().to_owned();
        let one = self.execution(&name);
        assert!(
            one.is_lost && event["detail"]["stopDate"] == one.ends_at,
            "{event}"
        );
        self.found
            .lock()
            .unwrap()
            .push((clock() - one.ends_at, name));
        Box::pin(async { Ok(()) })
    }
}

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
