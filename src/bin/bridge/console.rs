//! `bridge console`: a deployed stack in the browser.

use std::io::Write;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use workflow_bridge::config::MomentoEndpoint;
use workflow_bridge::tools::console::{Console, Momento, Webhook};
use workflow_bridge::tools::place::Place;
use workflow_bridge::tools::terminal::Style;

use crate::connection::running_stack;

/// Show a deployed stack in the browser: messages, runs, routes and dead letters
///
/// Prints the address to open; it is for this machine only. Reads with your own credentials, and changes nothing unless `--allow-changes` is given. `bridge local` serves a console of its own, live.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  AWS_REGION=eu-west-1 cargo bridge console --stack workflow-bridge\n  AWS_REGION=eu-west-1 cargo bridge console --stack workflow-bridge --allow-changes\n\nRegion and credentials come from the environment (AWS_REGION, AWS_ACCESS_KEY_ID, …) or from a profile with plain keys; for every other way to sign in:\n  eval \"$(aws configure export-credentials --format env)\"\n\nIt needs the permissions of `bridge trace`, states:ListExecutions and states:DescribeStateMachineForExecution; for ages and alarms cloudwatch:GetMetricData and cloudwatch:DescribeAlarms; for gaps also cloudformation:DescribeStacks and logs:FilterLogEvents on the relay's stack. With `--allow-changes` those of `bridge replay`, and, as far as used, states:StopExecution, states:RedriveExecution, states:SendTaskSuccess, states:SendTaskFailure and secretsmanager:GetSecretValue on the signing secret. To publish and to read claims, it needs the variables MOMENTO_API_KEY and MOMENTO_ENDPOINT."
)]
pub struct ConsoleCommand {
    /// CloudFormation stack on AWS [default: the running local stack, by its logs]
    #[arg(long, visible_alias = "stack-name", value_name = "NAME")]
    stack: Option<String>,

    /// Let pages change something: publish, deliver again, put back, stop, redrive, answer
    #[arg(long)]
    allow_changes: bool,

    /// Port of the console [default: 8484; a free one when it is taken]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
}

impl ConsoleCommand {
    pub async fn run(self) -> Result<i32> {
        let (place, webhook, momento) = match &self.stack {
            Some(name) => {
                let place = Place::on_aws(name).await?;
                let webhook = Webhook {
                    url: place.outputs.get("WebhookUrl").cloned(),
                    secret: None,
                };
                (place, webhook, momento_of_environment()?)
            }
            None => {
                let state = running_stack().context("no `--stack`, so the local stack is used")?;
                let place = Place::running(&state);
                let endpoint = MomentoEndpoint::Local(state.topics_endpoint);
                let momento = Momento::connect(&state.api_key, &endpoint)?;
                let webhook = Webhook {
                    url: Some(state.webhook_url),
                    secret: Some(state.signing_secret),
                };
                (place, webhook, Some(momento))
            }
        };
        let name = place.name.clone();
        let console =
            Console::of_place(place, webhook, momento, self.allow_changes, self.port).await?;
        let style = Style::for_stdout();
        let mut out = std::io::stdout().lock();
        writeln!(out, "{name} at\n\n  {}\n", style.bold(console.url()))?;
        writeln!(
            out,
            "{}; Ctrl-C stops it",
            match self.allow_changes {
                true => "pages may change the stack",
                false => "pages only read; `--allow-changes` lets them change something",
            }
        )?;
        out.flush()?;
        drop(out);
        crate::RUNS_UNTIL_STOPPED.store(true, Ordering::Relaxed);
        Err(console.ended().await)
    }
}

/// Momento by the variables of the other commands; none without both.
fn momento_of_environment() -> Result<Option<Momento>> {
    let variable = |name| {
        std::env::var(name)
            .ok()
            .filter(|value: &String| !value.is_empty())
    };
    let (Some(key), Some(endpoint)) = (variable("MOMENTO_API_KEY"), variable("MOMENTO_ENDPOINT"))
    else {
        return Ok(None);
    };
    let endpoint = MomentoEndpoint::parse(&endpoint).map_err(|text| anyhow!(text))?;
    let momento = Momento::connect(&key, &endpoint).map_err(|_| {
        anyhow!("expected a Momento API key of version 2 in MOMENTO_API_KEY, found something else: make one in Momento's console")
    })?;
    Ok(Some(momento))
}
