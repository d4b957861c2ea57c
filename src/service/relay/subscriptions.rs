//! Subscriptions to Momento topics, by the gRPC protocol itself.
//!
//! The SDK's subscription hides discontinuities, reconnects for ever without a pause, and never frees its stream. The relay
//! has to report gaps and bound its retries. The protocol is small: a header and a stream of items.

use std::sync::{self, Arc, MutexGuard, PoisonError};
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

use crate::adapters::momento::credentials;
use crate::config::MomentoEndpoint;
use crate::domain::fault::Fault;
use crate::domain::inbound::message::Value;
use crate::domain::ports::{Secrets, Stage};
use crate::service::relay::TopicName;
use crate::service::relay::track::Cursor;

/// Streams per connection, as in Momento's SDKs.
const STREAMS_PER_CONNECTION: usize = 100;
/// Flow-control window of one stream, in bytes: some messages of 4 KB. The connection's window covers all of its streams, so
/// an unread topic holds back no other.
const STREAM_WINDOW: u32 = 32 * 1024;
/// Deadline for opening a subscription, connecting included.
const OPEN_WITHIN: Duration = Duration::from_secs(10);
/// Pings that detect a dead connection.
const PING_EVERY: Duration = Duration::from_secs(20);
const PONG_WITHIN: Duration = Duration::from_secs(10);

/// Opens subscriptions at Momento.
pub struct Subscriptions {
    endpoint: Endpoint,
    momento: MomentoEndpoint,
    /// One per hundred topics, made at first use and replaced when it seems dead.
    channels: sync::Mutex<Vec<Channel>>,
    secret: Arc<dyn Secrets>,
    /// The key; locked while the secret is read.
    key: Mutex<Option<Arc<str>>>,
}

/// An open subscription.
pub struct Subscription(Streaming<SubscriptionItem>);

/// An item of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    Message(Message),
    /// Messages continue after this number: the last one sent so far, or the last one lost.
    Discontinuity {
        page: u64,
        last: u64,
    },
    /// A sign of life.
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
    /// The secret is a plain v2 API key. Connects at first use.
    ///
    /// # Errors
    ///
    /// When the endpoint is neither a host nor a URL.
    pub fn new(secret: Arc<dyn Secrets>, momento: MomentoEndpoint) -> Result<Self, Fault> {
        let endpoint = endpoint(&momento).map_err(|error| {
            Fault::permanent(
                "BadEndpoint",
                format!("expected Momento's endpoint, found `{momento:?}`: {error}"),
            )
        })?;
        Ok(Self {
            channels: sync::Mutex::default(),
            endpoint,
            momento,
            secret,
            key: Mutex::default(),
        })
    }

    /// Opens the subscription of the topic at `index`: from the next message on, or from a cursor.
    ///
    /// # Errors
    ///
    /// When Momento refuses it or does not answer within 10 s. After a refused key, the next call reads the secret again.
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
            // In Momento's protocol 0 means the next message; those published meanwhile are skipped.
            resume_at_topic_sequence_number: from.map_or(0, |cursor| cursor.next.max(1)),
            sequence_page: from.map_or(0, |cursor| cursor.page),
        });
        let metadata = request.metadata_mut();
        metadata.insert("authorization", bearer);
        if let Ok(cache) = AsciiMetadataValue::try_from(topic.cache.as_str()) {
            metadata.insert("cache", cache);
        }
        let connection = index / STREAMS_PER_CONNECTION;
        let mut client = PubsubClient::new(self.channel(connection));
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
                // Callers waiting for this connection's set-up would wait for ever.
                self.channels()[connection] = self.endpoint.connect_lazy();
                Err(Fault::timed_out())
            }
        }
    }

    fn channel(&self, connection: usize) -> Channel {
        let mut channels = self.channels();
        if channels.len() <= connection {
            channels.resize_with(connection + 1, || self.endpoint.connect_lazy());
        }
        channels[connection].clone()
    }

    fn channels(&self) -> MutexGuard<'_, Vec<Channel>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Drops a refused key, so that the next call reads the secret. A newer key stays.
    async fn forget(&self, refused: &Arc<str>) {
        let mut kept = self.key.lock().await;
        kept.take_if(|key| Arc::ptr_eq(key, refused));
    }
}

impl Subscription {
    /// Returns the next item.
    ///
    /// # Errors
    ///
    /// When the subscription has ended, for any reason.
    pub async fn next(&mut self) -> Result<Received, Fault> {
        let item = self.0.message().await.map_err(|status| fault(&status))?;
        let item =
            item.ok_or_else(|| Fault::transient("Closed", "Momento closed the subscription"))?;
        Ok(match item.kind {
            Some(subscription_item::Kind::Item(item)) => Received::Message(message(item)),
            Some(subscription_item::Kind::Discontinuity(gap)) => Received::Discontinuity {
                page: gap.new_sequence_page,
                last: gap.new_topic_sequence,
            },
            // An unknown item of a newer protocol is a sign of life, too.
            Some(subscription_item::Kind::Heartbeat(_)) | None => Received::Heartbeat,
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
        "expected a Momento API key of version 2, found something else; make one with permission to subscribe in Momento's console",
    )
}

/// Classifies a gRPC status as Momento's SDKs do.
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
        // Includes limits of subscriptions and calls: they are raised, or other calls end.
        _ => Fault::transient(code, text),
    }
}
