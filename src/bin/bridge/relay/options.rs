//! The options of `bridge relay` and of `bridge serve --relay`.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use tokio::time::Instant;
use workflow_bridge::adapters::aws::dynamodb::DynamoLedger;
use workflow_bridge::adapters::aws::eventbridge::EventBridge;
use workflow_bridge::clock::now_ms;
use workflow_bridge::config::{MomentoEndpoint, RoutesConfig, RoutesSource};
use workflow_bridge::domain::inbound::live_routes::LiveRoutes;
use workflow_bridge::domain::inbound::routes::Routes;
use workflow_bridge::environment::environment;
use workflow_bridge::service::relay::cursors::{CursorStore, Cursors, FileStore, TableStore};
use workflow_bridge::service::relay::destination::Destination;
use workflow_bridge::service::relay::follow::Follow;
use workflow_bridge::service::relay::gaps::{Bus, Gaps};
use workflow_bridge::service::relay::status::Status;
use workflow_bridge::service::relay::subscriptions::Subscriptions;
use workflow_bridge::service::relay::{Relay, TopicName, topics};
use workflow_bridge::telemetry::metrics::Metrics;
use workflow_bridge::wiring;

use super::LazyAws;
use super::secrets::KeyOptions;

/// Deadline for reading the routes of listed topics.
const ROUTES_WITHIN: Duration = Duration::from_secs(5);

/// The default file of the cursors.
const CURSORS: &str = "relay-cursors.json";

/// Topics and settings of a relay; for `bridge serve --relay`, too.
#[derive(Args)]
pub struct RelayOptions {
    /// Topic to relay, as CACHE/TOPIC; may be repeated [default: the exact topics of the routes, as they come and go]
    #[arg(
        long = "topic",
        value_name = "CACHE/TOPIC",
        env = "RELAY_TOPICS",
        value_delimiter = ',',
        value_parser = topics::parse
    )]
    topics: Vec<TopicName>,

    /// Beginning of a topic without a cursor: a sequence number, from 1 on [default: the next message]
    #[arg(long = "from", value_name = "CACHE/TOPIC=N", value_parser = from)]
    from: Vec<(TopicName, u64)>,

    /// File with the routes document [default: the variable ROUTES, which may also be `ssm:NAME`]
    #[arg(long, value_name = "FILE")]
    routes: Option<PathBuf>,

    /// DynamoDB table with the collected routes of other stacks [default: none]
    #[arg(long, value_name = "TABLE", env = "ROUTES_TABLE")]
    routes_table: Option<String>,

    /// Seconds after which the routes are read again, those of a table and of `ROUTES=ssm:NAME`
    #[arg(
        long,
        value_name = "SECONDS",
        env = "ROUTES_TTL_SECONDS",
        default_value_t = 60,
        value_parser = clap::value_parser!(u64).range(1..=86_400)
    )]
    routes_ttl_seconds: u64,

    /// Momento endpoint, or an `http://` URL of a local server
    #[arg(long, value_name = "HOST", env = "MOMENTO_ENDPOINT")]
    momento_endpoint: Option<String>,

    #[command(flatten)]
    key: KeyOptions,

    /// Storage for cursors: a file, or dynamodb:TABLE [default: relay-cursors.json in $STATE_DIRECTORY or here]
    #[arg(long, value_name = "PLACE", env = "RELAY_STATE")]
    state: Option<String>,

    /// Concurrent requests to the webhook
    #[arg(
        long,
        value_name = "N",
        env = "RELAY_CONCURRENCY",
        default_value_t = 16,
        value_parser = clap::value_parser!(u16).range(1..=10_000)
    )]
    concurrency: u16,

    /// Event bus for gaps [default: none]
    #[arg(long, value_name = "NAME", env = "GAP_EVENT_BUS")]
    gap_bus: Option<String>,

    /// Seconds of silence after which a subscription is opened again
    #[arg(
        long,
        value_name = "SECONDS",
        env = "RELAY_QUIET_SECONDS",
        default_value_t = 60,
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    quiet_seconds: u64,
}

fn from(text: &str) -> Result<(TopicName, u64), String> {
    let expected = || {
        format!("expected a topic and a sequence number, such as `demo/orders=42`, found `{text}`")
    };
    let (topic, number) = text.rsplit_once('=').ok_or_else(expected)?;
    let number = number.parse().map_err(|_| expected())?;
    if number == 0 {
        // In Momento's protocol 0 means the next message.
        return Err(format!(
            "expected a sequence number from 1 on, found `{text}`"
        ));
    }
    Ok((topics::parse(topic)?, number))
}

