//! `bridge local`: the whole system on this machine.

mod demo;
mod keys;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use momento::CredentialProvider;
use serde_json::Value;
use workflow_bridge::clock::now_ms;
use workflow_bridge::domain::inbound::routes::Target;
use workflow_bridge::tools::check::check;
use workflow_bridge::tools::console::Console;
use workflow_bridge::tools::local::build;
use workflow_bridge::tools::local::code::{self, Code};
use workflow_bridge::tools::local::flow::{Caller, Direction, Flow, Happening};
use workflow_bridge::tools::local::live::{self, Edited, Edits, Outcome, Watched};
use workflow_bridge::tools::local::topics::MAX_NAME_BYTES;
use workflow_bridge::tools::local::{
    Account, Delivery, Emulator, Options, Port, Stack, Workflow, is_free,
};
use workflow_bridge::tools::template;
use workflow_bridge::tools::terminal::{Progress, Style, preview, seconds};

/// Width of the shown beginning of a message.
const PREVIEW: usize = 60;

/// Run the whole system on this machine: topics, AWS and the real Lambda functions
///
/// Deploys template.yaml into a local AWS emulator, with any workflows of `--with` beside it, and connects it to a local Momento
/// Topics server. It needs neither an account nor Docker, only Python 3.11 or newer; the first run downloads the emulator into
/// target/bridge.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  cargo bridge local --once          # send `hello` all the way and show how it came back as `HELLO`\n  cargo bridge local --relay --once  # the same without any webhook\n  cargo bridge local --demo approve  # play another workflow of examples/\n  cargo bridge local                 # keep it running; in another terminal:\n  cargo bridge tail uppercase-out\n  cargo bridge publish uppercase-in hello\n  cargo bridge local --with examples/count --with ../mine   # with workflows beside the bridge\n\nCtrl-C stops everything and leaves no process behind. An edit of a template or of a definition that it names is checked and live when it is saved; one with an error changes nothing. Messages sent straight to the webhook (`bridge send`) show only as their results. IAM is not enforced here: a missing permission shows on AWS only. Ports and keys are the same at every start; a second stack takes free ports, and the other commands talk to the newest. Momento's SDKs connect with their local mode (forMomentoLocal): examples/clients. Unknown caches are refused, as Momento refuses them."
)]
pub struct Local {
    /// Send one message through, show its way and exit; the exit code is 1 when it does not come back
    #[arg(long)]
    once: bool,

    /// Play a demonstration and exit, as `--once` does for `uppercase`; its workflow is deployed from examples/
    #[arg(long, value_name = "NAME", conflicts_with = "once", value_parser = play, long_help = demos())]
    demo: Option<&'static demo::Play>,

    /// Deliver no webhooks: a relay subscribes to the topics of the routes instead
    #[arg(long)]
    relay: bool,

    /// Template of the bridge [default: the clone's template.yaml]
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,

    /// Directory of a workflow, whose template.yaml is deployed beside the bridge as a stack of its own; may be repeated
    #[arg(long, value_name = "DIR")]
    with: Vec<PathBuf>,

    /// Further cache; may be repeated [default: `demo` and the caches of the routes]
    #[arg(long, value_name = "NAME", value_parser = cache_name)]
    cache: Vec<String>,

    /// API key of Momento's SDKs and the HTTP API, in the form of a version 2 key [default: the same one at every start]
    #[arg(long, value_name = "KEY")]
    api_key: Option<String>,

    /// Port of the Topics server, 0 for a free one [default: 8080, where the SDKs' local mode connects; a free one when it is taken]
    #[arg(long, value_name = "PORT")]
    topics_port: Option<u16>,

    /// Port of the AWS emulator, 0 for a free one [default: 4566; a free one when it is taken]
    #[arg(long, value_name = "PORT")]
    aws_port: Option<u16>,

    /// Build the functions again, and swap the changed ones, whenever the clone's Rust code changes [default: with `r` and Enter]
    #[arg(long)]
    watch_code: bool,

    /// Port of the console in the browser [default: 8484; a free one when it is taken]
    #[arg(long, value_name = "PORT")]
    console_port: Option<u16>,
}

/// Refuses a taken port now rather than after the build.
fn free(option: &str, port: u16) -> Result<()> {
    if !is_free(port) {
        bail!(
            "expected port {port} of this machine to be free for `{option}`, found it in use: choose another, or leave it out for a free one"
        );
    }
    Ok(())
}

fn cache_name(name: &str) -> Result<String, String> {
    match name.len() {
        1..=MAX_NAME_BYTES => Ok(name.to_owned()),
        bytes => Err(format!(
            "expected a name of 1 to {MAX_NAME_BYTES} bytes, found {bytes}"
        )),
    }
}

