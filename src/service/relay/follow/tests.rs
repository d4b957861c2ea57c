use serde_json::{Value, json};

use super::*;
use crate::domain::fault::Fault;
use crate::domain::inbound::routes::tests::document;
use crate::testing::FakeTable;

const EVERY: Duration = Duration::from_secs(60);

/// Routes from these topics of the cache `demo`, by their names.
fn routes(list: &[(&str, &str)]) -> Vec<Value> {
    let route = |(name, topic): &(&str, &str)| json!({"name": name, "from": {"cache": "demo", "topic": topic}});
    list.iter().map(route).collect()
}

fn follow(table: &Arc<FakeTable>, base: &[(&str, &str)]) -> Follow {
    Follow {
        routes: table.beside(Routes::parse(&document(&routes(base))).unwrap()),
        every: EVERY,
    }
}

fn follower(table: &Arc<FakeTable>, base: &[(&str, &str)]) -> Follower {
    Follower::new(follow(table, base))
}

/// Runs it; returns the topics at the start and their changes.
async fn run(mut follower: Follower) -> (Wanted, watch::Receiver<Wanted>) {
    let first = follower.begin().await;
    let (sender, wanted) = watch::channel(first.clone());
    tokio::spawn(follower.run(sender));
    (first, wanted)
}

fn names(wanted: &Wanted) -> Vec<String> {
    wanted.topics.iter().map(ToString::to_string).collect()
}

fn broken() -> Fault {
    Fault::later("AccessDeniedException", "no")
}

#[tokio::test(start_paused = true)]
async fn topics_come_and_go_with_their_routes() {
    let table = Arc::new(FakeTable::default());
    table.has(1, &routes(&[("a", "in")]));
    let (first, mut wanted) = run(follower(&table, &[("base", "base")])).await;
    assert_eq!(names(&first), ["demo/base", "demo/in"]);
    assert!(first.is_complete);
    let mut version = 1;
    for (collected, expected) in [
        (
            &[("a", "in"), ("b", "other"), ("c", "in")][..],
            &["demo/base", "demo/in", "demo/other"][..],
        ),
        (&[("b", "other")][..], &["demo/base", "demo/other"][..]),
        (&[][..], &["demo/base"][..]),
    ] {
        version += 1;
        table.has(version, &routes(collected));
        let began = Instant::now();
        wanted.changed().await.unwrap();
        assert_eq!(names(&wanted.borrow_and_update()), expected);
        let took = began.elapsed();
        assert!(took <= EVERY + Duration::from_secs(1), "{took:?}");
    }
    // Another route from a known topic changes nothing.
    table.has(version + 1, &routes(&[("d", "base")]));
    sleep(EVERY * 2).await;
    assert!(!wanted.has_changed().unwrap());
}

#[tokio::test(start_paused = true)]
async fn topics_stay_while_their_routes_cannot_be_read() {
    let table = Arc::new(FakeTable::default());
    table.has(1, &routes(&[("a", "in")]));
    let (_, mut wanted) = run(follower(&table, &[])).await;
    table.answers(Err(broken()));
    sleep(EVERY * 10).await;
    table.hangs(true);
    sleep(EVERY * 10).await;
    assert!(!wanted.has_changed().unwrap());
    // Fewer reads than one in 30 s, after the first ones.
    assert!(table.reads() < 80, "{}", table.reads());
    table.hangs(false);
    table.has(2, &routes(&[("b", "other")]));
    wanted.changed().await.unwrap();
    assert_eq!(names(&wanted.borrow()), ["demo/other"]);
}

#[tokio::test(start_paused = true)]
async fn without_the_collected_routes_it_begins_with_the_known_ones() {
    let table = Arc::new(FakeTable::default());
    table.answers(Err(broken()));
    let (first, mut wanted) = run(follower(&table, &[("base", "base")])).await;
    assert_eq!(names(&first), ["demo/base"]);
    assert!(!first.is_complete);
    table.has(1, &routes(&[("a", "in")]));
    let began = Instant::now();
    wanted.changed().await.unwrap();
    assert!(began.elapsed() <= RETRY_AFTER);
    let wanted = wanted.borrow();
    assert_eq!(names(&wanted), ["demo/base", "demo/in"]);
    assert!(wanted.is_complete);
}

#[tokio::test(start_paused = true)]
async fn a_collected_wildcard_is_named_and_the_others_are_followed() {
    let table = Arc::new(FakeTable::default());
    table.has(1, &routes(&[("audit", "orders-*"), ("a", "in")]));
    let mut follower = follower(&table, &[]);
    let first = follower.begin().await;
    assert_eq!(names(&first), ["demo/in"]);
    let named = ("audit".to_owned(), "demo/orders-*".to_owned());
    assert_eq!(follower.wild, BTreeSet::from([named]));
    table.has(2, &routes(&[("a", "in")]));
    follower.read().await;
    assert!(follower.wild.is_empty());
}

#[test]
fn known_routes_need_exact_topics_and_one_at_least_without_a_table() {
    let table = Arc::new(FakeTable::default());
    let topics = follow(&table, &[("base", "base")]).topics().unwrap();
    assert_eq!(topics.len(), 1);
    assert!(follow(&table, &[]).topics().unwrap().is_empty());
    let error = follow(&table, &[("audit", "*")]).topics().unwrap_err();
    assert!(error.contains("`audit` (demo/*)"), "{error}");
    let fixed = Follow {
        routes: LiveRoutes::fixed(Routes::parse(r#"{"routes":[]}"#).unwrap()),
        every: EVERY,
    };
    assert!(fixed.topics().is_err());
}
