//! The relay of a local stack: `bridge relay`, in this process.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::sync::broadcast;

use super::topics::TopicsServer;
use crate::clock::now_ms;
use crate::config::MomentoEndpoint;
use crate::domain::inbound::live_routes::LiveRoutes;
use crate::domain::inbound::secrets::SecretCache;
use crate::service::files::SecretText;
use crate::service::relay::cursors::{Cursors, FileStore};
use crate::service::relay::destination::{Attempt, Destination, Transport};
use crate::service::relay::follow::Follow;
use crate::service::relay::gaps::Gaps;
use crate::service::relay::status::Status;
use crate::service::relay::subscriptions::Subscriptions;
use crate::service::relay::track::Gap;
use crate::service::relay::{self, Running, TopicName};
use crate::telemetry::metrics::Metrics;

/// Attempts buffered for each observer.
const BUFFER: usize = 1024;
/// The time between two reads of routes.
const READ_EVERY: Duration = Duration::from_secs(2);

/// A running relay. Dropping it ends it.
pub struct Relay {
    attempts: broadcast::Sender<Attempt>,
    gaps: broadcast::Sender<(TopicName, Gap)>,
    _running: Running,
}

impl Relay {
    /// Relays the routes' topics from `server` to `webhook`; routes known without a read need exact topics.
    pub async fn start(
        server: &TopicsServer,
        routes: Arc<LiveRoutes>,
        api_key: &str,
        webhook: &str,
        signing_secret: &str,
        cursors: &Path,
    ) -> Result<Self> {
        let follow = Follow {
            routes,
            every: READ_EVERY,
        };
        let topics = follow.topics().map_err(|text| anyhow!(text))?;
        let follow = Some(follow).filter(|follow| follow.routes.is_live());
        let clock = Arc::default();
        let status = Arc::new(Status::new(topics.len(), Arc::clone(&clock)));
        let attempts = broadcast::Sender::new(BUFFER);
        let gaps = broadcast::Sender::new(BUFFER);
        let endpoint = MomentoEndpoint::Local(server.endpoint());
        let key = Arc::new(SecretText(api_key.to_owned()));
        let signing = Arc::new(SecretText(signing_secret.to_owned()));
        let relay = relay::Relay {
            subscriptions: Arc::new(Subscriptions::new(key, endpoint)?),
            topics,
            follow,
            from: Default::default(),
            destination: Arc::new(Destination {
                transport: Transport::http(webhook).map_err(|text| anyhow!(text))?,
                secrets: SecretCache::new(signing),
                watch: Some(attempts.clone()),
                clock: clock.clone(),
                now_ms,
            }),
            cursors: Arc::new(Cursors::new(Box::new(FileStore::open(cursors)?))),
            gaps: Arc::new(Gaps {
                status: status.clone(),
                bus: None,
                metrics: Metrics::none(),
                watch: Some(gaps.clone()),
            }),
            status,
            concurrency: 16,
            quiet_for: Duration::from_secs(60),
            now_ms,
        };
        Ok(Self {
            attempts,
            gaps,
            _running: relay.start().await?,
        })
    }

    /// The attempts from now on.
    pub fn attempts(&self) -> broadcast::Receiver<Attempt> {
        self.attempts.subscribe()
    }

    /// The gaps from now on.
    pub fn gaps(&self) -> broadcast::Receiver<(TopicName, Gap)> {
        self.gaps.subscribe()
    }
}