/// Refuses a key that the SDKs would not accept. The error does not repeat the key.
fn check_key(key: &str) -> Result<()> {
    let credentials = CredentialProvider::from_api_key_v2(key, "local");
    credentials.map(drop).map_err(|_| {
        anyhow!("expected `--api-key` in the form of a Momento version 2 key, found something else: leave it out for a key that fits")
    })
}

/// The demonstration of that name.
fn play(name: &str) -> Result<&'static demo::Play, String> {
    let found = demo::PLAYS.iter().find(|play| play.name == name);
    found.ok_or_else(|| {
        let names: Vec<_> = demo::PLAYS.iter().map(|play| play.name).collect();
        format!("expected one of {}, found `{name}`", names.join(", "))
    })
}

fn demos() -> String {
    let plays = demo::PLAYS.iter();
    let plays = plays.map(|play| format!("\n- {}: {}", play.name, play.about));
    let intro = "Play a demonstration and exit, with its workflow of examples/ beside the bridge; the exit code is 1 when something expected does not come";
    format!("{intro}:{}", plays.collect::<String>())
}

/// Adds directories of workflows, each once.
fn add(with: &mut Vec<PathBuf>, more: impl IntoIterator<Item = PathBuf>) {
    for directory in more {
        let same = |known: &PathBuf| known.canonicalize().ok() == directory.canonicalize().ok();
        if !with.iter().any(same) {
            with.push(directory);
        }
    }
}

/// Prints the findings of `bridge check`. The emulator accepts most of them, so they do not stop the start.
fn warn(templates: &[PathBuf]) {
    let style = Style::for_stderr();
    let reports = templates.iter().map(|template| check(template));
    let mut reports = reports
        .filter(|report| !report.findings.is_empty())
        .peekable();
    if reports.peek().is_some() {
        let title = "Findings of `cargo bridge check`; most would show on AWS only:";
        eprintln!("{}", style.bold(title));
    }
    for report in reports {
        eprintln!("{}", report.shown(style));
    }
}

/// Refuses mistakes in a template that prevent a deployment; the bridge's binaries of its functions.
fn binaries(template: &Value, file: &Path) -> Result<Vec<String>> {
    let name = || format!("`{}`", file.display());
    template::check_replies(template).with_context(name)?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let functions = code::functions(template, folder).with_context(name)?;
    let binaries = functions.into_iter().filter_map(|(_, code)| match code {
        Code::Bridge(binary) => Some(binary),
        _ => None,
    });
    Ok(binaries.collect())
}

impl Local {
    pub async fn run(self) -> Result<i32> {
        let began = Instant::now();
        let mut options = Options::new(build::Binaries::new())?;
        options.progress = Progress::shown();
        options.more_caches = self.cache.into_iter().collect();
        if let Some(key) = self.api_key {
            check_key(&key)?;
            options.api_key = key;
        }
        if self.relay {
            options.delivery = Delivery::Relay;
        }
        for (option, port) in [
            ("--topics-port", self.topics_port),
            ("--aws-port", self.aws_port),
        ] {
            port.map_or(Ok(()), |port| free(option, port))?;
        }
        options.topics_port = Port::of(self.topics_port, Port::TOPICS);
        options.aws_port = Port::of(self.aws_port, Port::AWS);
        let wanted = [options.topics_port, options.aws_port];
        options.edit = Box::new(live::read_routes_often);
        if let Some(template) = self.template {
            options.template = template;
        }
        let example = self.demo.and_then(demo::Play::example);
        let example = example.map(|name| options.workspace.root().join("examples").join(name));
        if let Some(project) = options.workspace.project() {
            let clone = options.workspace.root().display();
            eprintln!("In {}, beside the bridge of {clone}", project.display());
        }
        // In a project, its own workflow comes first, once it has one.
        options
            .with
            .retain(|directory| Workflow::file(directory).is_ok());
        add(&mut options.with, self.with);
        add(&mut options.with, example);
        let bridge = template::read(&options.template)
            .context("cannot use the template (`--template` names another)")?;
        let mut names = binaries(&bridge, &options.template)?;
        let mut templates = vec![options.template.clone()];
        for directory in &options.with {
            let workflow =
                Workflow::read(directory).context("cannot use a workflow of `--with`")?;
            let file = Workflow::file(directory)?;
            names.extend(binaries(&workflow.template, &file)?);
            templates.push(file);
        }
        warn(&templates);
        names.sort_unstable();
        names.dedup();
        let names: Vec<_> = names.iter().map(String::as_str).collect();

        // The emulator first: a missing requirement shows before a long compilation.
        let emulator = Arc::new(
            Emulator::start(&options.workspace, options.aws_port, &options.progress).await?,
        );
        options.binaries =
            build::build(options.workspace.root(), &names, &options.progress).await?;
        options.account = Some(Account::new(emulator.endpoint(), Account::DEFAULT_ID));
        let watched = Watched {
            template: options.template.clone(),
            with: options.with.clone(),
            edit: live::read_routes_often,
            root: options.workspace.root().to_owned(),
            code: self.watch_code,
            progress: options.progress,
        };
        let stack = Arc::new(Stack::start_in(emulator, options).await?);
        let ended = stack.emulator().ended();
        let once = self.once.then(|| play(demo::ONCE).ok()).flatten();
        if let Some(play) = self.demo.or(once) {
            return tokio::select! {
                result = demo::demonstrate(&stack, play) => result,
                error = ended => Err(error),
            };
        }
        let console = Console::local(&stack, self.console_port).await?;
        let mut state = stack.state(now_ms().unsigned_abs());
        state.console = Some(console.address());
        stack.emulator().run().publish_state(&state)?;
        let flow = Flow::watch(&stack);
        let edits = Edits::of(Arc::clone(&stack), watched).await?;
        introduce(&stack, &console, wanted, began)?;
        keys::listen(edits.builds());
        crate::RUNS_UNTIL_STOPPED.store(true, Ordering::Relaxed);
        tokio::select! {
            result = show(flow, edits) => result,
            error = ended => Err(error),
        }
    }
}

