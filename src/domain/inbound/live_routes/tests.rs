use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::json;

use super::*;
use crate::domain::inbound::routes::tests::document;
use crate::domain::ports::Answer;
use crate::testing::FakeTable;

fn routes(list: &[&str]) -> Routes {
    let routes: Vec<_> = list.iter().map(|name| json!({"name": name})).collect();
    Routes::parse(&document(&routes)).unwrap()
}

fn live(table: &Arc<FakeTable>) -> Arc<LiveRoutes> {
    table.beside(routes(&["base"]))
}

fn names(snapshot: &Snapshot) -> String {
    let names: Vec<_> = snapshot
        .routes
        .iter()
        .map(|route| route.name.as_str())
        .collect();
    names.join(" ")
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(1)
}

fn broken() -> Result<Compiled, Fault> {
    Err(Fault::later("AccessDeniedException", "no"))
}

#[tokio::test(start_paused = true)]
async fn the_collected_routes_follow_those_of_the_variable() {
    let table = Arc::new(FakeTable::default());
    table.has(1, &["base", "more"]);
    let live = live(&table);
    assert!(!live.known().complete);
    live.warm_up(soon()).await;
    let snapshot = live.known();
    assert_eq!(names(&snapshot), "base more");
    assert!(snapshot.is_current());
    // Read once, and not again before the TTL.
    live.current().await;
    assert_eq!(table.reads(), 1);
}

#[tokio::test(start_paused = true)]
async fn before_the_first_collection_there_are_no_collected_routes() {
    let table = Arc::new(FakeTable::default());
    let live = live(&table);
    live.warm_up(soon()).await;
    assert_eq!(names(&live.known()), "base");
    assert!(live.known().is_current());
}

#[tokio::test(start_paused = true)]
async fn old_routes_are_read_again_with_the_next_message() {
    let table = Arc::new(FakeTable::default());
    table.has(1, &["a"]);
    let live = live(&table);
    live.warm_up(soon()).await;
    table.has(2, &["a", "b"]);
    assert_eq!(names(&live.current().await), "base a");
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(names(&live.current().await), "base a b");
    assert_eq!(table.reads(), 2);
}

