//! Recording fakes of the ports, for unit tests.

pub(crate) mod damage;
#[cfg(feature = "cli")]
pub mod scratch;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use crate::domain::fault::Fault;
use crate::domain::inbound::dispatch::Targets;
use crate::domain::inbound::live_routes::{LiveRoutes, Sources};
use crate::domain::inbound::queues::Queues;
use crate::domain::inbound::routes::Routes;
use crate::domain::inbound::routes::tests::document;
use crate::domain::ports::{
    Answer, Compiled, CompiledRoutes, Described, EventBus, Executions, Items, Lease, Ledger,
    NewEvent, NewExecution, Objects, Queue, Receipts, Resumed, Secrets, Stage, Started,
    StopRequest, Stopped, Stopping, TaskAnswer, Tasks, Topics, Verdict, Workflows,
};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::xray::Tracer;

/// The calls of all fakes, in order, as text.
#[derive(Clone, Default)]
pub(crate) struct World(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    calls: Vec<String>,
    executions: HashMap<String, String>,
    stopped: HashSet<String>,
    /// Behaviours other than success, by the call's first word and, optionally, its subject.
    faults: Vec<(String, Behaviour)>,
    described: Option<Described>,
    /// The publications of each event so far; `None` once it is done.
    ledger: HashMap<String, Option<Vec<String>>>,
}

#[derive(Clone)]
pub(crate) enum Behaviour {
    Fails(Fault),
    FailsOnce(Fault),
    Hangs,
    HangsOnce,
}

impl World {
    pub(crate) fn targets(&self) -> Targets {
        Targets {
            workflows: Arc::new(self.clone()),
            event_bus: Arc::new(self.clone()),
            tasks: Arc::new(self.clone()),
            stopping: Arc::new(self.clone()),
            tracer: Tracer::default(),
        }
    }

    pub(crate) fn queues(&self) -> Queues {
        Queues {
            parked: Arc::new(NamedQueue(self.clone(), "park")),
            dead_letters: Arc::new(NamedQueue(self.clone(), "dead_letter")),
        }
    }

    /// Sets the behaviour of all later calls with this prefix.
    pub(crate) fn make(&self, prefix: &str, behaviour: Behaviour) {
        self.0
            .lock()
            .unwrap()
            .faults
            .push((prefix.into(), behaviour));
    }

    pub(crate) fn heal(&self) {
        self.0.lock().unwrap().faults.clear();
    }

    pub(crate) fn describes(&self, described: Described) {
        self.0.lock().unwrap().described = Some(described);
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.0.lock().unwrap().calls.clone()
    }

    pub(crate) fn executions(&self) -> usize {
        self.0.lock().unwrap().executions.len()
    }

    async fn call<T>(&self, record: String, act: impl FnOnce(&mut State) -> T) -> Result<T, Fault> {
        let behaviour = {
            let mut state = self.0.lock().unwrap();
            let at = state
                .faults
                .iter()
                .position(|(prefix, _)| record.starts_with(prefix));
            state.calls.push(record);
            at.map(|at| match &state.faults[at].1 {
                Behaviour::FailsOnce(_) | Behaviour::HangsOnce => state.faults.remove(at).1,
                other => other.clone(),
            })
        };
        match behaviour {
            Some(Behaviour::Fails(fault) | Behaviour::FailsOnce(fault)) => Err(fault),
            Some(Behaviour::Hangs | Behaviour::HangsOnce) => {
                tokio::time::sleep(Duration::from_secs(3600)).await;
                Err(Fault::timed_out())
            }
            None => Ok(act(&mut self.0.lock().unwrap())),
        }
    }
}

impl Workflows for World {
    fn start<'a>(&'a self, execution: &'a NewExecution<'a>, _: &'a str) -> Answer<'a, Started> {
        let NewExecution {
            state_machine,
            name,
            input,
        } = execution;
        let record = format!("start {state_machine} {name} {input}");
        Box::pin(self.call(record, move |state| {
            match state.executions.insert(name.clone(), input.clone()) {
                None => Started::Now,
                Some(_) => Started::Already,
            }
        }))
    }
}

