//! Handing a message to the webhook: the very same signed POST that Momento's webhooks send.

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
use crate::adapters::subscriptions::Message;
use crate::entrypoints::http::Webhook;
use crate::message::delivery::DeliveryBody;
use crate::ports::Fault;
use crate::secrets::SecretCache;
use crate::signature::{HEADER, SigningSecret};

/// The whole of one attempt. The webhook's Lambda function answers within 10 s, its time-out; its cold start and the way come
/// on top.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// The longest time without a look at the webhook's clock.
const CLOCK_EVERY: Duration = Duration::from_secs(60);
/// The same while this host's clock is wrong, so that the relay is soon ready again.
const WRONG_CLOCK_EVERY: Duration = Duration::from_secs(5);
/// Bytes of an answer that are read for its code.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// Bound of fetching the signing secret for one attempt.
const SECRET_WITHIN: Duration = Duration::from_secs(10);

/// Where messages go, and with what they are signed.
pub struct Destination {
    pub door: Door,
    pub secrets: SecretCache,
    /// Where every attempt is told of, for whoever looks on.
    pub watch: Option<broadcast::Sender<Attempt>>,
    /// What the webhook's answers show of its clock.
    pub clock: Arc<Clock>,
    /// In ms since the epoch.
    pub now_ms: fn() -> i64,
}

/// One attempt at a message, and how it ended.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub topic: TopicName,
    pub number: u64,
    pub took: Duration,
    /// Status and body, or why there are none.
    pub answer: Result<(u16, String), String>,
}

/// How the webhook is reached.
pub enum Door {
    Http {
        client: Client,
        url: Url,
    },
    /// In this process, by the same code.
    Here(Arc<Webhook>),
}

/// What the webhook said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// 2xx: it is done.
    Taken,
    /// 401: perhaps the secret is being rotated.
    Unauthorized(Refusal),
    /// 403 `stale` or `from_the_future`: the clocks differ, which passes.
    WrongTime(Refusal),
    /// Any other 4xx: it would say so again.
    Refused(Refusal),
    /// 5xx, 429, no answer: again later.
    NotNow(String),
}

/// An answer that is no yes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    /// The bridge's own word for it, where the answer has one.
    pub code: String,
}

/// The secrets that an attempt was signed with one of.
pub type Signed = Arc<[SigningSecret]>;

impl Door {
    /// # Errors
    ///
    /// A sentence, for what is no `http://` or `https://` URL.
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
    /// One attempt at a message that was received at `received_ms`. `attempt` chooses among the secrets: after a refusal, the
    /// next one is tried.
    pub async fn post(
        &self,
        topic: &TopicName,
        message: &Message,
        received_ms: i64,
        attempt: usize,
    ) -> (Answered, Option<Signed>) {
        let began = Instant::now();
        // Each attempt has a time of its own, and the wait for a secret makes it no older.
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
            // Nobody has to look on.
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

    /// Whether the secrets are newer by now than those that a message was refused with.
    pub async fn newer_secrets(&self, refused: &Signed) -> bool {
        let deadline = Instant::now() + SECRET_WITHIN;
        self.secrets.newer_than(refused, deadline).await.is_some()
    }

    /// Whether there is a signing secret.
    ///
    /// # Errors
    ///
    /// As the store says.
    pub async fn signing(&self) -> Result<(), Fault> {
        let secrets = self.secrets.get(Instant::now() + SECRET_WITHIN).await;
        secrets.map(drop)
    }

    /// Whether the webhook can be reached, and, where it says that it is a bridge, takes what is signed like this: a message
    /// that is far too old, which no bridge routes. Nothing else is sent to what is no bridge.
    ///
    /// # Errors
    ///
    /// A fault that passes, or one that names what to mend.
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
        let hello = Words::of(&hello);
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
            value: &crate::message::Value::Text("Is this the secret?".to_owned()),
        };
        match verdict(self.send(|| long_ago.to_json(), 0).await.0) {
            Answered::Unauthorized(_) => Err(Fault::later(
                "BadSignature",
                "it refuses what is signed with this signing secret; give the relay the webhook's",
            )),
            Answered::NotNow(reason) => Err(unreachable(reason)),
            Answered::Taken | Answered::WrongTime(_) | Answered::Refused(_) => Ok(()),
        }
    }

    /// Measures the webhook's clock, for ever: each answer does so, and where none has come for a minute, one is asked for. A
    /// webhook of this process has the same clock.
    pub async fn watch_clock(&self) {
        if let Door::Here(_) = self.door {
            return;
        }
        loop {
            let every = match self.clock.is_tolerated() {
                true => CLOCK_EVERY,
                false => WRONG_CLOCK_EVERY,
            };
            let left = match self.clock.age() {
                Some(age) => every.saturating_sub(age),
                // Where answers have no date, this does not ask for ever more of them.
                None => CLOCK_EVERY,
            };
            sleep(left.max(Duration::from_secs(1))).await;
            if self.clock.age().is_none_or(|age| age >= every) {
                let _ = self.exchange(Method::GET, Vec::new(), None).await;
            }
        }
    }

    /// For people: where messages go.
    pub fn place(&self) -> String {
        match &self.door {
            // Without its query, which may hold a key.
            Door::Http { url, .. } => {
                let mut url = url.clone();
                url.set_query(None);
                let _ = url.set_password(None);
                url.to_string()
            }
            Door::Here(_) => "the webhook of this process".to_owned(),
        }
    }

    async fn exchange(&self, method: Method, body: Vec<u8>, signature: Option<&str>) -> Answer {
        match &self.door {
            Door::Http { client, url } => {
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
                // The status decides; a body that breaks off only tells less.
                Ok((status, beginning(response).await))
            }
            Door::Here(webhook) => {
                let mut request = Request::new(body);
                *request.method_mut() = method;
                if let Some(signature) = signature {
                    let value = signature.parse().map_err(|_| "no signature".to_owned())?;
                    request.headers_mut().insert(HEADER, value);
                }
                let budget = webhook.settings.answer_within;
                let response = webhook.answer(&request, budget).await;
                Ok((response.status(), response.into_body().into_bytes()))
            }
        }
    }
}

/// Status and beginning of the body, or why there are none.
type Answer = Result<(StatusCode, Vec<u8>), String>;

/// What the body of an answer says where it is the bridge's.
#[derive(Default, Deserialize)]
struct Words {
    #[serde(default)]
    code: String,
    #[serde(default)]
    name: String,
}

impl Words {
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
        // It goes into the log: a word, no text.
        code: Words::of(&body).code.chars().take(64).collect(),
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

/// Why there is no answer; without the URL, whose query may hold a key.
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
