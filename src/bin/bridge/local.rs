//! `bridge local`: the whole system on this machine.

mod demo;
mod keys;
mod shown;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use momento::CredentialProvider;
use serde_json::Value;
use workflow_bridge::clock::now_ms;
use workflow_bridge::tools::check::{Severity, check};
use workflow_bridge::tools::console::Console;
use workflow_bridge::tools::local::build;
use workflow_bridge::tools::local::code::{self, Code};
use workflow_bridge::tools::local::flow::Flow;
use workflow_bridge::tools::local::live::{self, Edits, Watched};
use workflow_bridge::tools::local::topics::MAX_NAME_BYTES;
use workflow_bridge::tools::local::{
    Account, Delivery, Emulator, Options, Port, Stack, Workflow, is_free,
};
use workflow_bridge::tools::template;
use workflow_bridge::tools::terminal::{Progress, Style};

pub use shown::line;
use shown::{PREVIEW, introduce, show};

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

/// Prints the findings of `bridge check`. Most show on AWS only, and do not stop the start.
///
/// # Errors
///
/// When a definition has errors: the emulator would run some that Step Functions refuses, and an edit with one is refused, too.
fn check_all(templates: &[PathBuf]) -> Result<()> {
    let style = Style::for_stderr();
    let reports = templates.iter().map(|template| check(template));
    let reports: Vec<_> = reports
        .filter(|report| !report.findings.is_empty())
        .collect();
    if !reports.is_empty() {
        let title = "Findings of `cargo bridge check`; most would show on AWS only:";
        eprintln!("{}", style.bold(title));
    }
    for report in &reports {
        eprintln!("{}", report.shown(style));
    }
    let findings = reports.iter().flat_map(|report| &report.findings);
    let errors = findings
        .filter(|one| one.severity == Severity::Error && one.code.is_of_definition())
        .count();
    if errors > 0 {
        bail!(
            "expected definitions that Step Functions accepts, found {errors} {} in them, above: mend them, and start again",
            if errors == 1 { "error" } else { "errors" }
        );
    }
    Ok(())
}

/// The bridge's binaries in a template. Refuses mistakes that prevent a deployment.
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
        check_all(&templates)?;
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
