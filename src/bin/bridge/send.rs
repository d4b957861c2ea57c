//! `bridge send`: a signed message straight to a webhook URL, in Momento's form.

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use workflow_bridge::clock::now_ms;
use workflow_bridge::domain::inbound::signature;
use workflow_bridge::tools::local::executions::Executions;
use workflow_bridge::tools::local::flow::{Caller, Happening, answered};
use workflow_bridge::tools::local::workspace::State;
use workflow_bridge::tools::terminal::{Style, preview, seconds};

use crate::connection::running_stack;
use crate::local::line;
use crate::publish::read_stdin;
use crate::secret::SecretSource;
use workflow_bridge::tools::place::Place;

/// More than Momento's 5 s, so that a slow answer is shown, too.
const WITHIN: Duration = Duration::from_secs(30);

/// Sign a message and send it to a webhook URL
///
/// Without `--url`, sends to the running local stack's webhook, signed with its secret, and shows the executions that it starts; `--url` needs an option for the secret. Waits 30 s for the answer. The exit code is 0 for a 2xx answer, else 1.
#[derive(Args)]
#[command(
    override_usage = "cargo bridge send [OPTIONS] --topic <TOPIC> --text <TEXT>\n       cargo bridge send [OPTIONS] --body <FILE>",
    after_help = "Examples:\n  cargo bridge send --topic uppercase-in --text hello      # to the running local stack\n  cargo bridge send --url https://….lambda-url.eu-west-1.on.aws/ --secret-env SIGNING_SECRET \\\n    --cache demo --topic uppercase-in --text hello\n  cargo bridge send --body message.json                    # these very bytes, signed"
)]
pub struct Send {
    /// URL of the webhook [default: the running local stack's webhook]
    #[arg(long, value_parser = http_url)]
    url: Option<String>,

    /// Topic of the message
    #[arg(long, required_unless_present = "body", conflicts_with = "body")]
    topic: Option<String>,

    /// Text of the message
    #[arg(
        long,
        requires = "topic",
        required_unless_present = "body",
        allow_hyphen_values = true
    )]
    text: Option<String>,

    /// Cache of the topic [default: the local stack's, else `demo`]
    #[arg(long, value_name = "NAME", conflicts_with = "body")]
    cache: Option<String>,

    /// Sequence number of the message in its topic
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "body")]
    sequence: u64,

    /// File with a whole body to sign and send as it is; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,

    #[command(flatten)]
    secret: SecretSource,
}

impl Send {
    pub async fn run(self) -> Result<i32> {
        let (url, secret, cache, stack) = self.destination()?;
        let body = match &self.body {
            Some(file) if file.as_os_str() == "-" => read_stdin().await?,
            Some(file) => {
                std::fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?
            }
            None => self.message(&cache)?,
        };
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(WITHIN)
            .build()?;
        let place = place(&body);
        let started = Instant::now();
        let response = client
            .post(&url)
            .header("content-type", "application/json")
            .header(signature::HEADER, signature::sign(&secret, &body))
            .body(body)
            .send()
            .await
            .map_err(reqwest::Error::without_url)
            .with_context(|| format!("cannot reach `{url}` (does it run, and is this its URL?)"))?;
        let status = response.status();
        let text = response.text().await.context("the answer broke off")?;

        let style = Style::for_stdout();
        let colour = if status.is_success() {
            Style::good
        } else {
            Style::bad
        };
        let mut out = std::io::stdout().lock();
        writeln!(
            out,
            "{}  {}",
            colour(style, status),
            style.dim(seconds(started.elapsed()))
        )?;
        match serde_json::from_str::<Value>(&text) {
            Ok(answer) => {
                writeln!(out, "{answer:#}")?;
                if let Some(hint) = answer["code"].as_str().and_then(hint) {
                    eprintln!("{hint}");
                }
            }
            Err(_) => writeln!(out, "{}", preview(&text, 2_000))?,
        }
        drop(out);
        if let (Some(stack), Some((topic, number))) = (stack, place)
            && status.is_success()
        {
            let answer = answered(
                Caller::Momento,
                &topic,
                number,
                started.elapsed(),
                Ok((status.as_u16(), text)),
            );
            follow(&stack, answer, style).await?;
        }
        Ok(i32::from(!status.is_success()))
    }

    /// URL, secret and cache, and the local stack if it is its webhook. The local stack's secret goes to its own webhook only.
    fn destination(&self) -> Result<(String, String, String, Option<State>)> {
        if let Some(url) = &self.url {
            let secret = self.secret.named()?.context("expected the signing secret for `--url`, found none: name it with `--secret-env` or `--secret-file`")?;
            let cache = self.cache.clone().unwrap_or_else(|| "demo".to_owned());
            return Ok((url.clone(), secret, cache, None));
        }
        let stack = running_stack().context("no `--url`, so the local stack is used")?;
        let own = || stack.signing_secret.clone();
        let secret = self.secret.named()?.unwrap_or_else(own);
        let cache = self.cache.clone().unwrap_or_else(|| stack.cache.clone());
        Ok((stack.webhook_url.clone(), secret, cache, Some(stack)))
    }

    /// A body in Momento's form, with the current time.
    fn message(&self, cache: &str) -> Result<Vec<u8>> {
        let now = now_ms();
        Ok(serde_json::to_vec(&json!({
            "cache": cache,
            "topic": self.topic,
            "event_timestamp": now,
            "publish_timestamp": now,
            "topic_sequence_number": self.sequence,
            "token_id": "",
            "text": self.text,
        }))?)
    }
}

/// The topic and number in a body.
fn place(body: &[u8]) -> Option<(String, u64)> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let topic = body["topic"].as_str()?.to_owned();
    Some((topic, body["topic_sequence_number"].as_u64()?))
}

/// Prints the webhook's line, and a line for each execution that it started: its end, or its status if that takes long.
async fn follow(stack: &State, answered: Happening, style: Style) -> Result<()> {
    writeln!(std::io::stdout(), "{}", line(style, &answered))?;
    let Happening::Answered {
        topic,
        sequence,
        answer,
        ..
    } = &answered
    else {
        return Ok(());
    };
    let place = Place::running(stack);
    let (routes, _) = place.routes().await;
    let executions = Executions::new(&place.config);
    let started = executions.started(&routes, answer, topic, *sequence);
    for execution in started {
        let (sender, mut happenings) = mpsc::unbounded_channel();
        tokio::spawn(execution.follow(sender));
        if let Ok(Some(happening)) = tokio::time::timeout(WITHIN, happenings.recv()).await {
            writeln!(std::io::stdout(), "{}", line(style, &happening))?;
        }
    }
    Ok(())
}

/// The text, if it is an HTTP URL.
fn http_url(text: &str) -> Result<String, String> {
    match reqwest::Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(text.to_owned()),
        _ => Err(format!(
            "expected the webhook's URL, beginning with https:// or http://, found `{text}`"
        )),
    }
}

/// The sender's remedy for an answer of this code, if any.
fn hint(code: &str) -> Option<&'static str> {
    match code {
        "malformed" => Some("(`cargo bridge explain --event FILE` explains a malformed body)"),
        "bad_signature" => Some("(the webhook has another signing secret than this)"),
        "stale" | "from_the_future" => Some(
            "(`publish_timestamp` has to be about now, in ms since 1970; with `--topic` and `--text` it is)",
        ),
        "unrouted" => Some(
            "(`cargo bridge explain --local --topic T --text X` explains why no route takes it; `--stack NAME` asks a stack on AWS)",
        ),
        _ => None,
    }
}
