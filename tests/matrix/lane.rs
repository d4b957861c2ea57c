//! A stack of its own for each scene, observed from outside, past the faults.

mod queues;
mod routes;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::task::JoinSet;
use workflow_bridge::domain::inbound::signature::sign;
use workflow_bridge::tools::local::Emulator;
use workflow_bridge::tools::local::topics::TopicsEvent;

use self::queues::{QUEUES, count_events};
use crate::scene::{Kind, Lasts, Scene};
use crate::shared::SOON;
use crate::shared::desk::Desk;
use crate::shared::faulty::{Dependency, FaultyStack};
use crate::shared::proxy::{Counters, Fault, Proxy, Span, Tally};
use crate::template::{COLLECTED, VARIABLES, edit, message};

/// The timeout for a condition: several times the longest wait and invocation here.
const TIMEOUT: Duration = Duration::from_secs(45);
/// The interval for polling; shorter would overload the emulator.
const POLL_EVERY: Duration = Duration::from_millis(200);

/// The routes functions read again no sooner.
const READ_EVERY: Duration = Duration::from_secs(3);

/// Without a change for this long, all work is done: longer than an execution takes.
const QUIET: Duration = Duration::from_secs(3);

/// A stack whose dependencies fail on demand.
pub struct Lane {
    pub scene: Scene,
    faulty: FaultyStack,
    /// Results and events by their message's topic.
    arrived: Arc<Mutex<BTreeMap<String, usize>>>,
    /// For `bridge replay`.
    desk: Desk,
    _watching: JoinSet<()>,
}

/// The webhook's answer.
pub struct Answer {
    pub status: u16,
    /// The outcome of the only route, or the answer's code without a route.
    pub outcome: String,
    pub took: Duration,
}

impl Lane {
    pub async fn start(emulator: Arc<Emulator>, scene: Scene) -> Result<Self> {
        let faulty =
            FaultyStack::start(emulator, &VARIABLES, move |template| edit(template, scene)).await?;
        let desk = Desk::of(&faulty.stack.state(1));
        let arrived = Arc::<Mutex<BTreeMap<String, usize>>>::default();
        let mut watching = JoinSet::new();
        let mut events = faulty.stack.topics().events();
        let seen = Arc::clone(&arrived);
        watching.spawn(async move {
            while let Ok(event) = events.recv().await {
                if let TopicsEvent::Published(message) = event
                    && let Some(topic) = message.topic.strip_prefix("out-")
                {
                    *seen.lock().unwrap().entry(topic.to_owned()).or_default() += 1;
                }
            }
        });
        if scene == Scene::Bus {
            let queue = faulty.stack.resource("EventsQueue")?.to_owned();
            let sqs = aws_sdk_sqs::Client::new(faulty.stack.account().config());
            watching.spawn(count_events(sqs, queue, Arc::clone(&arrived)));
        }
        let lane = Self {
            scene,
            faulty,
            arrived,
            desk,
            _watching: watching,
        };
        lane.collected(COLLECTED, TIMEOUT).await?;
        Ok(lane)
    }

    /// Sends a first message, which starts every function and proves that all works without faults.
    pub async fn first(&self) -> Result<()> {
        let (topic, before) = (self.topic("first"), self.delivered());
        let answer = self.post(&message(&topic)).await?;
        ensure!(
            answer.status == 200,
            "expected 200, found {} `{}`",
            answer.status,
            answer.outcome
        );
        self.arrival(&topic, before, false).await.map(drop)
    }

    pub fn topic(&self, name: &str) -> String {
        let prefix = match self.scene {
            Scene::Bus => "e",
            // Of the collected route.
            Scene::Routes | Scene::OldRoutes | Scene::Parameters => "c",
            // Of the route that the cell adds.
            Scene::NewRoute | Scene::Change if name != "first" => "n",
            _ => "m",
        };
        format!("{prefix}-{name}")
    }

    fn proxy(&self) -> &Proxy {
        self.faulty.proxy(self.scene.dependency())
    }

    pub fn fail(&self, kind: Kind, lasts: Lasts) {
        if self.scene == Scene::Queue {
            let target = self.faulty.proxy(Dependency::StepFunctions);
            target.fault(Fault::Status(503), Span::Until);
        }
        let Some(fault) = kind.fault(self.scene) else {
            return;
        };
        match lasts {
            Lasts::Once => self
                .proxy()
                .fault_of(self.scene.operation(), fault, Span::Once),
            Lasts::AWhile | Lasts::ForGood => self.proxy().fault(fault, Span::Until),
        }
    }

    pub fn heal(&self) -> Result<()> {
        self.faulty.heal()
    }

    /// The calls of the scene's operation.
    pub fn calls(&self) -> Tally {
        self.proxy().counters().of(self.scene.operation())
    }

    /// Waits until delayed calls have been executed.
    pub async fn late_calls(&self, before: Tally) {
        let operation = self.scene.operation();
        let all = |counters: &Counters| {
            let now = counters.of(operation);
            now.seen - before.seen == now.reached - before.reached
        };
        self.proxy().wait_for(all).await;
    }

    /// The number of events put or results published, including those whose answer was lost.
    pub fn delivered(&self) -> usize {
        let scene = match self.scene {
            Scene::Bus => Scene::Bus,
            _ => Scene::Topic,
        };
        let counters = self.faulty.proxy(scene.dependency()).counters();
        counters.of(scene.operation()).reached
    }

    /// The number of records returned to their queue.
    pub fn given_back(&self) -> usize {
        let sqs = self.faulty.proxy(Dependency::Sqs).counters();
        sqs.of("ChangeMessageVisibility").reached
    }

