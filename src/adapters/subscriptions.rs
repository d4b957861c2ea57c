//! Subscriptions to Momento topics, over the protocol itself.
//!
//! The SDK's subscription hides discontinuities, comes back without any pause, for ever, and never frees its place; the relay
//! has to know what it missed and how often it asks. What an SDK would do is little: a header, and a stream of items.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use momento_protos::cache_client::pubsub::pubsub_client::PubsubClient;
use momento_protos::cache_client::pubsub::{
    SubscriptionItem, SubscriptionRequest, TopicItem, subscription_item, topic_value,
};
use tokio::sync::Mutex;
use tokio::time::timeout;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status, Streaming};

use super::momento::credentials;
use crate::config::MomentoEndpoint;
use crate::message::Value;
use crate::ports::{Fault, Secrets, Stage};
use crate::relay::TopicName;
use crate::relay::track::Cursor;

/// Streams on one connection, as many as Momento's SDKs open.
const STREAMS_PER_CONNECTION: usize = 100;
/// Bytes that Momento may send ahead on one stream: some messages of 4 KB. A topic that is not read holds back no other, since
/// a connection has room for all of its streams.
const STREAM_WINDOW: u32 = 32 * 1024;
/// Bound of a subscription's opening, connecting included.
const OPEN_WITHIN: Duration = Duration::from_secs(10);
/// Pings that notice a connection whose other end has gone.
const PING_EVERY: Duration = Duration::from_secs(20);
const PONG_WITHIN: Duration = Duration::from_secs(10);

/// Momento, as the relay uses it.
pub struct Subscriptions {
    endpoint: Endpoint,
    momento: MomentoEndpoint,
    /// One for each hundred topics, and made anew when it seems dead.
    channels: Vec<RwLock<Channel>>,
    secret: Arc<dyn Secrets>,
    /// The key; locked while the secret is read.
    key: Mutex<Option<Arc<str>>>,
}

/// An open subscription.
pub struct Subscription(Streaming<SubscriptionItem>);

/// What a subscription says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    Message(Message),
    /// Messages go on behind this number: the last one sent so far, or the last one that is gone.
    Discontinuity {
        page: u64,
        last: u64,
    },
    /// It lives.
    Heartbeat,
}

/// A message of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub page: u64,
    pub number: u64,
    pub token_id: String,
    pub value: Value,
}

impl Subscriptions {
    /// For so many topics, with a secret that holds a v2 API key and nothing else. Connects when first used.
    ///
    /// # Errors
    ///
    /// When the endpoint is no host and no URL.
    pub fn new(
        secret: Arc<dyn Secrets>,
        momento: MomentoEndpoint,
        topics: usize,
    ) -> Result<Self, Fault> {
        let endpoint = endpoint(&momento).map_err(|error| {
            Fault::permanent(
                "BadEndpoint",
                format!("expected Momento's endpoint, found `{momento:?}`: {error}"),
            )
        })?;
        let connections = topics.div_ceil(STREAMS_PER_CONNECTION);
        let channels = (0..connections).map(|_| RwLock::new(endpoint.connect_lazy()));
        Ok(Self {
            channels: channels.collect(),
            endpoint,
            momento,
            secret,
            key: Mutex::default(),
        })
    }

    /// Opens the subscription of a topic, which is the `index`th: from the next message on, or from a cursor.
    ///
    /// # Errors
    ///
    /// Momento refuses it or does not answer within 10 s. When it refuses the key, the secret is read again for the next time.
    pub async fn open(
        &self,
        index: usize,
        topic: &TopicName,
        from: Option<Cursor>,
    ) -> Result<Subscription, Fault> {
        let key = self.key().await?;
        let bearer = AsciiMetadataValue::try_from(&*key).map_err(|_| bad_key())?;
        let mut request = Request::new(SubscriptionRequest {
            cache_name: topic.cache.clone(),
            topic: topic.topic.clone(),
            // In Momento's protocol 0 means the next message, whatever was published meanwhile.
            resume_at_topic_sequence_number: from.map_or(0, |cursor| cursor.next.max(1)),
            sequence_page: from.map_or(0, |cursor| cursor.page),
        });
        let metadata = request.metadata_mut();
        metadata.insert("authorization", bearer);
        if let Ok(cache) = AsciiMetadataValue::try_from(topic.cache.as_str()) {
            metadata.insert("cache", cache);
        }
        let slot = &self.channels[index / STREAMS_PER_CONNECTION % self.channels.len()];
        let channel = slot.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut client = PubsubClient::new(channel);
        match timeout(OPEN_WITHIN, client.subscribe(request)).await {
            Ok(Ok(response)) => Ok(Subscription(response.into_inner())),
            Ok(Err(status)) => {
                if matches!(
                    status.code(),
                    Code::Unauthenticated | Code::PermissionDenied
                ) {
                    self.forget(&key).await;
                }
                Err(fault(&status))
            }
            Err(_) => {
                // Whoever waits for the connection's set-up would wait for ever.
                *slot.write().unwrap_or_else(PoisonError::into_inner) =
                    self.endpoint.connect_lazy();
                Err(Fault::timed_out())
            }
        }
    }

