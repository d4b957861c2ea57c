//! `bridge tail`: follow topics.

use std::io::{IsTerminal, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use futures_util::StreamExt;
use momento::topics::{SubscriptionValue, ValueKind};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use workflow_bridge::tools::local::claim::{Claim, Resolver, Unresolved};
use workflow_bridge::tools::terminal::preview;

use crate::connection::{Connection, Place};

/// Follow topics and print each message on a line
///
/// With several topics, each line begins with its topic. When the local stack stops, it waits for the next one and goes on there. Ends with Ctrl-C, after `--count` messages or after `--timeout` seconds.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  cargo bridge tail uppercase-out\n  cargo bridge tail --json uppercase-out uppercase-failed | jq .text\n  cargo bridge tail --resolve uppercase-out                # large results in full\n  cargo bridge tail --count 1 --timeout 10 uppercase-out   # exit code 1 when nothing comes"
)]
pub struct Tail {
    /// Topics to follow
    #[arg(required = true)]
    topics: Vec<String>,

    /// Print JSON with topic, sequence number, page and publisher's token id
    #[arg(long)]
    json: bool,

    /// Print large values in place of their claims; failures go to stderr
    #[arg(long)]
    resolve: bool,

    /// Stop after this many messages [default: go on until it is stopped]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// Stop after this many seconds, such as `10` or `0.5`; with `--count`, fewer messages until then are a failure
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<f64>,

    #[command(flatten)]
    connection: Connection,
}

/// A message, and the result of resolving it, if it is a claim and `--resolve` is given.
struct Received {
    topic: String,
    item: SubscriptionValue,
    resolved: Option<Result<String, Unresolved>>,
}

/// Open subscriptions at one place. Dropping them ends them.
struct Subscriptions {
    messages: mpsc::Receiver<Received>,
    _readers: JoinSet<()>,
}

/// The time between two attempts to find a stack again.
const AGAIN: Duration = Duration::from_secs(1);

impl Tail {
    pub async fn run(self) -> Result<i32> {
        let limit = self.timeout.map(Duration::try_from_secs_f64);
        let limit = limit
            .transpose()
            .context("expected a number of seconds for `--timeout`")?;
        let until = limit.map(|limit| Instant::now() + limit);
        let mut place = self.connection.place()?;
        let mut subscriptions = self.subscribe(&place).await?;
        let topics = self.topics.join(", ");
        eprintln!(
            "following {topics} in cache `{}` at {}",
            place.cache, place.name
        );
        let mut gone = gone(&place);
        let mut seen = 0;
        while self.count.is_none_or(|count| seen < count) {
            tokio::select! {
                Some(received) = subscriptions.messages.recv() => {
                    self.print(&received)?;
                    seen += 1;
                }
                () = &mut gone => {
                    // The SDK would try again without a pause.
                    drop(subscriptions);
                    eprintln!("{} stopped; following {topics} again when it is back", place.name);
                    tokio::select! {
                        again = self.again() => (place, subscriptions) = again,
                        () = at(until) => return self.end(seen),
                    }
                    gone = self::gone(&place);
                    eprintln!("{} is back; following {topics}", place.name);
                }
                () = at(until) => return self.end(seen),
            }
        }
        Ok(0)
    }

    /// The end of the time.
    fn end(&self, seen: u64) -> Result<i32> {
        match self.count {
            Some(count) => bail!("expected {count} messages, found {seen} in the time given"),
            None => Ok(0),
        }
    }

    /// Waits until the place is there again, perhaps at another address.
    async fn again(&self) -> (Place, Subscriptions) {
        loop {
            if let Ok(place) = self.connection.place()
                && place.is_there().await
                && let Ok(subscriptions) = self.subscribe(&place).await
            {
                return (place, subscriptions);
            }
            sleep(AGAIN).await;
        }
    }

    async fn subscribe(&self, place: &Place) -> Result<Subscriptions> {
        let client = place.client()?;
        let resolver = self.resolve.then(|| place.resolver()).transpose()?;
        let resolver = resolver.map(Arc::new);
        let (sender, messages) = mpsc::channel::<Received>(64);
        let mut readers = JoinSet::new();
        for topic in self.topics.clone() {
            let subscribed = client.subscribe(&place.cache, &topic).await;
            let mut subscription = subscribed.map_err(|error| {
                anyhow!(
                    "cannot follow `{topic}` in cache `{}` at {}: {}",
                    place.cache,
                    place.name,
                    error.message
                )
            })?;
            let (sender, resolver) = (sender.clone(), resolver.clone());
            readers.spawn(async move {
                while let Some(item) = subscription.next().await {
                    let resolved = match &resolver {
                        Some(resolver) => resolve(resolver, &item).await,
                        None => None,
                    };
                    let topic = topic.clone();
                    let received = Received {
                        topic,
                        item,
                        resolved,
                    };
                    if sender.send(received).await.is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Subscriptions {
            messages,
            _readers: readers,
        })
    }

    fn print(&self, received: &Received) -> Result<()> {
        let Received {
            topic,
            item,
            resolved,
        } = received;
        let value = match resolved {
            Some(Err(unresolved)) => {
                eprintln!("{topic}: {}", preview(&unresolved.to_string(), usize::MAX));
                None
            }
            Some(Ok(value)) => Some(value),
            None => None,
        };
        let mut out = std::io::stdout().lock();
        if self.json {
            let mut line = json!({
                "topic": topic,
                "topic_sequence_number": item.topic_sequence_number,
                "sequence_page": item.topic_sequence_page,
                "token_id": item.publisher_id,
            });
            match &item.kind {
                ValueKind::Text(text) => line["text"] = json!(value.unwrap_or(text)),
                ValueKind::Binary(bytes) => line["binary"] = json!(STANDARD.encode(bytes)),
            }
            writeln!(out, "{line}")?;
        } else {
            if self.topics.len() > 1 {
                write!(out, "{topic}: ")?;
            }
            match &item.kind {
                // Control characters in a message must not steer the terminal.
                ValueKind::Text(text) if out.is_terminal() => {
                    let shown = preview(value.unwrap_or(text), usize::MAX);
                    out.write_all(shown.as_bytes())?
                }
                ValueKind::Text(text) => out.write_all(value.unwrap_or(text).as_bytes())?,
                ValueKind::Binary(bytes) if out.is_terminal() => {
                    write!(out, "({} bytes, binary)", bytes.len())?
                }
                ValueKind::Binary(bytes) => out.write_all(bytes)?,
            }
            writeln!(out)?;
        }
        out.flush()?;
        Ok(())
    }
}

/// Waits until the place is gone.
fn gone(place: &Place) -> Pin<Box<dyn Future<Output = ()>>> {
    let place = place.clone();
    Box::pin(async move { place.gone().await })
}

/// Waits until then; for ever without a time.
async fn at(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}

async fn resolve(
    resolver: &Resolver,
    item: &SubscriptionValue,
) -> Option<Result<String, Unresolved>> {
    let ValueKind::Text(text) = &item.kind else {
        return None;
    };
    Some(resolver.resolve(&Claim::of(text)?).await)
}
