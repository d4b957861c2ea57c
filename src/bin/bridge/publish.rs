//! `bridge publish`: one message to a topic.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use momento::MomentoErrorCode;

use workflow_bridge::adapters::momento::fault;
use workflow_bridge::domain::inbound::message::{MessageId, Value};
use workflow_bridge::tools::local::direction::{self, Direction};
use workflow_bridge::tools::local::topics::{NUMBER, PAGE, TIME};
use workflow_bridge::tools::local::workspace::State;
use workflow_bridge::tools::place;

use crate::connection::{Connection, Place};
use workflow_bridge::tools::trace::links::run_page;

/// Momento's hard limit of a topic message, in bytes.
const MAX_BYTES: usize = 4096;

/// The SDK's own deadline (15 s) does not bound connection set-up.
const WITHIN: Duration = Duration::from_secs(20);

/// Publish one message to a topic
///
/// Talks to the running local stack, or to Momento when MOMENTO_API_KEY and MOMENTO_ENDPOINT are set. A message holds at most 4096 bytes. At the local stack it prints the id of a routed message, for `bridge trace`; Momento returns none.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  cargo bridge publish uppercase-in hello\n  echo '{\"kind\":\"order\"}' | cargo bridge publish orders -\n  cargo bridge publish --file photo.jpg --binary photos\n  cargo bridge trace $(cargo bridge publish uppercase-in hello)\n  MOMENTO_API_KEY=… MOMENTO_ENDPOINT=cell-4-us-west-2-1.prod.a.momentohq.com \\\n    cargo bridge publish --cache demo uppercase-in hello"
)]
pub struct Publish {
    /// Topic to publish to
    topic: String,

    /// Value to publish; `-` reads it from standard input, as it is
    #[arg(
        required_unless_present = "file",
        conflicts_with = "file",
        allow_hyphen_values = true
    )]
    value: Option<String>,

    /// Read the value from a file
    #[arg(long)]
    file: Option<PathBuf>,

    /// Publish the value as binary instead of text
    #[arg(long)]
    binary: bool,

    #[command(flatten)]
    connection: Connection,
}

impl Publish {
    pub async fn run(self) -> Result<i32> {
        let place = self.connection.place()?;
        let value = self.value().await?;
        let bytes = value.len();
        let publish = async {
            match &place.local {
                Some(state) => self.to_local(state, &place.cache, value).await.map(Some),
                None => self.to_momento(&place, value).await.map(|()| None),
            }
        };
        let published = tokio::time::timeout(WITHIN, publish).await;
        let published = published
            .with_context(|| {
                format!(
                    "no answer from {} within {} s",
                    place.name,
                    WITHIN.as_secs()
                )
            })?
            .with_context(|| {
                format!(
                    "cannot publish to `{}` in cache `{}` at {}",
                    self.topic, place.cache, place.name,
                )
            })?;
        let (topic, cache, name) = (&self.topic, &place.cache, &place.name);
        let Some((number, id, state)) = published
            .zip(place.local.as_ref())
            .map(|((number, id), state)| (number, id, state))
        else {
            eprintln!("published {bytes} bytes to `{topic}` in cache `{cache}` at {name}");
            eprintln!(
                "(Momento returns neither number nor id: `cargo bridge trace --stack NAME` lists the latest messages)"
            );
            return Ok(0);
        };
        eprintln!(
            "published {bytes} bytes to `{topic}` in cache `{cache}` at {name}, number {number}"
        );
        let unknown = unrouted(state, cache, topic).await;
        if let Some(hint) = unknown {
            eprintln!("{hint}");
            return Ok(0);
        }
        writeln!(std::io::stdout(), "{id}")?;
        if let Some(console) = &state.console {
            eprintln!("{}", run_page(console, id.as_str()));
        }
        Ok(0)
    }

