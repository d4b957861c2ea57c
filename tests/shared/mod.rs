//! Shared by the test binaries: the built functions, a runtime, and faults between functions and local servers.

pub mod faulty;
pub mod proxy;

use std::sync::LazyLock;
use std::time::Duration;

use tokio::runtime::Runtime;
use workflow_bridge::tools::local::build::Binaries;

pub static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

/// The timeout for a condition; no test measures time.
pub const SOON: Duration = Duration::from_secs(60);

/// The functions built for this test run.
pub fn binaries() -> Binaries {
    let built = [
        ("webhook", env!("CARGO_BIN_EXE_webhook")),
        ("redrive", env!("CARGO_BIN_EXE_redrive")),
        ("completion", env!("CARGO_BIN_EXE_completion")),
        ("sweep", env!("CARGO_BIN_EXE_sweep")),
        ("canary", env!("CARGO_BIN_EXE_canary")),
        ("routes", env!("CARGO_BIN_EXE_routes")),
    ];
    built
        .map(|(name, path)| (name.to_owned(), path.into()))
        .into()
}