impl Tasks for World {
    fn answer<'a>(&'a self, answer: &'a TaskAnswer) -> Answer<'a, Resumed> {
        let record = match &answer.verdict {
            Verdict::Success(output) => format!("succeed {} {output}", answer.token),
            Verdict::Failure { error, cause } => {
                format!(
                    "fail {} {error} {}",
                    answer.token,
                    cause.as_deref().unwrap_or("-")
                )
            }
        };
        let token = format!("token {}", answer.token);
        Box::pin(self.call(
            record,
            move |state| match state.executions.insert(token, String::new()) {
                None => Resumed::Now,
                Some(_) => Resumed::Closed,
            },
        ))
    }
}

impl Stopping for World {
    fn stop<'a>(&'a self, request: &'a StopRequest) -> Answer<'a, Stopped> {
        let StopRequest {
            execution,
            error,
            cause,
        } = request;
        let (error, cause) = (error.as_deref(), cause.as_deref());
        let (error, cause) = (error.unwrap_or("-"), cause.unwrap_or("-"));
        let record = format!("stop {execution} {error} {cause}");
        let name = execution.rsplit(':').next().unwrap_or_default().to_owned();
        Box::pin(self.call(record, move |state| {
            let is_running = state.executions.contains_key(&name);
            match is_running && state.stopped.insert(name) {
                true => Stopped::Now,
                false => Stopped::Closed,
            }
        }))
    }
}

impl EventBus for World {
    fn put<'a>(&'a self, event: &'a NewEvent<'a>, _: Option<&'a str>) -> Answer<'a, ()> {
        let record = format!(
            "put {} {} {} {}",
            event.bus, event.source, event.detail_type, event.detail
        );
        Box::pin(self.call(record, |_| ()))
    }
}

/// A queue that records its calls under its own word.
struct NamedQueue(World, &'static str);

impl Queue for NamedQueue {
    fn send<'a>(&'a self, body: &'a str) -> Answer<'a, ()> {
        Box::pin(self.0.call(format!("{} {body}", self.1), |_| ()))
    }
}

impl Receipts for World {
    fn postpone<'a>(&'a self, receipt: &'a str, delay: Duration) -> Answer<'a, ()> {
        Box::pin(self.call(format!("postpone {receipt} {}", delay.as_secs()), |_| ()))
    }
}

/// Ignores leases, whose tests use the real table.
impl Ledger for World {
    fn begin<'a>(&'a self, id: &'a str, _: &'a str, _: i64) -> Answer<'a, Lease> {
        Box::pin(
            self.call(format!("begin {id}"), |state| match state.ledger.get(id) {
                Some(None) => Lease::Done,
                Some(Some(published)) => Lease::Yours {
                    published: published.clone(),
                },
                None => Lease::Yours {
                    published: Vec::new(),
                },
            }),
        )
    }

    fn finish<'a>(&'a self, id: &'a str) -> Answer<'a, ()> {
        Box::pin(self.call(format!("finish {id}"), |state| {
            state.ledger.insert(id.into(), None);
        }))
    }

    fn release<'a>(&'a self, id: &'a str, _: &'a str, published: &'a [String]) -> Answer<'a, ()> {
        let record = format!("release {id} {}", published.join(" "));
        Box::pin(self.call(record, |state| {
            state.ledger.insert(id.into(), Some(published.to_vec()));
        }))
    }
}

impl Executions for World {
    fn describe<'a>(&'a self, execution: &'a str) -> Answer<'a, Described> {
        Box::pin(self.call(format!("describe {execution}"), |state| {
            state.described.clone().unwrap_or_default()
        }))
    }
}

impl Topics for World {
    fn publish<'a>(&'a self, cache: &'a str, topic: &'a str, value: &'a str) -> Answer<'a, ()> {
        Box::pin(self.call(format!("publish {cache}/{topic} {value}"), |_| ()))
    }
}

impl Items for World {
    fn store<'a>(
        &'a self,
        cache: &'a str,
        key: &'a str,
        value: &'a str,
        ttl: Duration,
    ) -> Answer<'a, ()> {
        let record = format!("item {cache}/{key} {} {}", value.len(), ttl.as_secs());
        Box::pin(self.call(record, |_| ()))
    }
}

