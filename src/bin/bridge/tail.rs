//! `bridge tail`: follow topics.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use futures_util::StreamExt;
use momento::topics::{SubscriptionValue, ValueKind};
use serde_json::json;
use tokio::sync::mpsc;
use workflow_bridge::local::console::preview;

use crate::connection::Connection;

/// Follow topics and print each message on a line
///
/// Several topics are told apart by a prefix. Ends with Ctrl-C, after `--count` messages or after `--timeout` seconds.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  cargo bridge tail uppercase-out\n  cargo bridge tail --json uppercase-out uppercase-failed | jq .text\n  cargo bridge tail --count 1 --timeout 10 uppercase-out   # exit code 1 when nothing comes"
)]
pub struct Tail {
    /// Topics to follow
    #[arg(required = true)]
    topics: Vec<String>,

    /// Print JSON with topic, sequence number, page and publisher's token id
    #[arg(long)]
    json: bool,

    /// Stop after so many messages
    #[arg(long, value_name = "N")]
    count: Option<u64>,

    /// Stop after so many seconds; with `--count`, fewer messages until then are a failure
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<f64>,

    #[command(flatten)]
    connection: Connection,
}

impl Tail {
    pub async fn run(self) -> Result<i32> {
        let place = self.connection.place()?;
        let client = place.client()?;
        let (tell, mut messages) = mpsc::channel::<(String, SubscriptionValue)>(64);
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
            let tell = tell.clone();
            tokio::spawn(async move {
                while let Some(item) = subscription.next().await {
                    if tell.send((topic.clone(), item)).await.is_err() {
                        return;
                    }
                }
            });
        }
        eprintln!(
            "following {} in cache `{}` at {}",
            self.topics.join(", "),
            place.cache,
            place.name
        );

        let limit = self.timeout.map(Duration::try_from_secs_f64);
        let limit = limit
            .transpose()
            .context("expected a number of seconds for `--timeout`")?;
        let timeout = async {
            match limit {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(timeout);
        let gone = place.gone();
        tokio::pin!(gone);
        let mut seen = 0;
        while self.count.is_none_or(|count| seen < count) {
            tokio::select! {
                Some((topic, item)) = messages.recv() => {
                    self.print(&topic, &item)?;
                    seen += 1;
                }
                () = &mut gone => bail!("{} is gone", place.name),
                () = &mut timeout => match self.count {
                    Some(count) => bail!("expected {count} messages, found {seen} in the time given"),
                    None => break,
                },
            }
        }
        Ok(0)
    }

    fn print(&self, topic: &str, item: &SubscriptionValue) -> Result<()> {
        let mut out = std::io::stdout().lock();
        if self.json {
            let mut line = json!({
                "topic": topic,
                "topic_sequence_number": item.topic_sequence_number,
                "sequence_page": item.topic_sequence_page,
                "token_id": item.publisher_id,
            });
            match &item.kind {
                ValueKind::Text(text) => line["text"] = json!(text),
                ValueKind::Binary(bytes) => line["binary"] = json!(STANDARD.encode(bytes)),
            }
            writeln!(out, "{line}")?;
        } else {
            if self.topics.len() > 1 {
                write!(out, "{topic}: ")?;
            }
            match &item.kind {
                // What a stranger published must not steer the terminal.
                ValueKind::Text(text) if out.is_terminal() => {
                    out.write_all(preview(text, usize::MAX).as_bytes())?
                }
                ValueKind::Text(text) => out.write_all(text.as_bytes())?,
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
