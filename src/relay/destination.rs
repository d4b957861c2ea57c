//! Handing a message to the webhook: the very same signed POST that Momento's webhooks send.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, StatusCode};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Url, redirect};
use serde::Deserialize;
use tokio::time::Instant;

use super::TopicName;
use crate::adapters::subscriptions::Message;
use crate::entrypoints::http::Webhook;
use crate::message::delivery::DeliveryBody;
use crate::ports::Fault;
use crate::secrets::SecretCache;
use crate::signature::{HEADER, SigningSecret};

/// The whole of one attempt. The webhook answers within 5 s, or its Lambda function ends within 10.
const ANSWER_WITHIN: Duration = Duration::from_secs(12);
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// Bytes of an answer that are read for its code.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// Bound of fetching the signing secret for one attempt.
const SECRET_WITHIN: Duration = Duration::from_secs(10);

/// Where messages go, and with what they are signed.
pub struct Destination {
    pub door: Door,
    pub secrets: SecretCache,
    /// In ms since the epoch.
    pub now_ms: fn() -> i64,
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
        self.send(body.to_json(), attempt).await
    }

    async fn send(&self, body: Vec<u8>, attempt: usize) -> (Answered, Option<Signed>) {
        let secrets = match self.secrets.get(Instant::now() + SECRET_WITHIN).await {
            Ok(secrets) => secrets,
            Err(fault) => {
                return (
                    Answered::NotNow(format!("no signing secret: {fault}")),
                    None,
                );
            }
        };
        let signature = secrets[attempt % secrets.len()].sign(&body);
        let answered = match self.exchange(Method::POST, body, Some(&signature)).await {
            Err(reason) => Answered::NotNow(reason),
            Ok(answer) => answer.verdict(),
        };
        (answered, Some(secrets))
    }

    /// Whether the secrets are newer by now than those that a message was refused with.
    pub async fn newer_secrets(&self, refused: &Signed) -> bool {
        let deadline = Instant::now() + SECRET_WITHIN;
        self.secrets.newer_than(refused, deadline).await.is_some()
    }

    /// Whether the webhook can be reached, and, where it says that it is a bridge, takes what is signed like this: a message
    /// that is far too old, which no bridge routes. Nothing else is sent to what is no bridge.
    ///
    /// # Errors
    ///
    /// A fault that passes, or one that names what to mend.
    pub async fn probe(&self) -> Result<(), Fault> {
        let unreachable = |reason| Fault::transient("Unreachable", reason);
        let hello = self.exchange(Method::GET, Vec::new(), None).await;
        let hello = hello.map_err(unreachable)?;
        if hello.status.is_server_error() || hello.status == StatusCode::TOO_MANY_REQUESTS {
            return Err(unreachable(format!("it answers {}", hello.status)));
        }
        let is_bridge = hello.name == env!("CARGO_PKG_NAME") || hello.code == "method_not_allowed";
        if !is_bridge {
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
        match self.send(long_ago.to_json(), 0).await.0 {
            Answered::Unauthorized(_) => Err(Fault::later(
                "BadSignature",
                "it refuses what is signed with this signing secret; give the relay the webhook's",
            )),
            Answered::NotNow(reason) => Err(unreachable(reason)),
            Answered::Taken | Answered::Refused(_) => Ok(()),
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

    async fn exchange(
        &self,
        method: Method,
        body: Vec<u8>,
        signature: Option<&str>,
    ) -> Result<Answer, String> {
        match &self.door {
            Door::Http { client, url } => {
                let mut request = client
                    .request(method, url.clone())
                    .header(CONTENT_TYPE, "application/json");
                if let Some(signature) = signature {
                    request = request.header(HEADER, signature);
                }
                let response = request.body(body).send().await.map_err(reason)?;
                let status = response.status();
                // The status decides; a body that breaks off only tells less.
                Ok(Answer::read(status, &beginning(response).await))
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
                Ok(Answer::read(response.status(), response.body().as_bytes()))
            }
        }
    }
}

/// A status, and what the body says where it is the bridge's.
struct Answer {
    status: StatusCode,
    code: String,
    name: String,
}

impl Answer {
    fn read(status: StatusCode, body: &[u8]) -> Self {
        #[derive(Default, Deserialize)]
        struct Body {
            #[serde(default)]
            code: String,
            #[serde(default)]
            name: String,
        }
        let body: Body = serde_json::from_slice(body).unwrap_or_default();
        Self {
            status,
            // It goes into the log: a word, no text.
            code: body.code.chars().take(64).collect(),
            name: body.name,
        }
    }

    fn verdict(self) -> Answered {
        let refusal = Refusal {
            status: self.status.as_u16(),
            code: self.code,
        };
        match self.status.as_u16() {
            200..=299 => Answered::Taken,
            401 => Answered::Unauthorized(refusal),
            408 | 425 | 429 => Answered::NotNow(format!("it answers {}", self.status)),
            400..=499 => Answered::Refused(refusal),
            _ if refusal.code.is_empty() => Answered::NotNow(format!("it answers {}", self.status)),
            _ => Answered::NotNow(format!("it answers {}, `{}`", self.status, refusal.code)),
        }
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
mod tests {
    use super::*;

    fn verdict(status: u16, body: &str) -> Answered {
        Answer::read(StatusCode::from_u16(status).unwrap(), body.as_bytes()).verdict()
    }

    #[test]
    fn an_answer_says_whether_to_come_again() {
        assert_eq!(verdict(200, ""), Answered::Taken);
        assert_eq!(verdict(204, ""), Answered::Taken);
        for status in [301, 408, 425, 429, 500, 502, 503, 504] {
            assert!(
                matches!(verdict(status, "<html>"), Answered::NotNow(_)),
                "{status}"
            );
        }
        for status in [400, 403, 404, 405, 413] {
            assert!(
                matches!(verdict(status, "[1]"), Answered::Refused(_)),
                "{status}"
            );
        }
        assert!(matches!(verdict(401, "{}"), Answered::Unauthorized(_)));
    }

    #[test]
    fn a_refusal_has_the_bridges_word() {
        let refused = verdict(400, r#"{"code":"malformed"}"#);
        let refusal = Refusal {
            status: 400,
            code: "malformed".into(),
        };
        assert_eq!(refused, Answered::Refused(refusal));
        let Answered::NotNow(reason) = verdict(503, r#"{"code":"not_stored"}"#) else {
            panic!("expected a wait");
        };
        assert_eq!(reason, "it answers 503 Service Unavailable, `not_stored`");
    }

    #[test]
    fn only_a_url_of_http_will_do() {
        for wrong in ["", "webhook", "ftp://host/", "http//host"] {
            let error = Door::http(wrong).err().unwrap();
            assert!(error.starts_with("expected the webhook's URL"), "{error}");
        }
        assert!(Door::http("https://host/path").is_ok());
    }
}
