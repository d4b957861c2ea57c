//! Recording fakes of the ports, for unit tests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::dispatch::Targets;
use crate::ports::{
    Answer, Described, Event, EventBus, Executions, Fault, Queue, Secrets, Stage, Started, Topics,
    Workflows,
};

/// What a fake was asked, in order, as text.
#[derive(Clone, Default)]
pub(crate) struct World(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    calls: Vec<String>,
    executions: HashMap<String, String>,
    /// By the call's first word and, maybe, its subject: what to answer instead of success.
    faults: Vec<(String, Behaviour)>,
    described: Option<Described>,
}

#[derive(Clone)]
pub(crate) enum Behaviour {
    Fails(Fault),
    FailsOnce(Fault),
    Hangs,
}

impl World {
    pub(crate) fn targets(&self) -> Targets {
        Targets {
            workflows: Arc::new(self.clone()),
            event_bus: Arc::new(self.clone()),
            dead_letters: Arc::new(self.clone()),
        }
    }

    /// Every later call whose record starts with `prefix` behaves so.
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
                Behaviour::FailsOnce(_) => state.faults.remove(at).1,
                other => other.clone(),
            })
        };
        match behaviour {
            Some(Behaviour::Fails(fault) | Behaviour::FailsOnce(fault)) => Err(fault),
            Some(Behaviour::Hangs) => {
                tokio::time::sleep(Duration::from_secs(3600)).await;
                Err(Fault::timed_out())
            }
            None => Ok(act(&mut self.0.lock().unwrap())),
        }
    }
}

impl Workflows for World {
    fn start<'a>(
        &'a self,
        state_machine: &'a str,
        name: &'a str,
        input: &'a str,
    ) -> Answer<'a, Started> {
        let record = format!("start {state_machine} {name} {input}");
        Box::pin(self.call(record, move |state| {
            match state.executions.insert(name.into(), input.into()) {
                None => Started::Now,
                Some(_) => Started::Already,
            }
        }))
    }
}

impl EventBus for World {
    fn put<'a>(&'a self, event: Event<'a>) -> Answer<'a, ()> {
        let record = format!(
            "put {} {} {} {}",
            event.bus, event.source, event.detail_type, event.detail
        );
        Box::pin(self.call(record, |_| ()))
    }
}

impl Queue for World {
    fn send<'a>(&'a self, body: &'a str) -> Answer<'a, ()> {
        Box::pin(self.call(format!("send {body}"), |_| ()))
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

impl Secrets for World {
    fn fetch(&self, stage: Stage) -> Answer<'_, Option<String>> {
        Box::pin(self.call(format!("fetch {stage:?}"), move |_| match stage {
            Stage::Current => Some("secret".to_owned()),
            Stage::Previous => Some("older secret".to_owned()),
        }))
    }
}
