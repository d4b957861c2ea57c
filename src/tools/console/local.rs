//! The messages of the local stack, as they happen.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use momento::CacheClient;
use tokio::sync::{Semaphore, broadcast, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::feed::{Feed, Started};
use super::gaps::{self, Gaps, Reported};
use super::model::{Delivery, Filter, Listed, Row};
use super::post::{post, resolve};
use super::source::Messages;
use crate::adapters::momento::items;
use crate::clock::now_ms;
use crate::config::MomentoEndpoint;
use crate::domain::fault::Fault;
use crate::domain::inbound::routes::Routes;
use crate::domain::inbound::signature::sign;
use crate::domain::ports::Answer;
use crate::service::relay::destination::Attempt;
use crate::tools::execution::{Execution, Executions};
use crate::tools::local::Stack;
use crate::tools::local::flow;
use crate::tools::local::topics::{DeliveryOutcome, TopicsEvent, TopicsServer};
use crate::tools::trace::model::Unanswered;

/// Concurrent questions about executions.
const AT_ONCE: usize = 4;

/// The pauses between two questions about one execution: short at first, and a minute for one that runs for long.
const FIRST_PAUSE: Duration = Duration::from_millis(40);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// An execution not found for this long is one of an EXPRESS state machine, which has no record.
const SEARCH: Duration = Duration::from_secs(20);

type RoutesNow = Arc<dyn Fn() -> Arc<Routes> + Send + Sync>;

/// The messages of a running local stack since the console started.
pub struct LocalMessages {
    feed: Arc<Feed>,
    routes: RoutesNow,
    /// Weak, so that the stack can stop its server.
    topics: Weak<TopicsServer>,
    /// Its address and its signing secret.
    webhook: (String, String),
    http: reqwest::Client,
    items: Option<CacheClient>,
    /// Newest first; none without a relay.
    gaps: Option<Arc<Mutex<VecDeque<Reported>>>>,
    _tasks: JoinSet<()>,
}

impl LocalMessages {
    /// Follows `stack` from now on.
    ///
    /// # Errors
    ///
    /// When the HTTP client cannot be made.
    pub fn follow(stack: &Stack) -> reqwest::Result<Self> {
        let feed = Arc::new(Feed::new(stack.relayed().is_some()));
        let known = stack.known();
        let routes: RoutesNow = Arc::new(move || Arc::clone(&known.borrow().routes));
        let (sender, started) = mpsc::unbounded_channel();
        let watcher = Arc::new(Watcher {
            feed: Arc::clone(&feed),
            routes: Arc::clone(&routes),
            sender,
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&watcher).topics(stack.topics().events()));
        if let Some(attempts) = stack.relayed() {
            tasks.spawn(watcher.attempts(attempts));
        }
        let gaps = stack.gaps().map(|reports| {
            let kept = Arc::new(Mutex::default());
            tasks.spawn(gaps::keep(Arc::clone(&kept), reports));
            kept
        });
        let executions = Executions::new(stack.account().config());
        tasks.spawn(runs(Arc::clone(&feed), executions, started));
        let endpoint = MomentoEndpoint::Local(stack.topics().endpoint());
        let laptop = momento::cache::configurations::Laptop::latest();
        let items = items::connect(stack.api_key(), &endpoint, laptop).ok();
        let webhook = (
            stack.webhook_url().to_owned(),
            stack.signing_secret().to_owned(),
        );
        Ok(Self {
            feed,
            routes,
            topics: stack.topics_weak(),
            webhook,
            http: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .build()?,
            items,
            gaps,
            _tasks: tasks,
        })
    }
}

struct Watcher {
    feed: Arc<Feed>,
    routes: RoutesNow,
    sender: mpsc::UnboundedSender<Started>,
}

impl Watcher {
    async fn topics(self: Arc<Self>, mut events: broadcast::Receiver<TopicsEvent>) {
        loop {
            match events.recv().await {
                Ok(TopicsEvent::Published(message)) => {
                    self.feed.published(&message, &(self.routes)());
                }
                Ok(TopicsEvent::WebhookDelivered {
                    message,
                    outcome,
                    elapsed,
                    ..
                }) => {
                    let answer = match outcome {
                        DeliveryOutcome::Answered { status, body } => Ok((status, body)),
                        DeliveryOutcome::TimedOut => Err("no answer in time".to_owned()),
                        DeliveryOutcome::Unreachable(reason) => {
                            Err(format!("unreachable: {reason}"))
                        }
                        DeliveryOutcome::Dropped => {
                            Err("not attempted: too many deliveries at once".to_owned())
                        }
                    };
                    if let Some(id) = self.feed.id_of(&message) {
                        self.answered(&id, &answer, elapsed);
                    }
                }
                Err(broadcast::error::RecvError::Lagged(events)) => self.feed.missed(events),
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }

    async fn attempts(self: Arc<Self>, mut attempts: broadcast::Receiver<Attempt>) {
        loop {
            match attempts.recv().await {
                Ok(attempt) => {
                    // An attempt without an answer has no id; the relay tries it again.
                    let body = attempt.answer.as_ref().map_or("", |(_, body)| body);
                    let answer: flow::Answer = serde_json::from_str(body).unwrap_or_default();
                    self.answered(&answer.id, &attempt.answer, attempt.took);
                }
                Err(broadcast::error::RecvError::Lagged(events)) => self.feed.missed(events),
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }

    fn answered(&self, id: &str, answer: &Result<(u16, String), String>, took: Duration) {
        for started in self.feed.answered(id, answer, took, &(self.routes)()) {
            let _ = self.sender.send(started);
        }
    }
}

/// Follows executions until their ends.
async fn runs(
    feed: Arc<Feed>,
    executions: Executions,
    mut started: mpsc::UnboundedReceiver<Started>,
) {
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let mut following = JoinSet::new();
    while let Some(next) = started.recv().await {
        while following.try_join_next().is_some() {}
        let (feed, executions) = (Arc::clone(&feed), executions.clone());
        following.spawn(one(feed, executions, Arc::clone(&slots), next));
    }
}

async fn one(feed: Arc<Feed>, executions: Executions, slots: Arc<Semaphore>, started: Started) {
    let began = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        let found = {
            let Ok(_slot) = slots.acquire().await else {
                return;
            };
            executions.describe(&started.arn).await
        };
        match found {
            Ok(Some(execution)) => {
                feed.ran(&started, &execution);
                if execution.status != "RUNNING" {
                    return;
                }
            }
            Ok(None) if began.elapsed() > SEARCH => {
                let express = Execution::default();
                feed.ran(&started, &express);
                return;
            }
            Ok(None) | Err(_) => {}
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 3 / 2).min(LONGEST_PAUSE.min(began.elapsed() / 4 + FIRST_PAUSE));
    }
}

impl Messages for LocalMessages {
    fn list<'a>(&'a self, filter: &'a Filter) -> Answer<'a, Listed> {
        let listed = self.feed.list(filter, now_ms());
        Box::pin(async { listed.map_err(|text| Fault::permanent("BadFilter", text)) })
    }

    fn changes(&self) -> Option<broadcast::Receiver<u64>> {
        Some(self.feed.changes())
    }

    fn at(&self, place: u64) -> Option<(Row, Option<String>)> {
        self.feed.at(place)
    }

    fn find(&self, id: &str) -> Option<Row> {
        self.feed.find(id)
    }

    fn delivery(&self, id: &str) -> Option<Delivery> {
        self.feed.delivery(id)
    }

    fn published(&self, topics: &[String], since: i64) -> Vec<(Row, String)> {
        self.feed.on(topics, since)
    }

    fn last_seen(&self, route: &str) -> Option<i64> {
        self.feed.last_seen(route)
    }

    fn routes(&self) -> Answer<'_, (Arc<Routes>, Vec<Unanswered>)> {
        let routes = (self.routes)();
        Box::pin(async { Ok((routes, Vec::new())) })
    }

    fn gaps(&self) -> Answer<'_, Gaps> {
        let found = match &self.gaps {
            None => Gaps::note(
                "Only a relay sees gaps, and this stack has none: `bridge local --relay` starts one.",
            ),
            Some(kept) => Gaps {
                reported: kept
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .iter()
                    .cloned()
                    .collect(),
                ..Gaps::note("From the relay, since the stack started.")
            },
        };
        Box::pin(async { Ok(found) })
    }

    fn caches(&self) -> Vec<String> {
        let topics = self.topics.upgrade();
        topics.map(|topics| topics.caches()).unwrap_or_default()
    }

    fn publish<'a>(
        &'a self,
        cache: &'a str,
        topic: &'a str,
        text: &'a str,
    ) -> Answer<'a, Option<String>> {
        Box::pin(async move {
            let topics = self.topics.upgrade();
            let topics = topics
                .ok_or_else(|| Fault::transient("Stopping", "the local stack is stopping"))?;
            let message = topics.publish(cache, topic, text);
            let message =
                message.map_err(|refusal| Fault::permanent("Refused", refusal.to_string()))?;
            Ok(self.feed.id_of(&message))
        })
    }

    fn deliver(&self, body: Vec<u8>) -> Answer<'_, (u16, String)> {
        let (url, secret) = &self.webhook;
        Box::pin(async move { post(&self.http, url, sign(secret, &body), body).await })
    }

    fn claimed<'a>(&'a self, text: &'a str) -> Answer<'a, Option<String>> {
        Box::pin(resolve(self.items.as_ref(), text))
    }
}