    async fn key(&self) -> Result<Arc<str>, Fault> {
        let mut kept = self.key.lock().await;
        if let Some(key) = &*kept {
            return Ok(key.clone());
        }
        let read = timeout(OPEN_WITHIN, self.secret.fetch(Stage::Current));
        let text = read.await.map_err(|_| Fault::timed_out())??;
        let text = text.ok_or_else(bad_key)?;
        let key = text.trim();
        credentials(key, &self.momento).map_err(|_| bad_key())?;
        Ok(kept.insert(key.into()).clone())
    }

    /// Has the secret read again, unless somebody did already.
    async fn forget(&self, refused: &Arc<str>) {
        let mut kept = self.key.lock().await;
        kept.take_if(|key| Arc::ptr_eq(key, refused));
    }
}

impl Subscription {
    /// What comes next.
    ///
    /// # Errors
    ///
    /// The subscription is over, whatever the reason.
    pub async fn next(&mut self) -> Result<Said, Fault> {
        let item = self.0.message().await.map_err(|status| fault(&status))?;
        let item =
            item.ok_or_else(|| Fault::transient("Closed", "Momento closed the subscription"))?;
        Ok(match item.kind {
            Some(subscription_item::Kind::Item(item)) => Said::Message(message(item)),
            Some(subscription_item::Kind::Discontinuity(gap)) => Said::Discontinuity {
                page: gap.new_sequence_page,
                last: gap.new_topic_sequence,
            },
            // Something of a newer protocol shows at least that it lives.
            Some(subscription_item::Kind::Heartbeat(_)) | None => Said::Heartbeat,
        })
    }
}

fn message(item: TopicItem) -> Message {
    Message {
        page: item.sequence_page,
        number: item.topic_sequence_number,
        token_id: item.publisher_id,
        value: match item.value.and_then(|value| value.kind) {
            Some(topic_value::Kind::Text(text)) => Value::Text(text),
            Some(topic_value::Kind::Binary(bytes)) => Value::Binary(STANDARD.encode(bytes)),
            None => Value::Text(String::new()),
        },
    }
}

fn endpoint(momento: &MomentoEndpoint) -> Result<Endpoint, tonic::transport::Error> {
    let endpoint = match momento {
        MomentoEndpoint::Host(host) => Endpoint::from_shared(format!("https://cache.{host}"))?
            .tls_config(ClientTlsConfig::new().with_webpki_roots())?,
        MomentoEndpoint::Local(url) => Endpoint::from_shared(url.clone())?,
    };
    Ok(endpoint
        .user_agent(concat!("workflow-bridge/", env!("CARGO_PKG_VERSION")))?
        .connect_timeout(OPEN_WITHIN / 2)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(STREAM_WINDOW * STREAMS_PER_CONNECTION as u32)
        .http2_keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PONG_WITHIN)
        .keep_alive_while_idle(true))
}

fn bad_key() -> Fault {
    Fault::later(
        "BadApiKey",
        "expected a Momento API key of version 2, found something else; make one in Momento's console that may subscribe",
    )
}

/// A gRPC status as a fault, by the kinds that Momento's SDKs know.
fn fault(status: &Status) -> Fault {
    let code = format!("{:?}", status.code());
    let text = status.message();
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => Fault::later(code, text),
        Code::NotFound
        | Code::InvalidArgument
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::FailedPrecondition => Fault::permanent(code, text),
        // A limit of subscriptions or of calls gives way when it is raised or when others end.
        _ => Fault::transient(code, text),
    }
}
