//! Webhooks, delivered as Momento documented them until April 2025: for each message one signed POST, one attempt, five
//! seconds, no order. A failed delivery is lost; an event reports it.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use reqwest::{Client, Response, Url, redirect};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, broadcast};

use super::TopicsEvent;
use super::broker::Message;
use crate::clock;
use crate::domain::inbound::message::delivery::DeliveryBody;
use crate::domain::inbound::routes::Glob;
use crate::domain::inbound::signature;

/// The `User-Agent` of Momento's deliveries.
const AGENT: &str = "Momento/1.0 (Webhooks; +https://docs.momentohq.com/topics/webhooks)";
/// Concurrent deliveries.
const CONCURRENT: usize = 64;
/// Deliveries under way or waiting; one more is dropped.
const PENDING: u32 = 4_096;
/// Bytes kept of an answer, for the terminal.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// Webhooks of one server, at most.
const MAX_WEBHOOKS: usize = 100;

/// A webhook: the receiver of a topic's messages.
#[derive(Clone)]
pub struct Webhook {
    /// A name, or a pattern with `*` for any run of characters, which Momento does not offer.
    pub cache: String,
    pub topic: String,
    /// `http://` or `https://`; redirects are not followed and no proxy is used.
    pub url: String,
    /// The signing secret, its UTF-8 bytes being the key.
    pub secret: String,
    /// Replaces the host of the URL in the `Host` header, for an emulator that selects functions by it.
    pub host: Option<String>,
}

/// Why a webhook is refused.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error("expected a webhook URL beginning with http:// or https://, found `{0}`")]
    Url(String),
    #[error("expected a host name for the `Host` header, found `{0}`")]
    Host(String),
    #[error("expected a signing secret, found an empty one")]
    NoSecret,
    #[error("expected at most {MAX_WEBHOOKS} webhooks; delete one first")]
    TooMany,
}

/// The result of a delivery's only attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// Any status, 2xx or not, with up to 64 KiB of the body.
    Answered { status: u16, body: String },
    /// The answer was not complete in time.
    TimedOut,
    /// The connection failed, with the reason.
    Unreachable(String),
    /// Not attempted: too many deliveries were waiting, or the server is shutting down.
    Dropped,
}

