//! A Momento Topics server for this machine: the gRPC service that Momento's SDKs speak and the documented HTTP API on one
//! port, with webhooks delivered as documented, and the cache items that claims of large results point to.
//!
//! It asks for an API key, knows which caches exist, refuses values over [`MAX_VALUE_BYTES`], and numbers messages by page
//! and sequence ([`broker`]). It keeps nothing on disk. A client takes the `http://` endpoint as an endpoint override:
//! `CredentialProvider::from_api_key_v2(key, "local")?.insecure_endpoint_override(&server.endpoint())`.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::serve::ListenerExt as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use momento_protos::cache_client::pubsub::pubsub_server::PubsubServer;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, oneshot};
use tokio::task::JoinHandle;

pub mod broker;
mod grpc;
mod http;
mod items;
mod limits;
mod webhooks;

use broker::{Broker, BrokerError, Message, Position, Subscriber, Value};
use items::Items;
pub use limits::Limits;
use webhooks::Webhooks;
pub use webhooks::{DeliveryOutcome, Webhook, WebhookError};

/// Momento's hard limit on a topic message.
pub const MAX_VALUE_BYTES: usize = 4096;
/// Bytes of a cache or topic name, this server's own bound.
const MAX_NAME_BYTES: usize = 1024;
/// Events that a slow listener may be behind; beyond that it misses the oldest.
const EVENTS: usize = 1024;
/// How long a shutdown waits for connections to end once nothing is under way on them.
const LINGER: Duration = Duration::from_secs(2);

/// How to start a [`TopicsServer`].
pub struct TopicsOptions {
    /// Default 127.0.0.1 and a port that the system chooses.
    pub listen: SocketAddr,
    /// The API keys accepted, each with its token id (`publisher_id`, `token_id`) where it has one. Default none.
    pub keys: BTreeMap<String, Option<String>>,
    /// The caches that exist, or `None` for every name (the default).
    pub caches: Option<BTreeSet<String>>,
    /// Between two signs of life on a gRPC subscription without messages. Default 5 s.
    pub heartbeat_interval: Duration,
    /// How long a long poll waits before it answers without items. Default 30 s.
    pub poll_wait: Duration,
    /// The whole time of a webhook delivery. Default 5 s, as Momento's.
    pub webhook_timeout: Duration,
    pub limits: Limits,
}

impl Default for TopicsOptions {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            keys: BTreeMap::new(),
            caches: None,
            heartbeat_interval: Duration::from_secs(5),
            poll_wait: Duration::from_secs(30),
            webhook_timeout: Duration::from_secs(5),
            limits: Limits::default(),
        }
    }
}

/// What happened, for whoever watches.
#[derive(Clone, Debug)]
pub enum TopicsEvent {
    /// A message was accepted; in the order of each topic.
    Published(Arc<Message>),
    /// The one attempt to deliver a message to a webhook ended.
    WebhookDelivered {
        webhook: String,
        message: Arc<Message>,
        outcome: DeliveryOutcome,
        /// Since the message was published.
        elapsed: Duration,
    },
}

/// Why a request is refused. The faces turn it into their statuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("expected a valid API key, without `Bearer`, found none or another")]
    Unauthorized,
    #[error("Cache Not Found: expected the name of an existing cache, found `{0}`")]
    CacheNotFound(String),
    #[error("expected a {0} name of 1 to {MAX_NAME_BYTES} bytes; use another name")]
    BadName(&'static str),
    #[error("expected a value, text or binary, found none")]
    NoValue,
    #[error("expected a value of at most {MAX_VALUE_BYTES} bytes, found {0} or more; publish less")]
    TooLarge(usize),
    #[error("expected an item of at most {most} bytes, found {found} or more; store less")]
    ItemTooLarge { found: usize, most: usize },
    #[error("expected a time to live from 1 ms to 24 hours, found {0} ms")]
    BadTtl(u64),
    #[error(transparent)]
    Broker(#[from] BrokerError),
}

/// What both faces serve.
struct Service {
    keys: RwLock<BTreeMap<String, Option<String>>>,
    caches: Option<BTreeSet<String>>,
    heartbeat_interval: Duration,
    poll_wait: Duration,
    broker: Arc<Broker>,
    items: Items,
    webhooks: Webhooks,
    events: broadcast::Sender<TopicsEvent>,
}

/// The token id of a publisher that showed a valid key.
struct Publisher(Option<String>);

impl Service {
    fn authorize(&self, key: Option<&str>) -> Result<Publisher, Refusal> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let token_id = key.and_then(|key| keys.get(key));
        let token_id = token_id.ok_or(Refusal::Unauthorized)?;
        Ok(Publisher(token_id.clone()))
    }

    fn check_names(&self, cache: &str, topic: &str) -> Result<(), Refusal> {
        check_name("cache", cache.len())?;
        check_name("topic", topic.len())?;
        self.check_cache(cache)
    }

    fn check_cache(&self, cache: &str) -> Result<(), Refusal> {
        match &self.caches {
            Some(caches) if !caches.contains(cache) => {
                Err(Refusal::CacheNotFound(cache.to_owned()))
            }
            _ => Ok(()),
        }
    }

    fn publish(
        &self,
        cache: &str,
        topic: &str,
        value: Value,
        publisher: Publisher,
    ) -> Result<(), Refusal> {
        self.check_names(cache, topic)?;
        if value.bytes() > MAX_VALUE_BYTES {
            return Err(Refusal::TooLarge(value.bytes()));
        }
        let published = |message: &Arc<Message>| {
            // Nobody has to listen.
            let _ = self.events.send(TopicsEvent::Published(message.clone()));
            self.webhooks.deliver(message);
        };
        Ok(self
            .broker
            .publish(cache, topic, value, publisher.0, published)?)
    }

    fn subscribe(
        &self,
        cache: &str,
        topic: &str,
        position: Position,
    ) -> Result<Subscriber, Refusal> {
        self.check_names(cache, topic)?;
        Ok(self.broker.subscribe(cache, topic, position)?)
    }
}