impl Objects for World {
    fn store<'a>(&'a self, key: &'a str, value: &'a str, ttl: Duration) -> Answer<'a, String> {
        let record = format!("object {key} {} {}", value.len(), ttl.as_secs());
        Box::pin(self.call(record, move |_| format!("https://bucket/{key}?signed")))
    }
}

impl Secrets for World {
    fn fetch(&self, stage: Stage) -> Answer<'_, Option<String>> {
        Box::pin(self.call(format!("fetch {stage:?}"), move |_| match stage {
            Stage::Current => Some("secret".to_owned()),
            Stage::Previous => Some("older secret".to_owned()),
        }))
    }
}

/// A table of collected routes, with the answers that a test sets.
#[derive(Default)]
pub(crate) struct FakeTable {
    answer: Mutex<Option<Result<Compiled, Fault>>>,
    hangs: Mutex<bool>,
    reads: AtomicUsize,
}

impl FakeTable {
    /// Sets a version with routes of these names, or with these fields.
    pub(crate) fn has<T: Serialize>(&self, version: u64, routes: &[T]) {
        let fields = routes.iter().map(|route| match json!(route) {
            name @ Value::String(_) => json!({"name": name}),
            fields => fields,
        });
        self.answers(Ok(Compiled {
            version,
            document: document(&fields.collect::<Vec<_>>()),
            ..Compiled::default()
        }));
    }

    /// Changes the version.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Compiled)) {
        if let Some(Ok(compiled)) = &mut *self.answer.lock().unwrap() {
            change(compiled);
        }
    }

    pub(crate) fn answers(&self, answer: Result<Compiled, Fault>) {
        *self.answer.lock().unwrap() = Some(answer);
    }

    pub(crate) fn hangs(&self, hangs: bool) {
        *self.hangs.lock().unwrap() = hangs;
    }

    /// The number of reads so far.
    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }

    /// Routes of this table and of the variable `ROUTES`.
    pub(crate) fn beside(self: &Arc<Self>, base: Routes) -> Arc<LiveRoutes> {
        LiveRoutes::new(Sources {
            base,
            parameter: None,
            collected: Some(self.clone()),
            ttl: Duration::from_secs(60),
            now_ms: || 0,
        })
    }
}

impl CompiledRoutes for FakeTable {
    fn load(&self, _: bool) -> Answer<'_, Option<Compiled>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let hangs = *self.hangs.lock().unwrap();
        let answer = self.answer.lock().unwrap().clone();
        Box::pin(async move {
            if hangs {
                std::future::pending::<()>().await;
            }
            answer.transpose()
        })
    }

    fn save<'a>(&'a self, _: &'a Compiled, _: Option<u64>) -> Answer<'a, bool> {
        unimplemented!("a reader of routes writes nothing")
    }
}

/// Written metrics.
#[derive(Clone, Default)]
pub(crate) struct Measured(Arc<Mutex<Vec<serde_json::Value>>>);

impl Measured {
    pub(crate) fn metrics(&self) -> Metrics {
        let lines = self.0.clone();
        Metrics::to(
            "n",
            || 1000,
            move |line| {
                let line = serde_json::from_str(line).unwrap();
                lines.lock().unwrap().push(line);
            },
        )
    }

    /// Removes the metrics; returns each as `name route outcome value`, with the known parts, in order.
    pub(crate) fn take(&self) -> Vec<String> {
        let mut all = Vec::new();
        for line in self.0.lock().unwrap().drain(..) {
            let directives = line["_aws"]["CloudWatchMetrics"].as_array().unwrap();
            let metrics = directives
                .iter()
                .flat_map(|d| d["Metrics"].as_array().unwrap());
            for metric in metrics.map(|metric| metric["Name"].as_str().unwrap()) {
                let words = [line["route"].as_str(), line["outcome"].as_str()];
                let words = words.into_iter().flatten();
                let words: Vec<_> = std::iter::once(metric).chain(words).collect();
                all.push(format!("{} {}", words.join(" "), line[metric]));
            }
        }
        all.sort();
        all
    }
}
