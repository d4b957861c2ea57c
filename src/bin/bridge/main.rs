//! The command line of workflow-bridge.

mod check;
mod connection;
mod console;
mod draw;
mod explain;
mod health;
mod init;
mod listen;
mod local;
mod new;
mod place;
mod publish;
mod relay;
mod remove;
mod replay;
mod schema;
mod secret;
mod send;
mod serve;
mod sign;
mod tail;
mod trace;

use std::io::ErrorKind;
use std::process::exit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};
use tokio::signal::unix::{Signal, SignalKind, signal};
use workflow_bridge::tools::local::workspace::{REMOVED_WITHIN, await_removal};
use workflow_bridge::tools::terminal::Style;

/// Set by a command that runs until a signal, once it is up: the signal is then its regular end.
static RUNS_UNTIL_STOPPED: AtomicBool = AtomicBool::new(false);

/// Set by a command that handles the first signal by an orderly stop; a second one ends it at once.
static ENDS_IN_ORDER: AtomicBool = AtomicBool::new(false);

/// Momento topics start Step Functions workflows, and their results come back on topics.
///
/// `cargo bridge local` runs everything on this machine, without any account; the other commands then talk to it.
#[derive(Parser)]
#[command(
    name = "bridge",
    bin_name = "cargo bridge",
    version,
    max_term_width = 100,
    after_help = "Try it:\n  cargo bridge local --once            # a message goes all the way and back\n  cargo bridge local                   # keep it running, and in another terminal:\n  cargo bridge tail uppercase-out\n  cargo bridge publish uppercase-in hello\n\n`cargo bridge COMMAND --help` lists each option with its unit, default and variable, and gives examples. Exit codes: 0 for done, 1 for a failure, 2 for an invalid command line, 128 and the number for a signal. NO_COLOR switches colours off."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Local(local::Local),
    Console(console::ConsoleCommand),
    Publish(publish::Publish),
    Tail(tail::Tail),
    Explain(explain::Explain),
    Sign(sign::Sign),
    Send(send::Send),
    Replay(replay::Replay),
    Trace(trace::Trace),
    Relay(relay::RelayCommand),
    Serve(serve::Serve),
    Health(health::Health),
    Check(check::Check),
    Draw(draw::Draw),
    New(new::New),
    Remove(remove::Remove),
    Init(init::Init),
    Schema(schema::Schema),
}

fn main() {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => fail(&error.into()),
    };
    let code = runtime.block_on(async {
        tokio::select! {
            biased;
            result = run(cli) => result,
            code = interrupted() => code,
        }
    });
    // Dropping `run` cancelled its work; a thread that still waits for input must not hold up the exit.
    runtime.shutdown_background();
    if !await_removal(Duration::from_millis(200)) {
        eprintln!("removing the files of this run");
        await_removal(REMOVED_WITHIN);
    }
    match code {
        Ok(code) => exit(code),
        Err(error) => fail(&error),
    }
}

async fn run(cli: Cli) -> Result<i32> {
    match cli.command {
        Command::Local(command) => command.run().await,
        Command::Console(command) => command.run().await,
        Command::Publish(command) => command.run().await,
        Command::Tail(command) => command.run().await,
        Command::Explain(command) => command.run().await,
        Command::Sign(command) => command.run().await,
        Command::Send(command) => command.run().await,
        Command::Replay(command) => command.run().await,
        Command::Trace(command) => command.run().await,
        Command::Relay(command) => command.run().await,
        Command::Serve(command) => command.run().await,
        Command::Health(command) => command.run().await,
        Command::Check(command) => command.run().await,
        Command::Draw(command) => command.run(),
        Command::New(command) => command.run(),
        Command::Remove(command) => command.run(),
        Command::Init(command) => command.run(),
        Command::Schema(command) => command.run(),
    }
}

/// The signals that ask to stop.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Listens from now on.
    fn new() -> Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// The exit code for the next signal: 128 and its number, as in shells.
    async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => 130,
            _ = self.terminate.recv() => 143,
            _ = self.hang_up.recv() => 129,
        }
    }
}

/// The exit code for the signal that ends the command; 0 if a signal is its regular end.
async fn interrupted() -> Result<i32> {
    let mut signals = Signals::new()?;
    let mut code = signals.next().await;
    if ENDS_IN_ORDER.load(Ordering::Relaxed) {
        code = signals.next().await;
    }
    let regular = RUNS_UNTIL_STOPPED.load(Ordering::Relaxed);
    Ok(if regular { 0 } else { code })
}

/// Prints the error and exits with 1; with 0 for a closed pipe (`bridge tail … | head`).
fn fail(error: &anyhow::Error) -> ! {
    let io = error.downcast_ref::<std::io::Error>();
    if io.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe) {
        exit(0);
    }
    eprintln!("{} {error:#}", Style::for_stderr().bad("error:"));
    exit(1)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn no_options_variable_conflicts_with_another_option() {
        let mut command = Cli::command();
        command.build();
        let mut variables = 0;
        for command in command.get_subcommands() {
            for option in command.get_arguments() {
                if option.get_env().is_none() {
                    continue;
                }
                variables += 1;
                let name = format!("{} --{}", command.get_name(), option.get_id());
                let conflicts = command.get_arg_conflicts_with(option);
                assert!(conflicts.is_empty(), "{name}");
                let exclusive = command.get_groups().any(|group| {
                    let mut group = group.clone();
                    !group.is_multiple() && group.get_args().any(|id| id == option.get_id())
                });
                assert!(!exclusive, "{name}");
            }
        }
        assert!(variables > 10, "{variables}");
    }
}