fn check_name(what: &'static str, bytes: usize) -> Result<(), Refusal> {
    match bytes {
        1..=MAX_NAME_BYTES => Ok(()),
        _ => Err(Refusal::BadName(what)),
    }
}

/// A running server. Dropping it ends it too, without waiting for anything.
pub struct TopicsServer {
    address: SocketAddr,
    service: Arc<Service>,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<io::Result<()>>,
}

impl TopicsServer {
    /// Binds and serves; it answers as soon as this returns.
    ///
    /// # Errors
    ///
    /// The address cannot be bound, or the client for webhook deliveries cannot be made.
    pub async fn start(options: TopicsOptions) -> io::Result<Self> {
        let listener = TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        // An answer of several parts would wait for the client to acknowledge the first one: up to 40 ms.
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        let events = broadcast::Sender::new(EVENTS);
        let webhooks = Webhooks::new(options.webhook_timeout, events.clone());
        let service = Arc::new(Service {
            keys: RwLock::new(options.keys),
            caches: options.caches,
            heartbeat_interval: options.heartbeat_interval,
            poll_wait: options.poll_wait,
            items: Items::new(&options.limits),
            broker: Broker::new(options.limits),
            webhooks: webhooks.map_err(io::Error::other)?,
            events,
        });
        let grpc = PubsubServer::new(grpc::Grpc(service.clone()));
        let app = http::router(service.clone())
            .route_service("/cache_client.pubsub.Pubsub/{method}", grpc)
            .merge(items::router(service.clone()));
        let (stop, stopped) = oneshot::channel::<()>();
        let serve = axum::serve(listener, app).with_graceful_shutdown(async {
            // The sender was used, or is gone with the server.
            let _ = stopped.await;
        });
        Ok(Self {
            address,
            service,
            stop: Some(stop),
            serving: tokio::spawn(serve.into_future()),
        })
    }

    /// `http://127.0.0.1:PORT`, for gRPC and HTTP alike.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything that happens from now on. A listener that is far behind misses the oldest events and is told so.
    pub fn events(&self) -> broadcast::Receiver<TopicsEvent> {
        self.service.events.subscribe()
    }

    /// Publishes from inside the process, as a publisher without token id.
    ///
    /// # Errors
    ///
    /// What a client would be refused, but for the key.
    pub fn publish(
        &self,
        cache: &str,
        topic: &str,
        value: impl Into<Value>,
    ) -> Result<(), Refusal> {
        self.service
            .publish(cache, topic, value.into(), Publisher(None))
    }

    /// Accepts an API key from now on, with its token id where it has one.
    pub fn put_key(&self, key: impl Into<String>, token_id: Option<String>) {
        let keys = self.service.keys.write();
        let mut keys = keys.unwrap_or_else(PoisonError::into_inner);
        keys.insert(key.into(), token_id);
    }

    /// Refuses an API key from now on; `false` if it was not accepted before. Open subscriptions go on.
    pub fn delete_key(&self, key: &str) -> bool {
        let keys = self.service.keys.write();
        let mut keys = keys.unwrap_or_else(PoisonError::into_inner);
        keys.remove(key).is_some()
    }

    /// Registers a webhook, or replaces the one of the same name, for messages published from now on.
    ///
    /// # Errors
    ///
    /// The URL, host or secret cannot be used, or there are too many webhooks.
    pub fn put_webhook(&self, name: &str, webhook: Webhook) -> Result<(), WebhookError> {
        self.service.webhooks.put(name, webhook)
    }

    /// Removes a webhook; `false` if there was none. Deliveries already started go on.
    pub fn delete_webhook(&self, name: &str) -> bool {
        self.service.webhooks.delete(name)
    }

    /// Starts a new page of a topic, as Momento does after inactivity: history gone, sequence numbers from the start.
    pub fn reset(&self, cache: &str, topic: &str) {
        self.service.broker.reset(cache, topic);
    }

    /// Ends open streams and polls at once, waits for webhook deliveries on their way, each bounded by its own timeout,
    /// and gives the port back.
    pub async fn shutdown(mut self) {
        self.service.broker.close();
        self.stop.take();
        self.service.webhooks.drain().await;
        // What a client still holds open after that ends with the process.
        let _ = tokio::time::timeout(LINGER, &mut self.serving).await;
    }
}

impl Drop for TopicsServer {
    fn drop(&mut self) {
        self.service.broker.close();
    }
}

/// A new API key for local use. Its form is that of a Momento v2 key, a JWT whose claims have `"t":"g"`, so Momento's SDKs
/// take it; its signature is the word `localkey`, so it opens nothing anywhere else.
pub fn local_api_key() -> String {
    let id = rand::random::<u128>();
    let claims = format!(r#"{{"t":"g","jti":"{id:032x}"}}"#);
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    format!("{header}.{}.localkey", URL_SAFE_NO_PAD.encode(claims))
}

#[cfg(test)]
mod tests;