fn introduce(stack: &Stack, console: &Console, wanted: [Port; 2], began: Instant) -> Result<()> {
    let style = Style::for_stdout();
    let state = stack.state(0);
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "\n{} in {}; Ctrl-C stops it\n",
        style.good("ready"),
        seconds(began.elapsed())
    )?;
    writeln!(out, "  console  {}", style.bold(console.url()))?;
    let port = stack.topics().port();
    let [topics_port, aws_port] = wanted;
    let taken = topics_port
        .replaced_by(port)
        .map_or(String::new(), |wanted| {
            format!("; port {wanted} is taken, so the SDKs' local mode needs port {port}")
        });
    writeln!(
        out,
        "  topics   {}  Momento SDKs and HTTP API{taken}",
        state.topics_endpoint
    )?;
    writeln!(out, "  caches   {}", stack.topics().caches().join(", "))?;
    let stacks = stack.stacks();
    let hint = match stacks.len() {
        1 => "; `--with examples/count` deploys a workflow beside it",
        _ => "",
    };
    writeln!(out, "  stacks   {}{hint}", stacks.join(", "))?;
    let taken = aws_port.replaced_by(stack.emulator().port());
    let taken = taken.map_or(String::new(), |wanted| format!("; port {wanted} is taken"));
    writeln!(
        out,
        "  aws      {}  account {}{taken}",
        state.aws_endpoint, state.account
    )?;
    writeln!(out, "  webhook  {}", state.webhook_url)?;
    if stack.relayed().is_some() {
        writeln!(
            out,
            "  relay    subscribed to the topics of the routes; no webhook is delivered"
        )?;
    }
    writeln!(
        out,
        "  edits    of templates and definitions are live when saved; `r` and Enter builds the functions again"
    )?;
    writeln!(out)?;
    let routes = stack.routes();
    for route in routes.iter().filter(|route| route.enabled) {
        let target = match &route.to {
            Target::StateMachine { arn, .. } => arn.rsplit(':').next().unwrap_or(arn).to_owned(),
            Target::EventBus { name, .. } => format!("event bus {name}"),
            Target::Stop(stop) => format!(
                "stops the execution of {} with the key at {}",
                stop.route, stop.key
            ),
            Target::Resume(resume) => format!("the task whose token is at {}", resume.token),
        };
        writeln!(
            out,
            "  route    {}: {}/{} → {target}",
            style.bold(&route.name),
            route.from.cache.as_str(),
            route.from.topic.as_str()
        )?;
    }
    let example = routes
        .iter()
        .find(|route| route.enabled)
        .map_or("uppercase-in", |route| route.from.topic.as_str());
    writeln!(out, "\nin another terminal:")?;
    for command in [
        "cargo bridge tail uppercase-out".to_owned(),
        format!("cargo bridge publish {example} hello"),
        format!("cargo bridge send --topic {example} --text hello"),
        format!(
            "curl -H 'Authorization: {}' -d hello {}",
            state.api_key,
            stack.topics().topic_url(&state.cache, example)
        ),
    ] {
        writeln!(out, "  {}", style.bold(command))?;
    }
    writeln!(out)?;
    Ok(())
}

