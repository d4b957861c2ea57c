//! The shipped template without a webhook subscription, for relays; its Topics server has a short history.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::OnceCell;
use workflow_bridge::tools::local::topics::Limits;
use workflow_bridge::tools::local::{Delivery, Options, Stack};
use workflow_bridge::tools::template::{add_resource, add_routes};

use super::process::RelayCommand;
use crate::deployed::{SOON, binaries, stack};
use crate::messages::{deliver_end_events, until};

/// Messages of each topic in the server's history.
pub const REMEMBERED: usize = 40;
/// The state machine of all routes.
pub const MACHINE: &str = "UppercaseWorkflow";

static STACK: OnceCell<Stack> = OnceCell::const_new();

/// One stack for all tests; each test uses topics of its own, each with a route of the same name.
pub async fn relayed() -> &'static Stack {
    STACK.get_or_init(deploy).await
}

async fn deploy() -> Stack {
    let mut options = Options::new(binaries()).unwrap();
    options.delivery = Delivery::Nothing;
    options.limits = Limits {
        history: REMEMBERED,
        ..Limits::default()
    };
    options.edit = Box::new(|template| {
        add_resource(template, "GapQueue", json!({"Type": "AWS::SQS::Queue"}))?;
        let rule = json!({
            "EventPattern": {"source": ["workflow-bridge"], "detail-type": ["Sequence Gap"]},
            "Targets": [{"Id": "gaps", "Arn": {"Fn::GetAtt": ["GapQueue", "Arn"]}}],
        });
        let rule = json!({"Type": "AWS::Events::Rule", "Properties": rule});
        add_resource(template, "GapRule", rule)?;
        let names = [
            "killed-0", "killed-1", "killed-2", "killed-3", "paired", "moved",
        ];
        let routes = names.map(|name| {
            json!({"name": name, "from": {"cache": "demo", "topic": name}, "to": {"stateMachine": {"Ref": MACHINE}}})
        });
        add_routes(template, &routes)
    });
    let emulator = Arc::clone(stack().await.emulator());
    let stack = Stack::start_in(emulator, options).await.unwrap();
    // These workflows publish no results: the events of their ends would only cost time.
    deliver_end_events(&stack, false).await;
    let http = reqwest::Client::new();
    until("a webhook that answers", async || {
        let unsigned = http.post(stack.webhook_url()).body("{}");
        let answer = unsigned.timeout(SOON).send().await;
        answer.is_ok_and(|answer| answer.status() == 401)
    })
    .await;
    stack
}

/// A relay with a container's variables; without topics and without a place for cursors.
pub fn command(stack: &Stack) -> RelayCommand {
    let state = stack.state(0);
    RelayCommand::new()
        .option("--secret-env", "SIGNING_SECRET")
        .option("--health", "127.0.0.1:0")
        .variable("WEBHOOK_URL", stack.webhook_url())
        .variable("SIGNING_SECRET", stack.signing_secret())
        .variable("MOMENTO_ENDPOINT", &state.topics_endpoint)
        .variable("MOMENTO_API_KEY", &state.api_key)
        .variable("AWS_ENDPOINT_URL", &state.aws_endpoint)
        .variable("AWS_ACCESS_KEY_ID", &state.account)
        .variable("AWS_SECRET_ACCESS_KEY", "test")
        .variable("AWS_REGION", "us-east-1")
}
