//! Posts messages to the webhook, in the same signed request as Momento's webhooks.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, StatusCode};
use reqwest::header::{CONTENT_TYPE, DATE};
use reqwest::{Client, Url, redirect};
use serde::Deserialize;
use tokio::sync::broadcast;
use tokio::time::{Instant, sleep};

use super::TopicName;
use super::clock::Clock;
use crate::domain::fault::Fault;
use crate::domain::inbound::message::delivery::DeliveryBody;
use crate::domain::inbound::secrets::SecretCache;
use crate::domain::inbound::signature::{HEADER, SigningSecret};
use crate::entrypoints::http::{Times, Webhook};
use crate::service::relay::subscriptions::Message;

/// Deadline of one attempt: the 10 s time-out of the webhook's Lambda function, plus its cold start and the network.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// The longest time between measurements of the webhook's clock.
const CLOCK_EVERY: Duration = Duration::from_secs(60);
/// The same while this host's clock is wrong, so that the relay is soon ready again.
const WRONG_CLOCK_EVERY: Duration = Duration::from_secs(5);
/// Bytes read of an answer's body, for its code.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// Deadline for fetching the signing secret, per attempt.
const SECRET_WITHIN: Duration = Duration::from_secs(10);

/// The webhook, and the secrets that sign its messages.
pub struct Destination {
    pub transport: Transport,
    pub secrets: SecretCache,
    /// Observer notified of every attempt.
    pub watch: Option<broadcast::Sender<Attempt>>,
    /// The skew against the webhook's clock.
    pub clock: Arc<Clock>,
    /// This host's clock, in ms since the epoch.
    pub now_ms: fn() -> i64,
}

/// One attempt at a message and its result.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub topic: TopicName,
    pub number: u64,
    pub took: Duration,
    /// Status and body, or the reason why no answer came.
    pub answer: Result<(u16, String), String>,
}

/// The transport to the webhook.
pub enum Transport {
    Http {
        client: Client,
        url: Url,
    },
    /// The webhook in this process.
    InProcess(Arc<Webhook>),
}

/// The webhook's answer, by its meaning for the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// 2xx: done.
    Taken,
    /// 401: perhaps a rotation of the secret.
    Unauthorized(Refusal),
    /// 403 `stale` or `from_the_future`: the clocks differ; retried.
    WrongTime(Refusal),
    /// Any other 4xx: permanent.
    Refused(Refusal),
    /// 3xx, 408, 425, 429, 5xx or no answer: retried.
    NotNow(String),
}

/// A refusal by the webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    /// The bridge's code; empty for other answers.
    pub code: String,
}

/// The secrets of an attempt, one of which signed it.
pub type Signed = Arc<[SigningSecret]>;

impl Transport {
    /// # Errors
    ///
    /// A sentence, when `url` is no `http://` or `https://` URL.
    pub fn http(url: &str) -> Result<Self, String> {
        let expected = || {
            format!("expected the webhook's URL, beginning with https:// or http://, found `{url}`")
        };
        let url = Url::parse(url).map_err(|_| expected())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(expected());
        }
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ANSWER_WITHIN)
            .user_agent(concat!("workflow-bridge-relay/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| format!("cannot make an HTTP client: {error}"))?;
        Ok(Self::Http { client, url })
    }
}

impl Destination {
    /// Makes one attempt at a message received at `received_ms`. `attempt` selects the secret: each attempt uses the next one.
    pub async fn post(
        &self,
        topic: &TopicName,
        message: &Message,
        received_ms: i64,
        attempt: usize,
    ) -> (Answered, Option<Signed>) {
        let began = Instant::now();
        // Built once the secret is there, so each attempt has a fresh time.
        let body = || {
            let body = DeliveryBody {
                cache: &topic.cache,
                topic: &topic.topic,
                event_timestamp: received_ms,
                publish_timestamp: (self.now_ms)(),
                topic_sequence_number: message.number,
                sequence_page: Some(message.page),
                token_id: &message.token_id,
                value: &message.value,
            };
            body.to_json()
        };
        let (answer, signed) = self.send(body, attempt).await;
        if let Some(watch) = &self.watch {
            // Observers are optional.
            let _ = watch.send(Attempt {
                topic: topic.clone(),
                number: message.number,
                took: began.elapsed(),
                answer: answer.clone().map(|(status, body)| {
                    (status.as_u16(), String::from_utf8_lossy(&body).into_owned())
                }),
            });
        }
        let answered = verdict(answer);
        match answered {
            Answered::Taken => self.clock.refused(false),
            Answered::WrongTime(_) => self.clock.refused(true),
            _ => {}
        }
        (answered, signed)
    }

    async fn send(
        &self,
        body: impl FnOnce() -> Vec<u8>,
        attempt: usize,
    ) -> (Answer, Option<Signed>) {
        let secrets = match self.secrets.get(Instant::now() + SECRET_WITHIN).await {
            Ok(secrets) => secrets,
            Err(fault) => return (Err(format!("no signing secret: {fault}")), None),
        };
        let body = body();
        let signature = secrets[attempt % secrets.len()].sign(&body);
        let answer = self.exchange(Method::POST, body, Some(&signature)).await;
        (answer, Some(secrets))
    }

    /// Whether there are newer secrets than the refused ones.
    pub async fn newer_secrets(&self, refused: &Signed) -> bool {
        let deadline = Instant::now() + SECRET_WITHIN;
        let newer = self.secrets.newer_than(refused, deadline).await;
        newer.is_ok_and(|newer| newer.is_some())
    }

    /// Checks that there is a signing secret.
    ///
    /// # Errors
    ///
    /// The store's fault.
    pub async fn signing(&self) -> Result<(), Fault> {
        let secrets = self.secrets.get(Instant::now() + SECRET_WITHIN).await;
        secrets.map(drop)
    }

