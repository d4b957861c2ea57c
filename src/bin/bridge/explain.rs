//! `bridge explain`: a message's routes, targets and replies, with the reasons.

mod report;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use workflow_bridge::clock::now_ms;
use workflow_bridge::config::RoutesSource;
use workflow_bridge::domain::inbound::message::Value;
use workflow_bridge::domain::inbound::message::delivery::DeliveryBody;
use workflow_bridge::domain::inbound::routes::Routes;
use workflow_bridge::environment::environment;
use workflow_bridge::tools::explain::{Fate, Holder, Source, explain};
use workflow_bridge::tools::template;
use workflow_bridge::tools::terminal::Style;

use crate::place::Where;
use crate::publish::read_stdin;

const TEMPLATE: &str = "template.yaml";

/// Show which routes take a message, why the others do not, and the input of each target
///
/// Calls nothing: no account, no network, no running stack, unless `--local` or `--stack` asks for a stack's routes. Shows the name and the input of each execution, byte for byte with `--json`, and the topics of its results. Signature and age decide nothing here.
#[derive(Args)]
#[command(
    override_usage = "cargo bridge explain [OPTIONS] --topic <TOPIC> --text <TEXT>\n       cargo bridge explain [OPTIONS] --event <FILE>",
    after_help = "Examples:\n  cargo bridge explain --topic uppercase-in --text hello\n  cargo bridge explain --event body.json                   # with the routes of ./template.yaml\n  cargo bridge explain --event body.json --template examples/count/template.yaml\n  cargo bridge explain --topic reverse-in --text hello --local\n  cargo bridge explain --event letter.json --routes routes.json\n  aws sqs receive-message --queue-url \"$DEAD_LETTER_QUEUE_URL\" | cargo bridge explain --event -\n  cargo bridge explain --event body.json --json | jq -r '.routes[].does.input // empty'\n\nThe exit code is 0 when the message could be explained, even if no route takes it."
)]
pub struct Explain {
    /// File with the message, or `-` for standard input: a webhook's body, a Lambda function's event with such a body, or a letter of the parking or dead-letter queue
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "topic",
        conflicts_with_all = ["topic", "text"]
    )]
    event: Option<PathBuf>,

    /// Topic of a message to make up
    #[arg(long, requires = "text")]
    topic: Option<String>,

    /// Text of that message
    #[arg(long, requires = "topic", allow_hyphen_values = true)]
    text: Option<String>,

    /// Cache of that message [default: demo]
    #[arg(long, value_name = "NAME", requires = "topic")]
    cache: Option<String>,

    /// File with the routes document [default: the variable ROUTES, else the template's]
    #[arg(long, value_name = "FILE", conflicts_with = "template")]
    routes: Option<PathBuf>,

    /// Template with the routes, of a bridge or of a workflow's stack, read with the defaults of its parameters; ARNs are made up [default: template.yaml]
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,

    /// The routes of the running local stack, with those of all its stacks
    #[arg(long, conflicts_with_all = ["routes", "template", "stack"])]
    local: bool,

    /// The routes of a bridge's CloudFormation stack on AWS, with those of other stacks
    #[arg(long, visible_alias = "stack-name", value_name = "NAME", conflicts_with_all = ["routes", "template"])]
    stack: Option<String>,

    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

