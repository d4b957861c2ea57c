//! The output of a running `bridge local`.

use std::io::Write;
use std::time::Instant;

use anyhow::Result;
use workflow_bridge::domain::inbound::routes::Target;
use workflow_bridge::tools::console::Console;
use workflow_bridge::tools::console::sample::sample;
use workflow_bridge::tools::local::flow::{Caller, Direction, Flow, Happening};
use workflow_bridge::tools::local::live::{Edited, Edits, Outcome};
use workflow_bridge::tools::local::{Port, Stack};
use workflow_bridge::tools::terminal::{Style, preview, seconds};

/// Width of the shown beginning of a message.
pub const PREVIEW: usize = 60;

/// Prints the addresses and routes of a ready stack, and commands to begin with.
pub fn introduce(
    stack: &Stack,
    console: &Console,
    wanted: [Port; 2],
    began: Instant,
) -> Result<()> {
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
    // The routes of `--with` come last.
    let Some(route) = routes.iter().filter(|route| route.enabled).last() else {
        return Ok(());
    };
    let (topic, text) = sample(route);
    let text = match text.contains('"') {
        true => format!("'{text}'"),
        false => text,
    };
    let reply = route.reply.as_ref();
    let reply = reply.and_then(|reply| reply.topics.first());
    let reply = reply.map(ToString::to_string);
    let reply = reply.filter(|reply| !reply.contains('{'));
    let mut commands = Vec::from_iter(reply.map(|reply| format!("cargo bridge tail {reply}")));
    commands.extend([
        format!("cargo bridge publish {topic} {text}"),
        format!("cargo bridge send --topic {topic} --text {text}"),
        format!(
            "curl -H 'Authorization: {}' -d {text} {}",
            state.api_key,
            stack.topics().topic_url(&state.cache, &topic)
        ),
    ]);
    writeln!(out, "\nin another terminal:")?;
    for command in commands {
        writeln!(out, "  {}", style.bold(command))?;
    }
    writeln!(out)?;
    Ok(())
}

/// Prints events until the stack stops.
pub async fn show(mut flow: Flow, mut edits: Edits) -> Result<i32> {
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
        Outcome::Failed(why) => (style.bad("✗"), format!("not live: {why}")),
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