    /// Publishes with the SDK.
    async fn to_momento(&self, place: &Place, value: Vec<u8>) -> Result<()> {
        let client = place.client()?;
        let bytes = value.len();
        let published = if self.binary {
            client.publish(&place.cache, &self.topic, value).await
        } else {
            client
                .publish(&place.cache, &self.topic, text(value)?)
                .await
        };
        published.map(drop).map_err(|error| match error.error_code {
            MomentoErrorCode::LimitExceededError if bytes > MAX_BYTES => anyhow!(
                "expected at most {MAX_BYTES} bytes, Momento's limit of a topic message, found {bytes}"
            ),
            // The SDK calls a broken connection a size limit.
            MomentoErrorCode::LimitExceededError => anyhow!(fault(&error).text),
            _ => anyhow!(error.message),
        })
    }

    /// Publishes with the HTTP API of the local Topics server, which answers with the message's place; its number and its id.
    async fn to_local(
        &self,
        state: &State,
        cache: &str,
        value: Vec<u8>,
    ) -> Result<(u64, MessageId)> {
        let (shown, kind) = match self.binary {
            true => (
                Value::Binary(STANDARD.encode(&value)),
                "application/octet-stream",
            ),
            false => (Value::Text(text(value.clone())?), "text/plain"),
        };
        let mut url: reqwest::Url = state.topics_endpoint.parse()?;
        if let Ok(mut path) = url.path_segments_mut() {
            path.extend(["topics", cache, &self.topic]);
        }
        let answer = reqwest::Client::new()
            .post(url)
            .header("authorization", &state.api_key)
            .header("content-type", kind)
            .body(value)
            .send()
            .await
            .map_err(reqwest::Error::without_url)?;
        if !answer.status().is_success() {
            let status = answer.status();
            let body = answer.text().await.unwrap_or_default();
            let body: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
            bail!(
                "{}",
                body["description"]
                    .as_str()
                    .map_or_else(|| status.to_string(), str::to_owned)
            );
        }
        let headers = answer.headers();
        let header = |name: &str| {
            let text = headers.get(name).and_then(|value| value.to_str().ok());
            text.and_then(|text| text.parse::<u64>().ok()).with_context(|| {
                format!("expected the header `{name}` in the answer, found none: restart `cargo bridge local`")
            })
        };
        let number = header(NUMBER)?;
        let id = match state.relay {
            true => MessageId::of_page(cache, &self.topic, header(PAGE)?, number, &shown),
            false => MessageId::of_time(cache, &self.topic, header(TIME)?, number, &shown),
        };
        Ok((number, id))
    }

    async fn value(&self) -> Result<Vec<u8>> {
        if let Some(file) = &self.file {
            return std::fs::read(file)
                .with_context(|| format!("cannot read `{}`", file.display()));
        }
        match self.value.as_deref() {
            Some("-") => read_stdin().await,
            value => Ok(value.unwrap_or_default().into()),
        }
    }
}

fn text(value: Vec<u8>) -> Result<String> {
    String::from_utf8(value)
        .map_err(|_| anyhow!("expected a value in UTF-8: pass `--binary` to publish other bytes"))
}

/// A sentence for a topic to which no route of the local stack listens; none where the routes cannot be read.
async fn unrouted(state: &State, cache: &str, topic: &str) -> Option<String> {
    let (routes, unread) = place::Place::running(state).routes().await;
    let unheard = unread.is_none() && direction::of(&routes, cache, topic) != Direction::In;
    unheard.then(|| {
        format!(
            "no route listens to this topic{}",
            direction::meant(&routes, topic)
        )
    })
}

/// Everything on standard input.
pub async fn read_stdin() -> Result<Vec<u8>> {
    let read = tokio::task::spawn_blocking(|| {
        let mut bytes = Vec::new();
        std::io::stdin()
            .lock()
            .read_to_end(&mut bytes)
            .map(|_| bytes)
    });
    read.await?.context("cannot read standard input")
}