    /// Checks that the webhook answers and, if it is a bridge, that it accepts the signing secret. The signed probe is a
    /// message too old to be routed; other servers do not get it.
    ///
    /// # Errors
    ///
    /// A transient fault, or one that names the remedy.
    pub async fn probe(&self) -> Result<(), Fault> {
        let unreachable = |reason: String| {
            let text = format!("{reason}; start it, or name another URL");
            Fault::transient("Unreachable", text)
        };
        let hello = self.exchange(Method::GET, Vec::new(), None).await;
        let (status, hello) = hello.map_err(unreachable)?;
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(unreachable(format!("it answers {status}")));
        }
        let hello = AnswerBody::of(&hello);
        if hello.name != env!("CARGO_PKG_NAME") && hello.code != "method_not_allowed" {
            return Ok(());
        }
        let long_ago = DeliveryBody {
            cache: "",
            topic: "",
            event_timestamp: 0,
            publish_timestamp: 0,
            topic_sequence_number: 0,
            sequence_page: None,
            token_id: "",
            value: &crate::domain::inbound::message::Value::Text("Is this the secret?".to_owned()),
        };
        match verdict(self.send(|| long_ago.to_json(), 0).await.0) {
            Answered::Unauthorized(_) => Err(Fault::later(
                "BadSignature",
                "it refuses this signing secret; give the relay the webhook's",
            )),
            Answered::NotNow(reason) => Err(unreachable(reason)),
            Answered::Taken | Answered::WrongTime(_) | Answered::Refused(_) => Ok(()),
        }
    }

    /// Keeps the measured skew fresh, for ever: each answer measures it, and a minute without an answer causes a request. A
    /// webhook of this process has the same clock.
    pub async fn watch_clock(&self) {
        if let Transport::InProcess(_) = self.transport {
            return;
        }
        loop {
            let every = match self.clock.is_tolerated() {
                true => CLOCK_EVERY,
                false => WRONG_CLOCK_EVERY,
            };
            let left = match self.clock.age() {
                Some(age) => every.saturating_sub(age),
                // Answers without a date must not cause a request each second.
                None => CLOCK_EVERY,
            };
            sleep(left.max(Duration::from_secs(1))).await;
            if self.clock.age().is_none_or(|age| age >= every) {
                let _ = self.exchange(Method::GET, Vec::new(), None).await;
            }
        }
    }

    /// The webhook's name for people.
    pub fn place(&self) -> String {
        match &self.transport {
            // Without its query, which may hold a key.
            Transport::Http { url, .. } => {
                let mut url = url.clone();
                url.set_query(None);
                let _ = url.set_password(None);
                url.to_string()
            }
            Transport::InProcess(_) => "the webhook of this process".to_owned(),
        }
    }

    async fn exchange(&self, method: Method, body: Vec<u8>, signature: Option<&str>) -> Answer {
        match &self.transport {
            Transport::Http { client, url } => {
                let mut request = client
                    .request(method, url.clone())
                    .header(CONTENT_TYPE, "application/json");
                if let Some(signature) = signature {
                    request = request.header(HEADER, signature);
                }
                let sent = Instant::now();
                let response = request.body(body).send().await.map_err(reason)?;
                if let Some(date) = response
                    .headers()
                    .get(DATE)
                    .and_then(|date| date.to_str().ok())
                {
                    self.clock.measure(date, (self.now_ms)(), sent.elapsed());
                }
                let status = response.status();
                // The status decides; a truncated body loses only details.
                Ok((status, beginning(response).await))
            }
            Transport::InProcess(webhook) => {
                let mut request = Request::new(body);
                *request.method_mut() = method;
                if let Some(signature) = signature {
                    let value = signature.parse().map_err(|_| "no signature".to_owned())?;
                    request.headers_mut().insert(HEADER, value);
                }
                let budget = webhook.settings.answer_within;
                let response = webhook.answer(&request, Times::within(budget)).await;
                Ok((response.status(), response.into_body().into_bytes()))
            }
        }
    }
}

/// Status and beginning of the body, or the reason why no answer came.
type Answer = Result<(StatusCode, Vec<u8>), String>;

/// The body of a bridge's answer.
#[derive(Default, Deserialize)]
struct AnswerBody {
    #[serde(default)]
    code: String,
    #[serde(default)]
    name: String,
}

impl AnswerBody {
    fn of(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }
}

fn verdict(answer: Answer) -> Answered {
    let (status, body) = match answer {
        Ok(answer) => answer,
        Err(reason) => return Answered::NotNow(reason),
    };
    let refusal = Refusal {
        status: status.as_u16(),
        // The log has this code: its length is bounded.
        code: AnswerBody::of(&body).code.chars().take(64).collect(),
    };
    match status.as_u16() {
        200..=299 => Answered::Taken,
        401 => Answered::Unauthorized(refusal),
        403 if ["stale", "from_the_future"].contains(&&*refusal.code) => {
            Answered::WrongTime(refusal)
        }
        408 | 425 | 429 => Answered::NotNow(format!("it answers {status}")),
        400..=499 => Answered::Refused(refusal),
        _ if refusal.code.is_empty() => Answered::NotNow(format!("it answers {status}")),
        _ => Answered::NotNow(format!("it answers {status}, `{}`", refusal.code)),
    }
}

async fn beginning(mut response: reqwest::Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() >= MAX_ANSWER_BYTES {
            break;
        }
    }
    body
}

/// The reason why no answer came, without the URL: its query may hold a key.
fn reason(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let error = error.without_url();
    let mut cause = error.source();
    let mut text = error.to_string();
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests;