    /// Brings the function that meets the fault into its state before the message.
    pub async fn prepare(&self, topic: &str) -> Result<()> {
        match self.scene {
            Scene::OldRoutes => self.pause().await,
            Scene::NewRoute => {
                // The webhook's read during the last cell is over, too: it goes on behind an answer.
                self.pause().await;
                self.add_route(topic).await?;
                self.collected(topic, TIMEOUT).await?;
            }
            Scene::Parameters => return Ok(()),
            Scene::Change => {
                self.hear_changes(false).await?;
                return self.add_route(topic).await;
            }
            _ => return self.kill().await,
        }
        Ok(())
    }

    /// Waits until functions read the routes again, which nothing shows: all retries here are within that time.
    pub async fn pause(&self) {
        if matches!(self.scene, Scene::OldRoutes | Scene::NewRoute) {
            tokio::time::sleep(READ_EVERY).await;
        }
    }

    /// Waits until a call has met the fault.
    pub async fn faulted(&self, before: Tally) -> Result<()> {
        let operation = self.scene.operation();
        let met = async || Ok((self.calls().faulted > before.faulted).then_some(()));
        until(&format!("a failing call of {operation}"), met).await
    }

    /// Kills the function that meets the fault, so that the cell includes its start.
    async fn kill(&self) -> Result<()> {
        let function = match self.scene {
            // The fault must not affect the webhook's own secret.
            Scene::ApiKey => "CompletionFunction",
            _ => "WebhookFunction",
        };
        let gone = async || Ok((self.faulty.stack.kill_functions(function)? == 0).then_some(()));
        until("the end of a killed process", gone).await
    }

    pub async fn post(&self, body: &str) -> Result<Answer> {
        let stack = &self.faulty.stack;
        let mut again = false;
        loop {
            let began = Instant::now();
            let request = reqwest::Client::new().post(stack.webhook_url());
            let signature = sign(stack.signing_secret(), body.as_bytes());
            let request = request.header("momento-signature", signature).timeout(SOON);
            let response = request.body(body.to_owned()).send().await?;
            let status = response.status().as_u16();
            let text = response.text().await?;
            let took = began.elapsed();
            // The emulator may pass one event to a killed process before it notices.
            if status == 502 && !std::mem::replace(&mut again, true) {
                continue;
            }
            let answer: Value = serde_json::from_str(&text)
                .with_context(|| format!("expected JSON, found {status} `{text}`"))?;
            let outcome = answer["targets"][0]["outcome"].as_str();
            let outcome = outcome.or(answer["code"].as_str()).unwrap_or_default();
            return Ok(Answer {
                status,
                outcome: outcome.to_owned(),
                took,
            });
        }
    }

    pub async fn executions(&self, topic: &str) -> Result<usize> {
        let stack = &self.faulty.stack;
        let sfn = aws_sdk_sfn::Client::new(stack.account().config());
        let machine = stack.resource("UppercaseWorkflow")?;
        let call = sfn.list_executions().state_machine_arn(machine);
        let output = call.max_results(1000).send().await?;
        let part = format!("-{topic}-");
        let all = output.executions().iter();
        Ok(all.filter(|one| one.name().contains(&part)).count())
    }

    /// The number of results or events of a topic's message so far.
    pub fn arrivals(&self, topic: &str) -> usize {
        let arrived = self.arrived.lock().unwrap();
        arrived.get(topic).copied().unwrap_or_default()
    }

    /// Waits until a message has arrived and all queues are empty; returns the number of arrivals. `before` is the number
    /// of deliveries before it. `copies` purges the dead letters meanwhile: a call with a lost reply may be late.
    pub async fn arrival(&self, topic: &str, before: usize, copies: bool) -> Result<usize> {
        let came = async || {
            if copies && self.depth("DeadLetterQueue").await? > 0 {
                self.purge("DeadLetterQueue").await?;
            }
            let over = self.arrivals(topic) > 0 && self.is_empty().await?;
            let came = self.arrivals(topic);
            Ok((over && came == self.delivered() - before).then_some(came))
        };
        let came = until("the result or the event", came).await;
        if let Err(error) = &came {
            let mut depths = Vec::new();
            for queue in QUEUES {
                depths.push(format!("{queue} {}", self.depth(queue).await?));
            }
            bail!(
                "{error}; found {} executions, {} arrivals of {}, {}",
                self.executions(topic).await?,
                self.arrivals(topic),
                self.delivered() - before,
                depths.join(", ")
            );
        }
        came
    }

    /// Cleans up after a failed cell, so that nothing of it affects the next one.
    pub async fn clean(&self) -> Result<()> {
        self.heal()?;
        for queue in ["DeadLetterQueue", "CompletionsDeadLetterQueue"] {
            self.purge(queue).await?;
        }
        let mut quiet = (Instant::now(), self.delivered());
        let over = async || {
            if !self.is_empty().await? || self.delivered() != quiet.1 {
                quiet = (Instant::now(), self.delivered());
            }
            Ok((quiet.0.elapsed() > QUIET).then_some(()))
        };
        until("empty queues", over).await
    }
}

/// Polls until `look` returns a value.
pub async fn until<T>(what: &str, look: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    until_within(TIMEOUT, what, look).await
}

async fn until_within<T>(
    within: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        ensure!(
            began.elapsed() < within,
            "expected {what} within {} s, found none",
            within.as_secs()
        );
        tokio::time::sleep(POLL_EVERY).await;
    }
}
