//! `bridge trace`: what happened to a message.

mod latest;

use std::collections::HashSet;
use std::io::Write;

use anyhow::{Result, anyhow, bail};
use clap::Args;
use workflow_bridge::clock::now_ms;
use workflow_bridge::domain::inbound::routes::Routes;
use workflow_bridge::tools::console::arrivals::Arrivals;
use workflow_bridge::tools::console::model::{Filter, Listed};
use workflow_bridge::tools::place::Place;
use workflow_bridge::tools::replay::choice::since;
use workflow_bridge::tools::terminal::{Progress, Style, time};
use workflow_bridge::tools::trace::gather::gather;
use workflow_bridge::tools::trace::logs::LOOK_BACK_MS;
use workflow_bridge::tools::trace::model::Unanswered;
use workflow_bridge::tools::trace::show::show;
use workflow_bridge::tools::trace::subject::{Question, Subject};

use crate::place::Where;

/// The default range of the list of the latest messages on AWS, in ms: reading a log costs by its size there.
const LATEST_ON_AWS_MS: i64 = 3_600_000;

/// Show what happened to a message, or list the latest messages
///
/// Looks for it in the functions' logs, in Step Functions, in the ledger and in the dead-letter queues, and writes one timeline: where it came in, which routes fired, how their workflows went, whether it waits or is a dead letter, and what was published. It changes nothing; dead letters that it looks at are hidden from others for a minute at most.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  cargo bridge trace                                         # the latest messages\n  cargo bridge trace 5ecd7ad4d8712c92                        # the id, or its first 16 digits\n  cargo bridge trace demo/uppercase-in/42                    # cache/topic/number\n  cargo bridge trace uppercase-uppercase-in-42-5ecd7ad4d8712c92\n  AWS_REGION=eu-west-1 cargo bridge trace --stack workflow-bridge --since 7d demo/orders/42\n\nOn AWS, region and credentials come from the environment (AWS_REGION, AWS_ACCESS_KEY_ID, …) or from a profile with plain keys; for every other way to sign in:\n  eval \"$(aws configure export-credentials --format env)\"\n\nIt may need these permissions, and names the missing ones: cloudformation:DescribeStacks; ssm:GetParameter on the routes; logs:FilterLogEvents; states:DescribeExecution, states:GetExecutionHistory and states:DescribeStateMachine, for the list states:ListExecutions; dynamodb:GetItem on the ledger; sqs:GetQueueAttributes on the queues; sqs:ReceiveMessage and sqs:ChangeMessageVisibility on the dead-letter queues.\n\nThe exit code is 0 if the message is found, else 1; for the list, 1 if a source fails."
)]
pub struct Trace {
    /// Message id (16 to 32 hex digits), `cache/topic/number`, or the ARN or name of an execution [default: list the latest messages]
    #[arg(value_name = "MESSAGE")]
    message: Option<String>,

    /// Look at logs from this time on: `2026-01-31`, `2026-01-31T09:30:00Z`, or an age: `90s`, `30m`, `24h`, `7d` [default: 24h; of an execution, since its message was published; for the list on AWS, 1h]
    #[arg(long, value_name = "TIME", value_parser = |text: &str| since(text, now_ms()))]
    since: Option<i64>,

    /// Print one JSON object (docs/trace.md has its shape)
    #[arg(long)]
    json: bool,

    /// Show inputs and outputs of states, and causes of errors
    #[arg(long)]
    payloads: bool,

    #[command(flatten)]
    place: Where,
}

impl Trace {
    pub async fn run(self) -> Result<i32> {
        let subject = self.message.as_deref().map(Subject::parse).transpose();
        let subject = subject.map_err(|text| anyhow!(text))?;
        let place = self.place.find().await?;
        let doing = match subject {
            Some(_) => "looking for it",
            None => "reading the webhook's log",
        };
        let progress = Progress::unless(self.json);
        let step = progress.step(&format!("{doing} at {}", place.name));
        let (routes, unread) = place.routes().await;
        if let Some(Subject::Key(key)) = &subject
            && routes.iter().all(|route| route.key().is_none())
        {
            let found = format!("`{key}`, and no route has a key");
            bail!(Subject::unknown(&found));
        }
        let (now_ms, style) = (now_ms(), Style::for_stdout());
        let (text, code) = if let Some((asked, subject)) = self.message.as_deref().zip(subject) {
            let question = Question {
                asked,
                subject,
                since: self.since,
                now_ms,
                payloads: self.payloads,
                place: &place,
                routes: &routes,
            };
            let mut report = gather(&question, &place).await;
            report.unanswered.extend(unread);
            let text = match self.json {
                true => serde_json::to_string_pretty(&report)? + "\n",
                false => show(&report, style),
            };
            (text, i32::from(report.messages.is_empty()))
        } else {
            let range = match place.is_local() {
                true => LOOK_BACK_MS,
                false => LATEST_ON_AWS_MS,
            };
            let since = self.since.unwrap_or(now_ms - range);
            let mut listed = listed(&place, &routes, since, now_ms).await;
            listed.unanswered.extend(unread);
            let text = match self.json {
                true => format!("{:#}\n", latest::json(&listed, &place.name, since, now_ms)),
                false => latest::show(&listed, &place.name, since, style),
            };
            (text, i32::from(!listed.unanswered.is_empty()))
        };
        drop(step);
        write!(std::io::stdout().lock(), "{text}")?;
        Ok(code)
    }
}

/// The latest messages, each once.
async fn listed(place: &Place, routes: &Routes, since: i64, now_ms: i64) -> Listed {
    let filter = Filter {
        since: time(since),
        ..Filter::default()
    };
    let listed = Arrivals::of(place).list(&filter, routes, now_ms).await;
    let mut listed = listed.unwrap_or_else(|fault| Listed {
        unanswered: vec![Unanswered::new("the log of the webhook", fault)],
        ..Listed::default()
    });
    let mut seen = HashSet::new();
    listed.rows.retain(|row| seen.insert(row.id.clone()));
    listed.rows.truncate(latest::MOST);
    listed
}