impl Explain {
    pub async fn run(self) -> Result<i32> {
        let is_deployed = self.local || self.stack.is_some();
        let (routes, from) = match is_deployed {
            true => deployed(self.stack.clone()).await?,
            false => self.routes()?,
        };
        let (bytes, name) = match &self.event {
            None => (self.made_up(), "the message".to_owned()),
            Some(event) if event.as_os_str() == "-" => {
                (read_stdin().await?, "standard input".to_owned())
            }
            Some(event) => {
                let name = format!("`{}`", event.display());
                let bytes = std::fs::read(event).with_context(|| {
                    format!("cannot read the message in {name}: name the file that holds it, or `-` for standard input")
                })?;
                (bytes, name)
            }
        };
        let source = Source::read(&bytes).with_context(|| format!("in {name}"))?;
        let letter = match &source.holder {
            Holder::Letter(letter) => Some(letter.as_ref()),
            Holder::Body | Holder::Event { .. } => None,
        };
        let explanation = explain(&source.message, letter, &routes, now_ms());
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&explanation)?)?;
        } else {
            let signed = match source.holder {
                Holder::Event { signed } => Some(signed),
                Holder::Body | Holder::Letter(_) => None,
            };
            let text = report::text(&explanation, signed, &from, Style::for_stdout());
            write!(out, "{text}")?;
            if explanation.fate == Fate::Unrouted && !is_deployed {
                writeln!(
                    out,
                    "          (`--local` and `--stack NAME` read the routes of a stack, with those beside it)"
                )?;
            }
        }
        Ok(0)
    }

    /// The body of a message with this topic and text, the first of its topic, published now.
    fn made_up(&self) -> Vec<u8> {
        let body = DeliveryBody {
            cache: self.cache.as_deref().unwrap_or("demo"),
            topic: self.topic.as_deref().unwrap_or_default(),
            event_timestamp: now_ms(),
            publish_timestamp: now_ms(),
            topic_sequence_number: 1,
            sequence_page: None,
            token_id: "",
            value: Value::Text(self.text.clone().unwrap_or_default()),
        };
        body.to_json()
    }

    /// The routes, and their origin for people.
    fn routes(&self) -> Result<(Routes, String)> {
        if let Some(file) = &self.routes {
            let name = format!("`{}`", file.display());
            let document = std::fs::read_to_string(file)
                .with_context(|| format!("cannot read the routes in {name}"))?;
            let routes = Routes::parse(&document).with_context(|| {
                let json = document.trim_start().starts_with('{');
                let hint = if json {
                    ""
                } else {
                    " (a template goes to `--template`)"
                };
                format!("in {name}{hint}")
            })?;
            return Ok((routes, name));
        }
        if let Some(file) = &self.template {
            return of_template(file);
        }
        let variable = environment("ROUTES").filter(|value| !value.trim().is_empty());
        match variable.map(|value| RoutesSource::of(&value)) {
            None => of_template(Path::new(TEMPLATE)),
            Some(RoutesSource::Inline(document)) => {
                let routes = Routes::parse(&document).context("in the variable ROUTES")?;
                Ok((routes, "the variable ROUTES".to_owned()))
            }
            Some(RoutesSource::Parameter(name)) => bail!(
                "expected the routes document itself in the variable ROUTES, found the name of the parameter `{name}`, and explaining calls nothing: save it with `aws ssm get-parameter --name {name} --query Parameter.Value --output text > routes.json`, and pass `--routes routes.json`"
            ),
        }
    }
}

/// The routes of a stack, all of them or an error.
async fn deployed(stack: Option<String>) -> Result<(Routes, String)> {
    let place = Where::of(stack).find().await?;
    match place.routes().await {
        (routes, None) => Ok((routes, place.name)),
        (_, Some(one)) => bail!("could not query {}: {}", one.source, one.error),
    }
}

fn of_template(file: &Path) -> Result<(Routes, String)> {
    let name = format!("`{}`", file.display());
    if !file.exists() {
        bail!(
            "expected the routes in {name}, found no such file: pass `--routes FILE` or `--template FILE`, or set the variable ROUTES"
        );
    }
    let document = template::read(file)
        .and_then(|template| template::routes_document(&template))
        .with_context(|| {
            format!(
                "cannot read the routes in {name} (a routes document by itself goes to `--routes`)"
            )
        })?;
    let routes = Routes::parse(&document).with_context(|| format!("in {name}"))?;
    Ok((routes, format!("{name}, with made-up ARNs")))
}
