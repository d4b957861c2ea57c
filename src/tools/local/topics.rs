//! A Momento Topics server for this machine: the gRPC service of Momento's SDKs and the documented HTTP API on one port, with
//! webhooks delivered as documented, and with cache items for claims of large results.
//!
//! It requires an API key and existing caches, refuses values over [`MAX_VALUE_BYTES`], and numbers messages by page and
//! sequence ([`broker`]). It keeps nothing on disk. A client takes the `http://` endpoint as an endpoint override:
//! `CredentialProvider::from_api_key_v2(key, "local")?.insecure_endpoint_override(&server.endpoint())`, or uses its local
//! mode (`forMomentoLocal`), whose empty key a server on loopback accepts for gRPC. Browsers speak gRPC-web (`origins`).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use momento_protos::cache_client::pubsub::pubsub_server::PubsubServer;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, oneshot};
use tokio::task::JoinHandle;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_web::GrpcWebLayer;

pub mod broker;
mod caches;
mod grpc;
mod http;
mod items;
mod keys;
mod limits;
mod origins;
mod refusal;
mod service;
mod webhooks;

use broker::{Broker, Message, Publisher, Value};
use caches::Caches;
pub use http::{NUMBER, PAGE, TIME};
use items::Items;
pub use keys::{STABLE_API_KEY, local_api_key};
pub use limits::Limits;
pub use refusal::Refusal;
use service::Service;
use webhooks::Webhooks;
pub use webhooks::{DeliveryOutcome, Webhook, WebhookError};

/// Momento's hard limit on a topic message.
pub const MAX_VALUE_BYTES: usize = 4096;
/// Caches of one server, at most.
const MAX_CACHES: usize = 1_000;
/// Bytes of a cache or topic name, this server's own bound.
pub const MAX_NAME_BYTES: usize = 1024;
/// Calls at a time of one connection. Without TLS, Momento's SDK for Python has one connection for all its subscriptions; a call
/// over the limit would wait there without an error.
const STREAMS: u32 = 10_000;
/// Events buffered for each observer; a slower one misses the oldest.
const EVENTS: usize = 1024;
/// How long a shutdown waits for idle connections to end.
const LINGER: Duration = Duration::from_secs(2);