impl RelayOptions {
    /// A relay of these topics to `destination`, before its start.
    pub async fn relay(self, destination: Destination, aws: &LazyAws) -> Result<Relay> {
        let (topics, follow) = self.topics(aws).await?;
        let status = Arc::new(Status::new(topics.len(), destination.clock.clone()));
        let endpoint = self.momento_endpoint.as_deref().context(
            "expected Momento's endpoint, found none: name it with `--momento-endpoint` or in MOMENTO_ENDPOINT",
        )?;
        let endpoint = MomentoEndpoint::parse(endpoint).map_err(|text| anyhow!(text))?;
        let subscriptions = Subscriptions::new(self.key.store(aws).await?, endpoint)?;
        let bus = match self.gap_bus {
            None => None,
            Some(name) => Some(Bus {
                name,
                event_bus: Arc::new(EventBridge::new(aws.get().await?)),
            }),
        };
        let store = store(self.state.as_deref(), aws).await?;
        let from: HashMap<_, _> = self.from.into_iter().collect();
        // A route may bring a topic later.
        let is_unknown = |topic: &&TopicName| follow.is_none() && !topics.contains(*topic);
        if let Some(unknown) = from.keys().find(is_unknown) {
            bail!("expected a relayed topic in `--from`, found `{unknown}`");
        }
        Ok(Relay {
            topics,
            follow,
            from,
            subscriptions: Arc::new(subscriptions),
            destination: Arc::new(destination),
            cursors: Arc::new(Cursors::new(store)),
            gaps: Arc::new(Gaps {
                status: status.clone(),
                bus,
                metrics: Metrics::new(&environment),
                watch: None,
            }),
            status,
            concurrency: self.concurrency.into(),
            quiet_for: Duration::from_secs(self.quiet_seconds),
            now_ms,
        })
    }

    /// The listed topics; or those of the routes, and the routes to follow if they can change.
    async fn topics(&self, aws: &LazyAws) -> Result<(BTreeSet<TopicName>, Option<Follow>)> {
        let routes = self.routes(aws).await?;
        if self.topics.is_empty() {
            let routes = routes.context("expected topics to relay, found none: list them with `--topic CACHE/TOPIC`, or name the routes with `--routes`, `--routes-table`, or the variables ROUTES and ROUTES_TABLE")?;
            let follow = Follow {
                routes,
                every: Duration::from_secs(self.routes_ttl_seconds),
            };
            let topics = follow.topics().map_err(|text| anyhow!(text))?;
            let follow = Some(follow).filter(|follow| follow.routes.is_live());
            return Ok((topics, follow));
        }
        let listed = self.topics.iter().cloned().collect();
        if let Some(routes) = routes {
            warn_of_unrouted(&listed, &routes).await;
        }
        Ok((listed, None))
    }

    async fn routes(&self, aws: &LazyAws) -> Result<Option<Arc<LiveRoutes>>> {
        let Some(file) = &self.routes else {
            let value = environment("ROUTES").filter(|value| !value.trim().is_empty());
            let source = value.map(|value| RoutesSource::of(&value));
            return self.live_routes(source, aws).await;
        };
        let document = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read the routes in `{}`", file.display()))?;
        let source = Some(RoutesSource::Inline(document));
        let routes = self.live_routes(source, aws).await;
        routes.with_context(|| format!("in `{}`", file.display()))
    }

    async fn live_routes(
        &self,
        source: Option<RoutesSource>,
        aws: &LazyAws,
    ) -> Result<Option<Arc<LiveRoutes>>> {
        let table = self.routes_table.clone().filter(|table| !table.is_empty());
        match (source, table) {
            (None, None) => Ok(None),
            (Some(RoutesSource::Inline(document)), None) => {
                Ok(Some(LiveRoutes::fixed(Routes::parse(&document)?)))
            }
            (source, table) => {
                let config = RoutesConfig {
                    source,
                    table,
                    ttl: Duration::from_secs(self.routes_ttl_seconds),
                };
                let aws = aws.get().await?;
                if aws.region().is_none() {
                    bail!("expected an AWS region, found none: set AWS_REGION");
                }
                Ok(Some(wiring::live_routes(&config, aws).await?))
            }
        }
    }
}

/// Logs the listed topics without an enabled route, if the routes can be read.
async fn warn_of_unrouted(listed: &BTreeSet<TopicName>, routes: &Arc<LiveRoutes>) {
    let deadline = Instant::now() + ROUTES_WITHIN;
    let snapshot = routes.fresh(deadline, Duration::ZERO).await;
    if !snapshot.is_current() {
        return;
    }
    for topic in topics::without_route(listed, &snapshot.routes) {
        tracing::warn!(
            message.cache = topic.cache,
            message.topic = topic.topic,
            "no enabled route takes this topic: its messages will be unrouted"
        );
    }
}

/// The cursors' place: `dynamodb:TABLE`, or a file.
async fn store(state: Option<&str>, aws: &LazyAws) -> Result<Box<dyn CursorStore>> {
    if let Some(table) = state.and_then(|state| state.strip_prefix("dynamodb:")) {
        if table.is_empty() {
            bail!("expected the name of a table after `dynamodb:`, found none");
        }
        let table = DynamoLedger::new(aws.get().await?, table.to_owned(), now_ms);
        return Ok(Box::new(TableStore(Arc::new(table))));
    }
    let path = match (state, environment("STATE_DIRECTORY")) {
        (Some(path), _) => PathBuf::from(path),
        (None, Some(folder)) => Path::new(&folder).join(CURSORS),
        (None, None) => PathBuf::from(CURSORS),
    };
    Ok(Box::new(FileStore::open(&path)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_may_begin_at_a_number() {
        let (topic, number) = from("demo/a=b=42").unwrap();
        assert_eq!((topic.to_string().as_str(), number), ("demo/a=b", 42));
        for wrong in ["demo/a", "demo/a=", "demo/a=-1", "a=1", "demo/a=0"] {
            assert!(from(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_place_for_cursors_is_a_file_or_a_table() {
        let aws = LazyAws::default();
        let error = store(Some("dynamodb:"), &aws).await.err().unwrap();
        assert!(error.to_string().contains("name of a table"));
        assert!(store(Some("/proc/none/cursors"), &aws).await.is_err());
    }
}
