//! The demonstration of `bridge local --once`: one message all the way and back, with the time of every hop.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use futures_util::StreamExt;
use momento::topics::ValueKind;
use workflow_bridge::local::Stack;
use workflow_bridge::local::console::{Style, seconds};
use workflow_bridge::local::flow::{Flow, Happening};
use workflow_bridge::local::process::last_lines;

use super::line;

const FROM: &str = "uppercase-in";
const TO: &str = "uppercase-out";
const SENT: &str = "hello";
const EXPECTED: &str = "HELLO";

/// Takes well under a second on an idle machine, cold starts included.
const WITHIN: Duration = Duration::from_secs(30);

/// The end of an execution is learned by asking, so it may become known after the result was received.
const LATE: Duration = Duration::from_secs(2);

/// The hops that were seen so far.
#[derive(Default)]
struct Path {
    answered: Option<(bool, String)>,
    execution: Option<(String, Option<String>)>,
    returned: bool,
    received: bool,
}

/// Runs it and returns the exit code.
pub async fn demonstrate(stack: &Stack) -> Result<i32> {
    let style = Style::for_stdout();
    let client = stack.momento_client()?;
    let subscribed = client.subscribe(stack.cache(), TO).await;
    let mut subscription =
        subscribed.map_err(|error| anyhow!("cannot subscribe to `{TO}`: {}", error.message))?;
    let mut flow = Flow::watch(stack);
    let mut path = Path::default();

    writeln!(
        std::io::stdout(),
        "\npublishing `{SENT}` to {FROM}, waiting for `{EXPECTED}` on {TO}\n"
    )?;
    let began = Instant::now();
    let published = client.publish(stack.cache(), FROM, SENT).await;
    published.map_err(|error| anyhow!("cannot publish to `{FROM}`: {}", error.message))?;

    let mut total = None;
    let watch = async {
        while !(path.received && path.returned && path.execution.is_some()) {
            tokio::select! {
                Some(happening) = flow.next() => {
                    path.note(&happening);
                    hop(began, &line(style, &happening))?;
                }
                Some(item) = subscription.next() => {
                    if matches!(&item.kind, ValueKind::Text(text) if text == EXPECTED) {
                        path.received = true;
                        total = Some(began.elapsed());
                        hop(began, &format!("← {}  {EXPECTED}  by the subscriber", style.bold("received")))?;
                    }
                }
                () = tokio::time::sleep(LATE), if path.received => break,
            }
        }
        anyhow::Ok(())
    };
    if let Ok(ended) = tokio::time::timeout(WITHIN, watch).await {
        ended?;
    }

    if let Some(total) = total {
        writeln!(
            std::io::stdout(),
            "\n{} `{SENT}` came back as `{EXPECTED}` in {}",
            style.good("✓"),
            seconds(total)
        )?;
        return Ok(0);
    }
    let why = path.explain();
    eprintln!(
        "\n{} `{EXPECTED}` did not come back within {} s: {why}",
        style.bad("✗"),
        WITHIN.as_secs()
    );
    eprintln!("\n{}", evidence(stack).await);
    Ok(1)
}

fn hop(began: Instant, text: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{:>8}  {text}", seconds(began.elapsed()))
        .context("cannot write to standard output")
}

impl Path {
    fn note(&mut self, happening: &Happening) {
        match happening {
            Happening::Published { topic, .. } => self.returned |= topic == TO,
            Happening::Answered { status, answer, .. } => {
                let said = match status {
                    Ok(code) => format!("{code} {}", answer.code),
                    Err(reason) => reason.clone(),
                };
                let started = answer
                    .targets
                    .iter()
                    .any(|target| target.outcome == "started");
                self.answered = Some((*status == Ok(200) && started, said));
            }
            Happening::Execution {
                status, failure, ..
            } => self.execution = Some((status.clone(), failure.clone())),
        }
    }

    /// The first hop that is missing.
    fn explain(&self) -> String {
        match (&self.answered, &self.execution) {
            (None, _) => "the webhook was not called, or did not answer".to_owned(),
            (Some((false, said)), _) => format!("the webhook started no execution, it answered `{said}`"),
            (Some(_), None) => "the webhook started an execution that cannot be found".to_owned(),
            (Some(_), Some((status, failure))) if status != "SUCCEEDED" => {
                format!("the execution is {status}{}", failure.as_deref().map_or(String::new(), |text| format!(": {text}")))
            }
            _ if self.returned => format!("something else was published to {TO}, see above"),
            _ => "the execution succeeded, but its result was not published: see the queues and the completion function below".to_owned(),
        }
    }
}

/// What helps to find the cause: messages that stayed in queues, and what functions and emulator printed.
async fn evidence(stack: &Stack) -> String {
    let queues = match waiting(stack).await {
        Ok(lines) if lines.is_empty() => "    (all empty)".to_owned(),
        Ok(lines) => lines.join("\n"),
        Err(error) => format!("    ({error:#})"),
    };
    let logs = match stack.logs().await {
        Ok(text) if text.is_empty() => "    (they printed nothing)".to_owned(),
        Ok(text) => last_lines(&text, 30),
        Err(error) => format!("    ({error:#})"),
    };
    format!(
        "queues:\n{queues}\n\nlast log lines of the functions:\n{logs}\n\nlast lines of the emulator:\n{}",
        stack.emulator().last_words()
    )
}

/// A line for each queue that holds messages.
async fn waiting(stack: &Stack) -> Result<Vec<String>> {
    use aws_sdk_sqs::types::QueueAttributeName::{
        ApproximateNumberOfMessages as Waiting, ApproximateNumberOfMessagesNotVisible as Taken,
    };
    let client = aws_sdk_sqs::Client::new(stack.account().config());
    let mut lines = Vec::new();
    for url in client
        .list_queues()
        .send()
        .await
        .context("cannot list the queues")?
        .queue_urls()
    {
        let answer = client
            .get_queue_attributes()
            .queue_url(url)
            .attribute_names(Waiting)
            .attribute_names(Taken)
            .send()
            .await;
        let answer = answer.with_context(|| format!("cannot ask the queue `{url}`"))?;
        let count = |name| {
            answer
                .attributes()
                .and_then(|all| all.get(&name))
                .map_or("0", String::as_str)
        };
        let (waiting, taken) = (count(Waiting), count(Taken));
        if (waiting, taken) != ("0", "0") {
            lines.push(format!(
                "    {}: {waiting} waiting, {taken} being worked on",
                url.rsplit('/').next().unwrap_or(url)
            ));
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_missing_hop_is_named() {
        let mut path = Path::default();
        assert!(path.explain().contains("not called"));
        path.answered = Some((false, "503 not_stored".into()));
        assert!(path.explain().contains("`503 not_stored`"));
        path.answered = Some((true, "200 accepted".into()));
        assert!(path.explain().contains("cannot be found"));
        path.execution = Some(("FAILED".into(), Some("Boom: why".into())));
        assert!(path.explain().contains("FAILED: Boom: why"));
        path.execution = Some(("SUCCEEDED".into(), None));
        assert!(path.explain().contains("not published"));
    }
}