/// Options of a [`TopicsServer`].
pub struct TopicsOptions {
    /// Default 127.0.0.1 and a port that the system chooses.
    pub listen: SocketAddr,
    /// The API keys accepted, each with its token id (`publisher_id`, `token_id`), if any. Default none.
    pub keys: BTreeMap<String, Option<String>>,
    /// The caches at the start, or `None` for every name (the default).
    pub caches: Option<BTreeSet<String>>,
    /// Heartbeat interval of a gRPC subscription without messages. Default 5 s.
    pub heartbeat_interval: Duration,
    /// How long a long poll waits before it answers without items. Default 30 s.
    pub poll_wait: Duration,
    /// Time-out of a webhook delivery. Default 5 s, as Momento's.
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

/// An event for observers.
#[derive(Clone, Debug)]
pub enum TopicsEvent {
    /// A message was accepted; in the order of each topic.
    Published(Arc<Message>),
    /// A webhook delivery's only attempt ended.
    WebhookDelivered {
        webhook: String,
        message: Arc<Message>,
        outcome: DeliveryOutcome,
        /// Since the message was published.
        elapsed: Duration,
    },
}

/// A running server. Dropping it ends it, too, without waiting.
pub struct TopicsServer {
    address: SocketAddr,
    service: Arc<Service>,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl TopicsServer {
    /// Binds and serves; it answers as soon as this returns.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound, or the client for webhook deliveries cannot be made.
    pub async fn start(options: TopicsOptions) -> io::Result<Self> {
        let listener = TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let events = broadcast::Sender::new(EVENTS);
        let webhooks = Webhooks::new(options.webhook_timeout, events.clone());
        let service = Arc::new(Service {
            keys: RwLock::new(options.keys),
            bridge_key: RwLock::default(),
            keyless: address.ip().is_loopback(),
            caches: Caches::new(options.caches),
            heartbeat_interval: options.heartbeat_interval,
            poll_wait: options.poll_wait,
            items: Items::new(&options.limits),
            broker: Broker::new(options.limits),
            webhooks: webhooks.map_err(io::Error::other)?,
            events,
        });
        let pubsub = PubsubServer::new(grpc::Grpc(service.clone()));
        let grpc = Router::new()
            .route_service("/cache_client.pubsub.Pubsub/{method}", pubsub)
            .merge(grpc::caches::router(service.clone()))
            .merge(grpc::items::router(service.clone()))
            .route_layer(GrpcWebLayer::new());
        let app = http::router(service.clone())
            .merge(http::items::router(service.clone()))
            .merge(grpc);
        let app = origins::guard(app);
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async {
            // A dropped sender means stop, too.
            let _ = stopped.await;
        };
        // Otherwise the second part of an answer would wait for the client to acknowledge the first: up to 40 ms.
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let serve = Server::builder()
            .accept_http1(true)
            .max_concurrent_streams(STREAMS)
            .add_routes(app.into())
            .serve_with_incoming_shutdown(incoming, stopped);
        Ok(Self {
            address,
            service,
            stop: Some(stop),
            serving: tokio::spawn(serve),
        })
    }

    /// `http://127.0.0.1:PORT`, for gRPC and HTTP alike.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// A topic's URL in the HTTP API, with percent-encoded names.
    pub fn topic_url(&self, cache: &str, topic: &str) -> String {
        let mut url = self.endpoint().parse::<reqwest::Url>().ok();
        if let Some(mut path) = url.as_mut().and_then(|url| url.path_segments_mut().ok()) {
            path.extend(["topics", cache, topic]);
        }
        url.map(String::from).unwrap_or_default()
    }

    /// The events from now on. A slow observer misses the oldest ones and gets an error for them.
    pub fn events(&self) -> broadcast::Receiver<TopicsEvent> {
        self.service.events.subscribe()
    }

    /// Publishes from inside the process, as a publisher without token id; the message with its number.
    ///
    /// # Errors
    ///
    /// The refusals of a client's request, except for the key.
    pub fn publish(
        &self,
        cache: &str,
        topic: &str,
        value: impl Into<Value>,
    ) -> Result<Arc<Message>, Refusal> {
        self.service
            .publish(cache, topic, value.into(), Publisher::default())
    }

    /// Creates a cache, unless it exists.
    ///
    /// # Errors
    ///
    /// When the name is invalid, or there are too many caches.
    pub fn create_cache(&self, cache: &str) -> Result<(), Refusal> {
        match self.service.create_cache(cache) {
            Err(Refusal::CacheExists(_)) => Ok(()),
            result => result,
        }
    }

    /// The caches in alphabetical order; empty if every name is a cache.
    pub fn caches(&self) -> Vec<String> {
        self.service.caches.list()
    }

    /// Accepts an API key from now on, with its token id, if any.
    pub fn put_key(&self, key: impl Into<String>, token_id: Option<String>) {
        let keys = self.service.keys.write();
        let mut keys = keys.unwrap_or_else(PoisonError::into_inner);
        keys.insert(key.into(), token_id);
    }

    /// Accepts the key of the bridge's functions from now on, which marks their publications ([`Message::by_bridge`]).
    pub fn put_bridge_key(&self, key: &str) {
        let bridge = self.service.bridge_key.write();
        *bridge.unwrap_or_else(PoisonError::into_inner) = Some(key.to_owned());
        self.put_key(key, None);
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
    /// When the URL, host or secret is invalid, or there are too many webhooks.
    pub fn put_webhook(&self, name: &str, webhook: Webhook) -> Result<(), WebhookError> {
        self.service.webhooks.put(name, webhook)
    }

    /// The names of the webhooks in alphabetical order.
    pub fn webhooks(&self) -> Vec<String> {
        self.service.webhooks.names()
    }

    /// Removes a webhook; `false` if there was none. Deliveries already started go on.
    pub fn delete_webhook(&self, name: &str) -> bool {
        self.service.webhooks.delete(name)
    }

    /// Starts a new page of a topic, as Momento does after inactivity: history gone, sequence numbers from the start.
    pub fn reset(&self, cache: &str, topic: &str) {
        self.service.broker.reset(cache, topic);
    }

    /// Ends open streams and polls at once, waits for webhook deliveries under way, each bounded by its own time-out, and
    /// frees the port.
    pub async fn shutdown(mut self) {
        self.service.broker.close();
        self.stop.take();
        self.service.webhooks.drain().await;
        // Connections still open after that end with the process.
        let _ = tokio::time::timeout(LINGER, &mut self.serving).await;
    }
}

impl Drop for TopicsServer {
    fn drop(&mut self) {
        self.service.broker.close();
    }
}

#[cfg(test)]
mod tests;
