use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::*;
use crate::testing::scratch::Scratch;

fn topic(name: &str) -> TopicName {
    TopicName {
        cache: "c".into(),
        topic: name.into(),
    }
}

fn at(page: u64, next: u64) -> Cursor {
    Cursor { page, next }
}

#[tokio::test]
async fn a_file_keeps_cursors_across_restarts() {
    let scratch = Scratch::new();
    let path = scratch.path().join("deep/cursors.json");
    {
        let cursors = Cursors::new(Box::new(FileStore::open(&path).unwrap()));
        cursors.advance(&topic("a"), at(7, 1));
        cursors.advance(&topic("b"), at(7, 1));
        cursors.flush().await.unwrap();
        cursors.advance(&topic("a"), at(7, 2));
        cursors.flush().await.unwrap();
    }
    let store = FileStore::open(&path).unwrap();
    let loaded = store.load(&[topic("a"), topic("new")]).await.unwrap();
    assert_eq!(loaded, HashMap::from([(topic("a"), at(7, 2))]));
    // Cursors of other topics stay.
    store
        .save(&BTreeMap::from([(topic("a"), at(8, 0))]))
        .await
        .unwrap();
    drop(store);
    let store = FileStore::open(&path).unwrap();
    let loaded = store.load(&[topic("a"), topic("b")]).await.unwrap();
    assert_eq!(loaded.len(), 2);
}

#[test]
fn a_locked_or_invalid_file_is_refused() {
    let scratch = Scratch::new();
    let path = scratch.path().join("cursors.json");
    let first = FileStore::open(&path).unwrap();
    let second = FileStore::open(&path).err().unwrap().to_string();
    assert!(second.contains("another relay"), "{second}");
    drop(first);
    for wrong in [
        "",
        "[]",
        r#"{"version":2,"cursors":[]}"#,
        r#"{"version":1}"#,
    ] {
        std::fs::write(&path, wrong).unwrap();
        let error = FileStore::open(&path).err().unwrap().to_string();
        assert!(error.contains("expected cursors"), "{error}");
    }
}

/// A table that can fail.
#[derive(Default)]
struct Table {
    items: Mutex<HashMap<String, String>>,
    broken: AtomicBool,
    saves: AtomicU32,
}

impl Register for Table {
    fn known<'a>(&'a self, _: &'a [String]) -> Answer<'a, std::collections::HashSet<String>> {
        Box::pin(async { Ok(Default::default()) })
    }

