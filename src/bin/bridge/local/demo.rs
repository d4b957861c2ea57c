//! The demonstrations of `bridge local`: use a workflow from outside and show every hop live.

mod missing;
mod plays;

use std::collections::{HashMap, VecDeque};
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use futures_util::stream::select_all;
use futures_util::{Stream, StreamExt};
use momento::TopicClient;
use momento::topics::ValueKind;
use workflow_bridge::tools::local::Stack;
use workflow_bridge::tools::local::flow::{Flow, Happening};
use workflow_bridge::tools::terminal::{Style, preview, seconds};

use super::{PREVIEW, line};
use missing::{Path, evidence};
pub use plays::{ONCE, PLAYS};

/// Deadline of one step. Most take well under a second on an idle machine, cold starts included.
const WITHIN: Duration = Duration::from_secs(30);

/// Ends of executions are polled, so the result may arrive first by this much.
const LATE: Duration = Duration::from_secs(2);

/// A demonstration.
pub struct Play {
    pub name: &'static str,
    /// One line for `--help`.
    pub about: &'static str,
    /// Its result, shown at the end.
    pub done: &'static str,
    pub steps: &'static [Step],
}

impl Play {
    /// The name of its workflow in `examples/`; `None` for the workflow of the bridge's template.
    pub fn example(&self) -> Option<&'static str> {
        (self.name != ONCE).then_some(self.name)
    }
}

/// An action of a workflow's user, or an expected result. Topics are in the stack's cache.
pub enum Step {
    Publish {
        topic: &'static str,
        text: &'static str,
    },
    /// Publishes a text made from the last one received.
    Answer {
        topic: &'static str,
        make: fn(&str) -> String,
    },
    /// Waits for a message on a topic.
    Receive {
        topic: &'static str,
        /// Whether it is the expected message; others are skipped.
        is: fn(&str) -> bool,
        /// The expected message, for people.
        what: &'static str,
    },
    /// Waits for a message in a queue of the workflow's template.
    Dequeue {
        /// Logical id.
        queue: &'static str,
        is: fn(&str) -> bool,
        what: &'static str,
    },
}

/// Runs a demonstration and returns the exit code.
pub async fn demonstrate(stack: &Stack, play: &Play) -> Result<i32> {
    let style = Style::for_stdout();
    let client = stack.momento_client()?;
    let mut stage = Stage {
        stack,
        workflow: play.name,
        inbox: Box::pin(subscribe(stack, &client, play).await?),
        client,
        flow: Flow::watch(stack),
        waiting: HashMap::new(),
        last: String::new(),
        path: Path::default(),
        began: Instant::now(),
        style,
    };
    writeln!(
        std::io::stdout(),
        "\n{}: {}\n",
        style.bold(play.name),
        play.about
    )?;
    for step in play.steps {
        let played = tokio::time::timeout(WITHIN, stage.play(step)).await;
        let Ok(played) = played else {
            let why = stage.path.explain();
            eprintln!(
                "\n{} {} did not come within {} s: {why}",
                style.bad("✗"),
                step.what(),
                WITHIN.as_secs()
            );
            eprintln!("\n{}", evidence(stack).await);
            return Ok(1);
        };
        played?;
    }
    let total = stage.began.elapsed();
    stage.see_the_end().await?;
    writeln!(
        std::io::stdout(),
        "\n{} {} in {}",
        style.good("✓"),
        play.done,
        seconds(total)
    )?;
    Ok(0)
}

/// Messages on the topics of the demonstration's results.
async fn subscribe(
    stack: &Stack,
    client: &TopicClient,
    play: &Play,
) -> Result<impl Stream<Item = (&'static str, String)> + use<>> {
    let mut subscriptions = Vec::new();
    let mut topics: Vec<_> = play.steps.iter().filter_map(Step::topic).collect();
    topics.sort_unstable();
    topics.dedup();
    for topic in topics {
        let subscribed = client.subscribe(stack.cache(), topic).await;
        let subscription = subscribed
            .map_err(|error| anyhow!("cannot subscribe to `{topic}`: {}", error.message))?;
        let texts = subscription.filter_map(move |item| {
            std::future::ready(match item.kind {
                ValueKind::Text(text) => Some((topic, text)),
                ValueKind::Binary(_) => None,
            })
        });
        subscriptions.push(texts.boxed());
    }
    Ok(select_all(subscriptions))
}

impl Step {
    fn topic(&self) -> Option<&'static str> {
        match self {
            Self::Receive { topic, .. } => Some(topic),
            Self::Publish { .. } | Self::Answer { .. } | Self::Dequeue { .. } => None,
        }
    }

    fn what(&self) -> String {
        match self {
            Self::Publish { topic, .. } | Self::Answer { topic, .. } => {
                format!("the publication to {topic}")
            }
            Self::Receive { topic, what, .. } => format!("{what} on {topic}"),
            Self::Dequeue { queue, what, .. } => format!("{what} in {queue}"),
        }
    }
}