/// Prints events until the stack stops.
async fn show(mut flow: Flow, mut edits: Edits) -> Result<i32> {
    let style = Style::for_stdout();
    loop {
        let text = tokio::select! {
            Some(happening) = flow.next() => line(style, &happening),
            Some(edited) = edits.next() => edit(style, &edited),
            else => return Ok(0),
        };
        writeln!(std::io::stdout(), "{text}")?;
    }
}

/// The findings after an edit, and one line on what became of it.
fn edit(style: Style, edited: &Edited) -> String {
    let report = edited.report.as_ref();
    let mut text = report.map_or(String::new(), |report| report.shown(style));
    let (mark, result) = match &edited.outcome {
        Outcome::Live(words) => (style.good("✓"), format!("{words} updated")),
        Outcome::Nothing => (style.dim("·"), "nothing to update".to_owned()),
        Outcome::Refused(1) => (style.bad("✗"), "not updated: 1 error above".to_owned()),
        Outcome::Refused(errors) => {
            let refused = format!("not updated: {errors} errors above");
            (style.bad("✗"), refused)
        }
        Outcome::Failed(why) => (
            style.bad("✗"),
            format!("not updated, the stack is as before: {why}"),
        ),
    };
    let stack = edited.stack.as_ref();
    let stack = stack.map_or(String::new(), |stack| format!("  {stack}"));
    let took = style.dim(seconds(edited.took));
    let files = style.bold(&edited.files);
    text.push_str(&format!("{mark} edit  {files}{stack}  {result}  {took}"));
    text
}

/// One line per event.
pub fn line(style: Style, happening: &Happening) -> String {
    match happening {
        Happening::Published {
            cache,
            topic,
            sequence,
            bytes,
            text,
            direction,
            meant,
        } => {
            let shown = text
                .as_deref()
                .map_or("(binary)".to_owned(), |text| preview(text, PREVIEW));
            let bytes = style.dim(format_args!("{bytes} B"));
            let message = style.bold(format_args!("{topic}#{sequence}"));
            match direction {
                Direction::In => format!("→ {message}  {bytes}  {shown}"),
                Direction::Out => format!("← {message}  {bytes}  {shown}"),
                Direction::Neither => {
                    let message = style.bold(format_args!("{cache}/{topic}#{sequence}"));
                    let note = style.dim(format_args!("no route listens to this topic{meant}"));
                    format!("· {message}  {bytes}  {shown}  {note}")
                }
            }
        }
        Happening::Answered {
            by,
            topic,
            sequence,
            took,
            status,
            answer,
        } => {
            let (took, message) = (
                style.dim(seconds(*took)),
                style.bold(format_args!("{topic}#{sequence}")),
            );
            let by = match by {
                Caller::Momento => "webhook  ",
                Caller::Relay => "relayed  ",
            };
            match status {
                Ok(code) => {
                    let shown = format!("{code} {}", answer.code);
                    let shown = if *code == 200 {
                        style.good(shown)
                    } else {
                        style.bad(shown)
                    };
                    let targets: Vec<_> = answer
                        .targets
                        .iter()
                        .map(|target| format!("{} {}", target.route, target.outcome))
                        .collect();
                    format!(
                        "    {by}  {message}  {shown}  {}  {took}",
                        targets.join(", ")
                    )
                }
                Err(reason) => format!("    {by}  {message}  {}  {took}", style.bad(reason)),
            }
        }
        Happening::Execution {
            name,
            status,
            took,
            states,
            failure,
            failed,
        } => {
            let shown = match status.as_str() {
                "SUCCEEDED" => style.good(status),
                "RUNNING" => style.dim(status),
                _ => style.bad(format_args!("✗ {status}")),
            };
            let place = failed
                .as_ref()
                .map(|failed| format!("failed {}", failed.words()));
            let why = [place.as_ref(), failure.as_ref()].into_iter().flatten();
            let why: String = why
                .map(|text| format!("\n               {}", style.bad(preview(text, usize::MAX))))
                .collect();
            let at = failed.as_ref().and_then(|failed| failed.state.as_deref());
            let at = states.iter().rposition(|state| Some(state.as_str()) == at);
            let states = states.iter().enumerate();
            let states: Vec<_> = states
                .map(|(index, state)| match Some(index) == at {
                    true => style.bad(format_args!("✗ {state}")),
                    false => state.clone(),
                })
                .collect();
            let states = states.join(" → ");
            format!(
                "    execution  {name}  {shown}  {states}  {}{why}",
                style.dim(seconds(*took))
            )
        }
    }
}