#[tokio::test(start_paused = true)]
async fn routes_age_by_the_clock_too_since_a_frozen_function_stands_still() {
    static NOW: AtomicI64 = AtomicI64::new(0);
    let table = Arc::new(FakeTable::default());
    table.has(1, &["a"]);
    let live = LiveRoutes::new(Sources {
        base: routes(&[]),
        parameter: None,
        collected: Some(table.clone()),
        ttl: Duration::from_secs(60),
        now_ms: || NOW.load(Ordering::Relaxed),
    });
    live.warm_up(soon()).await;
    NOW.store(60_000, Ordering::Relaxed);
    live.current().await;
    assert_eq!(table.reads(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_table_delays_one_message_in_three_seconds_by_100_ms() {
    let table = Arc::new(FakeTable::default());
    table.has(1, &["a"]);
    let live = live(&table);
    live.warm_up(soon()).await;
    table.hangs(true);
    tokio::time::advance(Duration::from_secs(61)).await;
    let began = Instant::now();
    for _ in 0..10 {
        assert_eq!(names(&live.current().await), "base a");
    }
    assert_eq!(began.elapsed(), OLD_ROUTES_WAIT);
    tokio::time::sleep(READ_WITHIN).await;
    assert!(live.known().outdated && live.known().complete);
    table.hangs(false);
    tokio::time::sleep(READ_EVERY).await;
    assert!(live.current().await.is_current());
}

#[tokio::test(start_paused = true)]
async fn a_table_that_cannot_be_read_leaves_the_routes_incomplete() {
    let table = Arc::new(FakeTable::default());
    table.answers(broken());
    let live = live(&table);
    live.warm_up(soon()).await;
    let snapshot = live.fresh(soon(), READ_EVERY).await;
    assert_eq!(names(&snapshot), "base");
    assert!(!snapshot.complete && !snapshot.is_current());
    assert_eq!(table.reads(), 1);
    tokio::time::sleep(READ_EVERY).await;
    table.has(1, &["a"]);
    assert_eq!(names(&live.current().await), "base a");
}

#[tokio::test(start_paused = true)]
async fn a_throttled_read_is_repeated() {
    let table = Arc::new(FakeTable::default());
    table.answers(Err(Fault::transient(
        "ProvisionedThroughputExceededException",
        "slow",
    )));
    let live = live(&table);
    let reading = tokio::spawn({
        let live = live.clone();
        async move { live.warm_up(Instant::now() + READ_WITHIN).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    table.has(1, &["a"]);
    reading.await.unwrap();
    assert_eq!(names(&live.known()), "base a");
    assert!(table.reads() > 2);
}

#[tokio::test(start_paused = true)]
async fn a_fresh_read_begins_after_the_call_unless_a_recent_one_serves() {
    let table = Arc::new(FakeTable::default());
    table.has(1, &["a"]);
    let live = live(&table);
    live.warm_up(soon()).await;
    table.has(2, &["a", "b"]);
    assert_eq!(names(&live.fresh(soon(), READ_EVERY).await), "base a");
    assert_eq!(names(&live.fresh(soon(), Duration::ZERO).await), "base a b");
    tokio::time::sleep(READ_EVERY).await;
    table.has(3, &["a", "b", "c"]);
    assert_eq!(
        names(&live.fresh(soon(), Duration::from_secs(2)).await),
        "base a b c"
    );
    table.hangs(true);
    let snapshot = live.fresh(soon(), Duration::ZERO).await;
    assert!(snapshot.outdated);
}

#[tokio::test(start_paused = true)]
async fn many_callers_share_one_read() {
    let table = Arc::new(FakeTable::default());
    table.has(1, &["a"]);
    let live = live(&table);
    let callers = (0..50).map(|_| live.fresh(soon(), READ_EVERY));
    futures_util::future::join_all(callers).await;
    assert_eq!(table.reads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_document_with_problems_leaves_the_last_one_in_use() {
    let table = Arc::new(FakeTable::default());
    table.has(1, &["a"]);
    let live = live(&table);
    live.warm_up(soon()).await;
    table.answers(Ok(Compiled {
        version: 2,
        document: r#"{"routes":[{"name":"of a later version"}]}"#.to_owned(),
        ..Compiled::default()
    }));
    let snapshot = live.fresh(soon(), Duration::ZERO).await;
    assert_eq!(names(&snapshot), "base a");
    assert!(snapshot.complete && snapshot.outdated);
}

#[tokio::test(start_paused = true)]
async fn a_route_that_moves_from_the_variable_to_a_parameter_is_awaited() {
    let table = Arc::new(FakeTable::default());
    let collected = |version, routes: &[&str], taken: &[&str]| {
        table.has(version, routes);
        table.change(|compiled| compiled.taken = taken.iter().map(ToString::to_string).collect());
    };
    // Before the move.
    collected(1, &["a"], &["base"]);
    let before = live(&table);
    before.warm_up(soon()).await;
    assert!(before.known().is_current());
    // A function with the new variable, before the next collection and after it.
    let moved = table.beside(routes(&["other"]));
    moved.warm_up(soon()).await;
    let snapshot = moved.known();
    assert!(snapshot.complete && snapshot.outdated, "{snapshot:?}");
    collected(2, &["a", "base"], &[]);
    let snapshot = moved.fresh(soon(), Duration::ZERO).await;
    assert_eq!(names(&snapshot), "other a base");
    assert!(snapshot.is_current());
}

#[tokio::test(start_paused = true)]
async fn an_older_version_counts_in_a_consistent_read_only() {
    let table = Arc::new(FakeTable::default());
    table.has(5, &["a"]);
    let live = live(&table);
    live.warm_up(soon()).await;
    table.has(4, &["old"]);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(names(&live.current().await), "base a");
    // A table that was made again.
    assert_eq!(names(&live.fresh(soon(), Duration::ZERO).await), "base old");
}

#[tokio::test(start_paused = true)]
async fn the_document_of_a_parameter_is_read_again() {
    struct Document(Mutex<String>);
    impl RoutesDocument for Document {
        fn read(&self) -> Answer<'_, String> {
            let text = self.0.lock().unwrap().clone();
            Box::pin(async { Ok(text) })
        }
    }
    let parameter = Arc::new(Document(Mutex::new(document(&[json!({"name": "b"})]))));
    let live = LiveRoutes::new(Sources {
        base: routes(&["a"]),
        parameter: Some(parameter.clone()),
        collected: None,
        ttl: Duration::from_secs(60),
        now_ms: || 0,
    });
    assert!(live.known().is_current());
    assert_eq!(names(&live.current().await), "a");
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(names(&live.current().await), "b");
    "{".clone_into(&mut parameter.0.lock().unwrap());
    let snapshot = live.fresh(soon(), Duration::ZERO).await;
    assert_eq!(names(&snapshot), "b");
    assert!(snapshot.outdated);
}

#[tokio::test]
async fn fixed_routes_are_current() {
    let fixed = LiveRoutes::fixed(routes(&["a"]));
    assert!(fixed.fresh(soon(), Duration::ZERO).await.is_current());
    assert_eq!(names(&fixed.current().await), "a");
}

/// A table whose partition serves 3,000 read units a second, and an item of 35 KB: 100 routes.
struct Partition {
    units: Mutex<(f64, Instant)>,
    calls: AtomicI64,
}

impl CompiledRoutes for Partition {
    fn load(&self, consistent: bool) -> Answer<'_, Option<Compiled>> {
        let cost = if consistent { 9.0 } else { 4.5 };
        self.calls.fetch_add(1, Ordering::Relaxed);
        let mut units = self.units.lock().unwrap();
        let now = Instant::now();
        units.0 = (units.0 + now.duration_since(units.1).as_secs_f64() * 3000.0).min(3000.0);
        units.1 = now;
        let is_served = units.0 >= cost;
        if is_served {
            units.0 -= cost;
        }
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            match is_served {
                true => Ok(Some(Compiled::default())),
                false => Err(Fault::transient(
                    "ProvisionedThroughputExceededException",
                    "slow",
                )),
            }
        })
    }

    fn save<'a>(&'a self, _: &'a Compiled, _: Option<u64>) -> Answer<'a, bool> {
        unimplemented!("a reader writes nothing")
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_cold_starts_at_once_read_their_routes_in_time() {
    let partition = Arc::new(Partition {
        units: Mutex::new((3000.0, Instant::now())),
        calls: AtomicI64::new(0),
    });
    let all: Vec<_> = (0..1000)
        .map(|_| {
            LiveRoutes::new(Sources {
                base: routes(&[]),
                parameter: None,
                collected: Some(partition.clone()),
                ttl: Duration::from_secs(60),
                now_ms: || 0,
            })
        })
        .collect();
    let began = Instant::now();
    // As long as a start may take.
    let deadline = began + Duration::from_secs(2);
    futures_util::future::join_all(all.iter().map(|live| live.warm_up(deadline))).await;
    assert!(all.iter().all(|live| live.known().is_current()));
    let calls = partition.calls.load(Ordering::Relaxed);
    println!("1,000 starts: {calls} calls in {:?}", began.elapsed());
    assert!((1000..4000).contains(&calls), "{calls}");
}
