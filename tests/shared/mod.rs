//! Shared by the test binaries: the built functions, a runtime, and faults between functions and local servers.

pub mod faulty;
pub mod proxy;

use std::sync::LazyLock;
use std::time::Duration;

use tokio::runtime::Runtime;
use workflow_bridge::local::build::Binaries;

pub static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

/// How long anything may take; no test measures time.
pub const SOON: Duration = Duration::from_secs(60);

/// The functions as they were just built.
pub fn binaries() -> Binaries {
    let built = [
        ("webhook", env!("CARGO_BIN_EXE_webhook")),
        ("redrive", env!("CARGO_BIN_EXE_redrive")),
        ("completion", env!("CARGO_BIN_EXE_completion")),
        ("sweep", env!("CARGO_BIN_EXE_sweep")),
        ("canary", env!("CARGO_BIN_EXE_canary")),
    ];
    built
        .map(|(name, path)| (name.to_owned(), path.into()))
        .into()
}
