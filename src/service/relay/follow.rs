//! Follows routes: their topics come and go while the relay runs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::{TopicName, topics};
use crate::domain::inbound::live_routes::LiveRoutes;
use crate::domain::inbound::routes::Routes;
use crate::service::backoff::Backoff;

/// Time limit of a read. One that takes longer goes on, and serves the next.
const READ_WITHIN: Duration = Duration::from_secs(5);
/// The first wait after a failed read.
const RETRY_AFTER: Duration = Duration::from_secs(3);

/// Routes whose exact topics are relayed.
pub struct Follow {
    pub routes: Arc<LiveRoutes>,
    /// The time between two reads.
    pub every: Duration,
}

/// The topics to relay at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub topics: BTreeSet<TopicName>,
    /// The collected routes were read at least once.
    pub is_complete: bool,
}

/// Polls the routes.
pub struct Follower {
    follow: Follow,
    /// Whether the last read succeeded.
    is_current: bool,
    /// The logged routes with a wildcard, each with its source.
    wild: BTreeSet<(String, String)>,
}

impl Follow {
    /// The topics of the routes known without a read, to which the relay must be able to subscribe at its start.
    ///
    /// # Errors
    ///
    /// A sentence, when one of these routes has a wildcard; and without any enabled route, unless other stacks may bring one.
    pub fn topics(&self) -> Result<BTreeSet<TopicName>, String> {
        let routes = self.routes.known().routes;
        if !self.routes.has_collected() {
            return topics::of_routes(&routes);
        }
        topics::check(&routes)?;
        Ok(topics::exact(&routes))
    }
}

impl Follower {
    pub fn new(follow: Follow) -> Self {
        Self {
            follow,
            is_current: false,
            wild: BTreeSet::new(),
        }
    }

    /// The topics at the start of the relay.
    pub async fn begin(&mut self) -> Wanted {
        let wanted = self.read().await;
        if !wanted.is_complete {
            tracing::warn!(
                "the collected routes cannot be read yet: the relay begins without their topics, and follows once they can"
            );
        }
        if wanted.topics.is_empty() {
            tracing::info!("no enabled route has an exact topic: the relay waits for one");
        }
        wanted
    }

    /// Sends changes of the topics, for ever. Where the routes cannot be read, their topics stay.
    pub async fn run(mut self, wanted: watch::Sender<Wanted>) {
        let every = self.follow.every;
        let mut waits = Backoff::new(RETRY_AFTER.min(every), every);
        loop {
            let pause = match self.is_current {
                true => {
                    waits.reset();
                    every
                }
                false => waits.pause(),
            };
            sleep(pause).await;
            let now = self.read().await;
            wanted.send_if_modified(|known| {
                let is_changed = *known != now;
                *known = now;
                is_changed
            });
        }
    }

    /// Reads the routes; without an answer, the known ones count.
    async fn read(&mut self) -> Wanted {
        let deadline = Instant::now() + READ_WITHIN;
        let snapshot = self.follow.routes.fresh(deadline, Duration::ZERO).await;
        self.is_current = snapshot.is_current();
        self.warn_of_wildcards(&snapshot.routes);
        Wanted {
            topics: topics::exact(&snapshot.routes),
            is_complete: snapshot.complete,
        }
    }

    /// Logs each route with a wildcard once.
    fn warn_of_wildcards(&mut self, routes: &Routes) {
        let wild = topics::wild(routes).map(|route| (route.name.clone(), topics::source(route)));
        let wild: BTreeSet<_> = wild.collect();
        for (route, source) in wild.difference(&self.wild) {
            tracing::warn!(
                route,
                "expected an exact topic, since a subscription has no wildcard, found `{source}`: the relay does not subscribe for this route; name each topic in a route, or list the topics to relay with `--topic CACHE/TOPIC`"
            );
        }
        self.wild = wild;
    }
}

#[cfg(test)]
mod tests;
