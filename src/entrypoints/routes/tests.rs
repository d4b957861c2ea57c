use std::sync::Mutex;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::domain::inbound::routes::tests::document;
use crate::domain::ports::{Answer, ParameterPage};
use crate::testing::Measured;

/// Parameter Store and the table.
#[derive(Default)]
struct Store {
    parameters: Mutex<Vec<Parameter>>,
    item: Mutex<Option<Compiled>>,
    faults: Mutex<Vec<(&'static str, Fault)>>,
    calls: Mutex<Vec<String>>,
    /// Written by another invocation, after the parameters were read.
    other: Mutex<Option<Compiled>>,
}

impl Store {
    fn put(&self, name: &str, version: i64, value: &str) {
        let mut parameters = self.parameters.lock().unwrap();
        parameters.retain(|parameter| parameter.name != name);
        parameters.push(Parameter {
            name: name.to_owned(),
            version,
            value: value.to_owned(),
            is_secure: false,
        });
    }

    fn call(&self, call: &str) -> Result<(), Fault> {
        self.calls.lock().unwrap().push(call.to_owned());
        let mut faults = self.faults.lock().unwrap();
        match faults.iter().position(|(name, _)| call.starts_with(name)) {
            Some(at) => Err(faults.remove(at).1),
            None => Ok(()),
        }
    }

    fn calls(&self) -> String {
        std::mem::take(&mut *self.calls.lock().unwrap()).join(" ")
    }
}

impl RoutesDocument for Store {
    fn read(&self) -> Answer<'_, String> {
        Box::pin(async { Ok(r#"{"routes":[]}"#.to_owned()) })
    }
}

impl RouteParameters for Store {
    fn page(&self, token: Option<String>) -> Answer<'_, ParameterPage> {
        Box::pin(async move {
            self.call("page")?;
            let from: usize = token.map_or(0, |token| token.parse().unwrap());
            let all = self.parameters.lock().unwrap();
            let page: Vec<_> = all.iter().skip(from).take(10).cloned().collect();
            let next = from + page.len();
            Ok(ParameterPage {
                parameters: page,
                next_token: (next < all.len()).then(|| next.to_string()),
            })
        })
    }
}

impl CompiledRoutes for Store {
    fn load(&self, consistent: bool) -> Answer<'_, Option<Compiled>> {
        assert!(consistent);
        Box::pin(async {
            self.call("load")?;
            Ok(self.item.lock().unwrap().clone())
        })
    }

    fn save<'a>(&'a self, compiled: &'a Compiled, previous: Option<u64>) -> Answer<'a, bool> {
        Box::pin(async move {
            self.call(&format!("save{}", compiled.version))?;
            let mut item = self.item.lock().unwrap();
            if let Some(other) = self.other.lock().unwrap().take() {
                *item = Some(other);
            }
            if item.as_ref().map(|item| item.version) != previous {
                return Ok(false);
            }
            *item = Some(compiled.clone());
            Ok(true)
        })
    }
}

fn route(name: &str) -> String {
    let document: serde_json::Value =
        serde_json::from_str(&document(&[json!({"name": name})])).unwrap();
    document["routes"][0].to_string()
}

fn collector(store: &Arc<Store>, measured: &Measured) -> Collector {
    Collector {
        base: store.clone(),
        parameters: store.clone(),
        table: store.clone(),
        metrics: measured.metrics(),
    }
}

async fn handle(store: &Arc<Store>) -> Result<Vec<String>, String> {
    let measured = Measured::default();
    let deadline = Instant::now() + Duration::from_secs(20);
    let result = collector(store, &measured).handle(deadline).await;
    result.map(|()| measured.take())
}

#[tokio::test(start_paused = true)]
async fn routes_are_written_once_and_refusals_are_counted_each_time() {
    let store = Arc::new(Store::default());
    for n in 0..25 {
        store.put(&format!("p{n}"), 1, &route(&format!("r{n}")));
    }
    assert_eq!(handle(&store).await.unwrap(), ["route_refused 0"]);
    assert_eq!(store.calls(), "load page page page save1");
    assert_eq!(handle(&store).await.unwrap(), ["route_refused 0"]);
    assert_eq!(store.calls(), "load page page page");
    store.put("p3", 2, "{");
    for calls in ["load page page page save2", "load page page page"] {
        assert_eq!(handle(&store).await.unwrap(), ["route_refused 1"]);
        assert_eq!(store.calls(), calls);
    }
    let item = store.item.lock().unwrap().clone().unwrap();
    assert_eq!(item.parameters["p3"].version, 1);
    assert!(item.document.contains("\"r3\""));
}

#[tokio::test(start_paused = true)]
async fn a_throttled_page_is_read_again_alone() {
    let store = Arc::new(Store::default());
    for n in 0..15 {
        store.put(&format!("p{n}"), 1, &route(&format!("r{n}")));
    }
    let throttled = Fault::transient("ThrottlingException", "Rate exceeded");
    let faults = vec![("page", throttled.clone()), ("page", throttled)];
    *store.faults.lock().unwrap() = faults;
    handle(&store).await.unwrap();
    assert_eq!(store.calls(), "load page page page page save1");
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_leaves_the_routes_as_they_are() {
    for (call, expected) in [
        (
            "page",
            "cannot read the parameters with routes: AccessDeniedException",
        ),
        (
            "load",
            "cannot read the collected routes from the table: AccessDeniedException",
        ),
        (
            "save",
            "cannot write the collected routes into the table: AccessDeniedException",
        ),
    ] {
        let store = Arc::new(Store::default());
        store.put("p", 1, &route("r"));
        let denied = Fault::later("AccessDeniedException", "no");
        *store.faults.lock().unwrap() = vec![(call, denied)];
        let error = handle(&store).await.unwrap_err();
        assert!(error.starts_with(expected), "{error}");
        assert!(store.item.lock().unwrap().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn another_writer_wins_and_the_parameters_are_read_again() {
    let store = Arc::new(Store::default());
    store.put("p", 1, &route("r"));
    *store.other.lock().unwrap() = Some(Compiled {
        version: 7,
        ..Compiled::default()
    });
    handle(&store).await.unwrap();
    assert_eq!(store.calls(), "load page save1 load page save8");
    let item = store.item.lock().unwrap().clone().unwrap();
    assert_eq!(item.version, 8);
    assert!(item.document.contains("\"r\""));
}