    fn mark<'a>(&'a self, _: &'a str) -> Answer<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<String>> {
        let found = self.items.lock().unwrap().get(key).cloned();
        Box::pin(async { Ok(found) })
    }

    fn save<'a>(&'a self, key: &'a str, text: &'a str) -> Answer<'a, ()> {
        self.saves.fetch_add(1, Ordering::Relaxed);
        let broken = self.broken.load(Ordering::Relaxed);
        if !broken {
            let mut items = self.items.lock().unwrap();
            items.insert(key.to_owned(), text.to_owned());
        }
        Box::pin(async move {
            if broken {
                return Err(Fault::transient("Throttling", "slow down"));
            }
            Ok(())
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_save_is_repeated() {
    let table = Arc::new(Table::default());
    let cursors = Arc::new(Cursors::new(Box::new(TableStore(table.clone()))));
    table.broken.store(true, Ordering::Relaxed);
    cursors.advance(&topic("a"), at(7, 1));
    let keeper = cursors.clone();
    let keeping = tokio::spawn(async move { keeper.keep().await });
    tokio::time::sleep(Duration::from_secs(100)).await;
    let tried = table.saves.load(Ordering::Relaxed);
    assert!((4..12).contains(&tried), "{tried}");
    table.broken.store(false, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(31)).await;
    let loaded = cursors.load(&[topic("a"), topic("b")]).await.unwrap();
    assert_eq!(loaded, HashMap::from([(topic("a"), at(7, 1))]));
    assert_eq!(
        table.items.lock().unwrap().get("relay#c#a").unwrap(),
        r#"{"page":7,"next":1,"cache":"c","topic":"a"}"#
    );
    // One save has many changes.
    let before = table.saves.load(Ordering::Relaxed);
    for next in 2..100 {
        cursors.advance(&topic("a"), at(7, next));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(table.saves.load(Ordering::Relaxed) - before <= 2);
    keeping.abort();
}

#[tokio::test]
async fn an_unsaved_cursor_is_loaded_before_the_saved_one() {
    let table = Arc::new(Table::default());
    let cursors = Cursors::new(Box::new(TableStore(table.clone())));
    cursors.advance(&topic("a"), at(7, 1));
    cursors.flush().await.unwrap();
    table.broken.store(true, Ordering::Relaxed);
    cursors.advance(&topic("a"), at(7, 2));
    cursors.advance(&topic("b"), at(7, 3));
    cursors.flush().await.unwrap_err();
    let loaded = cursors.load(&[topic("a"), topic("c")]).await.unwrap();
    assert_eq!(loaded, HashMap::from([(topic("a"), at(7, 2))]));
}

#[tokio::test]
async fn an_invalid_item_is_refused() {
    let table = Arc::new(Table::default());
    table
        .items
        .lock()
        .unwrap()
        .insert("relay#c#a".into(), "{}".into());
    let store = TableStore(table);
    assert_eq!(
        store.load(&[topic("a")]).await.unwrap_err().code,
        "BadCursor"
    );
}

#[tokio::test]
async fn no_two_topics_share_an_item_and_items_of_earlier_versions_are_read() {
    let named = |cache: &str, topic: &str| TopicName {
        cache: cache.into(),
        topic: topic.into(),
    };
    let topics = [
        named("a", "b#c"),
        named("a#b", "c"),
        named("a%23b", "c"),
        named("a%b", "c"),
    ];
    let table = Arc::new(Table::default());
    let store = TableStore(table.clone());
    // Two topics had this key: either may have written the item.
    let old = r#"{"page":7,"next":1}"#.to_owned();
    table
        .items
        .lock()
        .unwrap()
        .insert("relay#a#b#c".into(), old);
    let loaded = store.load(&topics).await.unwrap();
    assert_eq!(loaded.len(), 2);
    assert_eq!(
        (loaded[&topics[0]], loaded[&topics[1]]),
        (at(7, 1), at(7, 1))
    );
    // A save gives each topic its own item.
    for count in 1..=topics.len() {
        let changed = topics[..count].iter().enumerate();
        let changed = changed.map(|(n, topic)| (topic.clone(), at(8, n as u64)));
        let changed: BTreeMap<_, _> = changed.collect();
        store.save(&changed).await.unwrap();
        let loaded = store.load(&topics[..count]).await.unwrap();
        assert_eq!(loaded, changed.into_iter().collect());
    }
    assert_eq!(table.items.lock().unwrap().len(), topics.len());
    assert!(store.load(&[named("a#b#c", "")]).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_beginning_is_saved_at_once_and_a_broken_store_delays_it_for_seconds() {
    let table = Arc::new(Table::default());
    let cursors = Cursors::new(Box::new(TableStore(table.clone())));
    cursors.begin(&topic("a"), at(7, 3)).await;
    assert!(table.items.lock().unwrap().contains_key("relay#c#a"));

    table.broken.store(true, Ordering::Relaxed);
    cursors.begin(&topic("b"), at(7, 3)).await;
    let loaded = cursors.load(&[topic("b")]).await.unwrap();
    assert_eq!(loaded, HashMap::from([(topic("b"), at(7, 3))]));
    assert!(!table.items.lock().unwrap().contains_key("relay#c#b"));

    // The topics of a start share a save, which takes long here.
    let hung = cursors.saving.lock().await;
    let began = tokio::time::Instant::now();
    cursors.begin(&topic("c"), at(7, 3)).await;
    assert_eq!(began.elapsed(), BEGIN_WITHIN);
    drop(hung);
}
