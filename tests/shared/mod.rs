//! Shared by the test binaries: the built functions, a runtime, and faults between functions and local servers.

pub mod desk;
pub mod faulty;
pub mod proxy;

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use tokio::runtime::Runtime;
use workflow_bridge::tools::local::Stack;
use workflow_bridge::tools::local::build::Binaries;
use workflow_bridge::tools::local::workspace::Workspace;

pub static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

/// The timeout for a condition; no test measures time.
pub const SOON: Duration = Duration::from_secs(60);

/// The directory of an example.
pub fn example(name: &str) -> PathBuf {
    let workspace = Workspace::find().expect("the clone is found");
    workspace.root().join("examples").join(name)
}

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

/// The answer to an invocation of a function of the template, with an empty event.
pub async fn invocation(stack: &Stack, function: &str) -> reqwest::Result<reqwest::Response> {
    let name = stack.resource(function).expect("the template has it");
    invocation_of(stack, name).await
}

/// The answer to an invocation of a function by its name, with an empty event.
pub async fn invocation_of(stack: &Stack, name: &str) -> reqwest::Result<reqwest::Response> {
    let account = stack.account();
    let url = format!(
        "{}/2015-03-31/functions/{name}/invocations",
        account.endpoint()
    );
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=0",
        account.id()
    );
    let request = reqwest::Client::new()
        .post(url)
        .header("authorization", authorization);
    request.body("{}").send().await
}
