//! `bridge trace`: what happened to a message.

mod letters;

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::{Result, anyhow, bail};
use aws_config::SdkConfig;
use clap::Args;
use workflow_bridge::adapters::aws::routes_table::RoutesTable;
use workflow_bridge::adapters::aws::ssm::load_routes;
use workflow_bridge::clock::now_ms;
use workflow_bridge::config::RoutesSource;
use workflow_bridge::domain::inbound::routes::Routes;
use workflow_bridge::domain::ports::CompiledRoutes as _;
use workflow_bridge::tools::terminal::{Progress, Style};
use workflow_bridge::tools::trace::gather::{Question, gather};
use workflow_bridge::tools::trace::history::History;
use workflow_bridge::tools::trace::latest::{latest, show_latest};
use workflow_bridge::tools::trace::ledger::LedgerTable;
use workflow_bridge::tools::trace::links::Stack;
use workflow_bridge::tools::trace::logs::CloudWatchLogs;
use workflow_bridge::tools::trace::model::{Part, Unanswered};
use workflow_bridge::tools::trace::show::show;
use workflow_bridge::tools::trace::sources::{Sources, Window};
use workflow_bridge::tools::trace::subject::Subject;

use self::letters::DeadLetters;
use crate::replay::choice::since;
use crate::replay::place::{Place, Where};

/// The default range of the list of the latest messages, in ms. On AWS, reading a log costs by its size.
const LATEST_LOCALLY_MS: i64 = 24 * 3_600_000;
const LATEST_ON_AWS_MS: i64 = 3_600_000;

/// Show what happened to a message, or list the latest messages
///
/// Looks for it in the functions' logs, in Step Functions, in the ledger and in the dead-letter queues, and writes one timeline: where it came in, which routes fired, how their workflows went, whether it waits or is a dead letter, and what was published. It changes nothing; dead letters that it looks at are hidden from others for a minute at most.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  cargo bridge trace                                         # the latest messages\n  cargo bridge trace 5ecd7ad4d8712c92                        # the id, or its first 16 digits\n  cargo bridge trace demo/uppercase-in/42                    # cache/topic/number\n  cargo bridge trace uppercase-uppercase-in-42-5ecd7ad4d8712c92\n  AWS_REGION=eu-west-1 cargo bridge trace --stack workflow-bridge --since 7d demo/orders/42\n\nOn AWS, region and credentials come from the environment (AWS_REGION, AWS_ACCESS_KEY_ID, …) or from a profile with plain keys; for every other way to sign in:\n  eval \"$(aws configure export-credentials --format env)\"\n\nIt may need these permissions, and names the missing ones: cloudformation:DescribeStacks; ssm:GetParameter on the routes; logs:FilterLogEvents; states:DescribeExecution, states:GetExecutionHistory and states:DescribeStateMachine; dynamodb:GetItem on the ledger; sqs:GetQueueAttributes on the queues; sqs:ReceiveMessage and sqs:ChangeMessageVisibility on the dead-letter queues.\n\nThe exit code is 0 if the message is found, else 1; for the list, 1 if the log cannot be read."
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
        let stack = stack(&place);
        let progress = if self.json {
            Progress::silent()
        } else {
            Progress::shown()
        };
        let step = progress.step(&match subject {
            Some(_) => format!("looking for it at {}", place.name),
            None => format!("reading the webhook's log at {}", place.name),
        });
        let (routes, unread) = routes(&place.config, &place.outputs).await;
        let mut known = routes.iter().flat_map(Routes::iter);
        if let Some(Subject::Key(key)) = &subject
            && !known.any(|route| route.key().is_some())
        {
            bail!(Subject::unknown(&format!(
                "`{key}`, and no route has a key"
            )));
        }
        let output = |name: &str| place.outputs.get(name).cloned().unwrap_or_default();
        let groups = Part::LOGGING.into_iter();
        let groups = groups.filter_map(|part| Some((part, stack.log_group(part)?.to_owned())));
        let logs = CloudWatchLogs::new(&place.config, groups.collect::<BTreeMap<_, _>>());
        let workflows = History::new(&place.config);
        let ledger = LedgerTable::new(&place.config, output("LedgerTableName"));
        let letters = DeadLetters::new(&place);
        let sources = Sources {
            logs: &logs,
            workflows: &workflows,
            ledger: &ledger,
            letters: &letters,
        };
        let Some((asked, subject)) = self.message.as_deref().zip(subject) else {
            let range = match place.local {
                Some(_) => LATEST_LOCALLY_MS,
                None => LATEST_ON_AWS_MS,
            };
            let until = now_ms();
            let since = self.since.unwrap_or(until - range);
            let window = Window { since, until };
            let latest = latest(&place.name, routes.as_ref(), sources, window).await;
            drop(step);
            let mut out = std::io::stdout().lock();
            if self.json {
                writeln!(out, "{}", serde_json::to_string_pretty(&latest)?)?;
            } else {
                write!(out, "{}", show_latest(&latest, Style::for_stdout()))?;
            }
            return Ok(i32::from(!latest.unanswered.is_empty()));
        };
        let question = Question {
            asked,
            subject,
            since: self.since,
            now_ms: now_ms(),
            payloads: self.payloads,
            stack: &stack,
            routes: routes.as_ref(),
        };
        let mut report = gather(&question, sources).await;
        report.unanswered.extend(unread);
        drop(step);
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
        } else {
            write!(out, "{}", show(&report, Style::for_stdout()))?;
        }
        Ok(i32::from(report.messages.is_empty()))
    }
}

fn stack(place: &Place) -> Stack {
    let region = place.config.region().map(ToString::to_string);
    let name = place.stack_name.as_ref();
    Stack {
        name: place.name.clone(),
        place: name.map_or(String::new(), |name| format!(" --stack-name {name}")),
        region: region.unwrap_or_default(),
        outputs: place.outputs.clone(),
        local: place.local.clone(),
    }
}

/// The functions' routes; without them, the report has the rest.
pub async fn routes(
    config: &SdkConfig,
    outputs: &BTreeMap<String, String>,
) -> (Option<Routes>, Option<Unanswered>) {
    let unread = |error: String| {
        let source = "the routes".to_owned();
        (None, Some(Unanswered { source, error }))
    };
    let Some(parameter) = outputs.get("RoutesParameter") else {
        return unread(
            "expected an output `RoutesParameter`, found none: deploy this version's template.yaml"
                .to_owned(),
        );
    };
    let own = match load_routes(&RoutesSource::Parameter(parameter.clone()), config).await {
        Ok(routes) => routes,
        Err(error) => return unread(error.to_string()),
    };
    match collected(config, outputs).await {
        Ok(collected) => (Some(own.and(&collected)), None),
        Err(error) => {
            let source = "the routes of other stacks".to_owned();
            (Some(own), Some(Unanswered { source, error }))
        }
    }
}

/// The routes of other stacks.
async fn collected(
    config: &SdkConfig,
    outputs: &BTreeMap<String, String>,
) -> Result<Routes, String> {
    let table = outputs.get("LedgerTableName").cloned();
    let table = RoutesTable::new(config, table.unwrap_or_default());
    let compiled = table.load(true).await.map_err(|fault| fault.to_string())?;
    let document = compiled.unwrap_or_default().document;
    Routes::parse(&document).map_err(|problems| problems.to_string())
}