pub(super) struct Webhooks {
    client: Client,
    timeout: Duration,
    /// Messages may be published from any thread.
    runtime: Handle,
    registered: RwLock<BTreeMap<String, Arc<Target>>>,
    events: broadcast::Sender<TopicsEvent>,
    pending: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

/// A checked [`Webhook`].
struct Target {
    name: String,
    webhook: Webhook,
    url: Url,
    host: Option<HeaderValue>,
}

impl Webhooks {
    pub(super) fn new(
        timeout: Duration,
        events: broadcast::Sender<TopicsEvent>,
    ) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self {
            client,
            timeout,
            runtime: Handle::current(),
            registered: RwLock::default(),
            events,
            pending: Arc::new(Semaphore::new(PENDING as usize)),
            running: Arc::new(Semaphore::new(CONCURRENT)),
        })
    }

    pub(super) fn put(&self, name: &str, webhook: Webhook) -> Result<(), WebhookError> {
        let url = Url::parse(&webhook.url).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = url.ok_or_else(|| WebhookError::Url(webhook.url.clone()))?;
        let host = webhook
            .host
            .as_ref()
            .map(|host| HeaderValue::from_str(host).map_err(|_| WebhookError::Host(host.clone())));
        let host = host.transpose()?;
        if webhook.secret.is_empty() {
            return Err(WebhookError::NoSecret);
        }
        let target = Target {
            name: name.to_owned(),
            webhook,
            url,
            host,
        };
        let mut registered = self
            .registered
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if registered.len() >= MAX_WEBHOOKS && !registered.contains_key(name) {
            return Err(WebhookError::TooMany);
        }
        registered.insert(name.to_owned(), Arc::new(target));
        Ok(())
    }

    pub(super) fn names(&self) -> Vec<String> {
        let registered = self.registered.read();
        let registered = registered.unwrap_or_else(PoisonError::into_inner);
        registered.keys().cloned().collect()
    }

    pub(super) fn delete(&self, name: &str) -> bool {
        let registered = self.registered.write();
        let mut registered = registered.unwrap_or_else(PoisonError::into_inner);
        registered.remove(name).is_some()
    }

    /// Starts a delivery of the message to each webhook of its topic, without waiting.
    pub(super) fn deliver(&self, message: &Arc<Message>) {
        let registered = self.registered.read();
        let registered = registered.unwrap_or_else(PoisonError::into_inner);
        let targets = registered.values().filter(|target| {
            Glob::new(&target.webhook.cache).matches(&message.cache)
                && Glob::new(&target.webhook.topic).matches(&message.topic)
        });
        for target in targets {
            let (target, message) = (target.clone(), message.clone());
            let events = self.events.clone();
            let started = Instant::now();
            let report = move |target: &Target, message, outcome| {
                // Observers are optional.
                let _ = events.send(TopicsEvent::WebhookDelivered {
                    webhook: target.name.clone(),
                    message,
                    outcome,
                    elapsed: started.elapsed(),
                });
            };
            let Ok(place) = self.pending.clone().try_acquire_owned() else {
                report(&target, message, DeliveryOutcome::Dropped);
                continue;
            };
            let (client, timeout) = (self.client.clone(), self.timeout);
            let running = self.running.clone();
            self.runtime.spawn(async move {
                let _place = place;
                let outcome = match running.acquire().await {
                    Ok(_turn) => target.attempt(&client, timeout, &message).await,
                    Err(_) => DeliveryOutcome::Dropped,
                };
                report(&target, message, outcome);
            });
        }
    }

    /// Drops waiting deliveries and waits for those under way.
    pub(super) async fn drain(&self) {
        self.running.close();
        // Every delivery frees its place, at the latest after its time-out.
        let _ = self.pending.acquire_many(PENDING).await;
        self.pending.close();
    }
}

impl Target {
    async fn attempt(
        &self,
        client: &Client,
        timeout: Duration,
        message: &Message,
    ) -> DeliveryOutcome {
        match tokio::time::timeout(timeout, self.post(client, message)).await {
            Ok(Ok((status, body))) => DeliveryOutcome::Answered { status, body },
            Ok(Err(error)) => DeliveryOutcome::Unreachable(reason(error.as_ref())),
            Err(_) => DeliveryOutcome::TimedOut,
        }
    }

    async fn post(
        &self,
        client: &Client,
        message: &Message,
    ) -> Result<(u16, String), Box<dyn std::error::Error + Send + Sync>> {
        let body = DeliveryBody {
            cache: &message.cache,
            topic: &message.topic,
            event_timestamp: i64::try_from(message.at_ms).unwrap_or(i64::MAX),
            publish_timestamp: clock::now_ms(),
            topic_sequence_number: message.sequence,
            sequence_page: None,
            token_id: message.token_id.as_deref().unwrap_or_default(),
            value: &message.value,
        };
        let body = body.to_json();
        let signature = signature::sign(&self.webhook.secret, &body);
        let mut request = client
            .post(self.url.clone())
            .header(USER_AGENT, AGENT)
            .header(CONTENT_TYPE, "application/json")
            .header(signature::HEADER, signature);
        if let Some(host) = &self.host {
            request = request.header(HOST, host);
        }
        let response = request.body(body).send().await?;
        Ok((response.status().as_u16(), answer(response).await?))
    }
}

/// The beginning of the answer's body.
async fn answer(mut response: Response) -> reqwest::Result<String> {
    let mut body = Vec::new();
    while body.len() < MAX_ANSWER_BYTES
        && let Some(chunk) = response.chunk().await?
    {
        body.extend_from_slice(&chunk);
    }
    body.truncate(MAX_ANSWER_BYTES);
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// The error's innermost cause, which does not repeat the URL.
fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let last = causes.last().map(ToString::to_string);
    last.unwrap_or_default()
}