type Inbox = std::pin::Pin<Box<dyn Stream<Item = (&'static str, String)>>>;

/// A running demonstration.
struct Stage<'a> {
    stack: &'a Stack,
    workflow: &'static str,
    client: TopicClient,
    flow: Flow,
    inbox: Inbox,
    /// Messages received before their step.
    waiting: HashMap<&'static str, VecDeque<String>>,
    /// The last text received.
    last: String,
    path: Path,
    began: Instant,
    style: Style,
}

impl Stage<'_> {
    async fn play(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Publish { topic, text } => {
                self.publish(topic, (*text).to_owned()).await?;
            }
            Step::Answer { topic, make } => {
                let text = make(&self.last);
                self.publish(topic, text).await?;
            }
            Step::Receive { topic, is, .. } => {
                self.last = self.receive(topic, *is).await?;
                let shown = preview(&self.last, PREVIEW);
                let received = self.style.bold("received");
                self.report(&format!(
                    "← {received}  {shown}  by a subscriber of {topic}"
                ))?;
            }
            Step::Dequeue { queue, is, .. } => {
                let text = self.dequeue(queue, *is).await?;
                let shown = preview(&text, PREVIEW);
                let received = self.style.bold("received");
                self.report(&format!("← {received}  {shown}  from the queue {queue}"))?;
            }
        }
        Ok(())
    }

    async fn publish(&mut self, topic: &str, text: String) -> Result<()> {
        self.path.begin();
        let published = self.client.publish(self.stack.cache(), topic, text).await;
        published.map_err(|error| anyhow!("cannot publish to `{topic}`: {}", error.message))?;
        Ok(())
    }

    async fn receive(&mut self, topic: &'static str, is: fn(&str) -> bool) -> Result<String> {
        loop {
            let waiting = self.waiting.entry(topic).or_default();
            while let Some(text) = waiting.pop_front() {
                if is(&text) {
                    return Ok(text);
                }
            }
            tokio::select! {
                Some(happening) = self.flow.next() => self.see(&happening)?,
                Some((topic, text)) = self.inbox.next() => {
                    self.waiting.entry(topic).or_default().push_back(text);
                }
                else => bail!("the stack stopped"),
            }
        }
    }

    async fn dequeue(&mut self, queue: &str, is: fn(&str) -> bool) -> Result<String> {
        let sqs = aws_sdk_sqs::Client::new(self.stack.account().config());
        let url = self.stack.resource_of(self.workflow, queue)?;
        loop {
            let receive = sqs
                .receive_message()
                .queue_url(&url)
                .wait_time_seconds(1)
                .send();
            tokio::pin!(receive);
            let received = loop {
                tokio::select! {
                    received = &mut receive => break received,
                    Some(happening) = self.flow.next() => self.see(&happening)?,
                }
            };
            let received = received.with_context(|| format!("cannot receive from `{queue}`"))?;
            for message in received.messages() {
                if let Some(body) = message.body().filter(|body| is(body)) {
                    return Ok(body.to_owned());
                }
            }
        }
    }

    /// Shows the ends of executions that are still open.
    async fn see_the_end(&mut self) -> Result<()> {
        let until = tokio::time::Instant::now() + LATE;
        while self.path.open > 0 {
            match tokio::time::timeout_at(until, self.flow.next()).await {
                Ok(Some(happening)) => self.see(&happening)?,
                _ => break,
            }
        }
        Ok(())
    }

    fn see(&mut self, happening: &Happening) -> Result<()> {
        self.path.note(happening);
        self.report(&line(self.style, happening))
    }

    fn report(&self, text: &str) -> Result<()> {
        writeln!(
            std::io::stdout(),
            "{:>8}  {text}",
            seconds(self.began.elapsed())
        )
        .context("cannot write to standard output")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plays_have_names_of_their_own_and_wait_for_something() {
        let names: std::collections::BTreeSet<_> = PLAYS.iter().map(|play| play.name).collect();
        assert_eq!(names.len(), PLAYS.len());
        for play in PLAYS {
            assert!(
                matches!(play.steps.first(), Some(Step::Publish { .. })),
                "{}",
                play.name
            );
            assert!(
                !matches!(play.steps.last(), Some(Step::Publish { .. })),
                "{}",
                play.name
            );
        }
        assert_eq!(ONCE, PLAYS[0].name);
        assert_eq!(PLAYS[0].example(), None);
    }

    #[test]
    fn every_play_has_its_example() {
        let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        for name in PLAYS.iter().filter_map(Play::example) {
            let template = examples.join(name).join("template.yaml");
            assert!(template.is_file(), "{}", template.display());
        }
    }
}
