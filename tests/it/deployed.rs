//! The shipped template with a few more workflows and routes, deployed once.

use anyhow::Result;
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use workflow_bridge::tools::local::{Options, Stack, Workflow};
use workflow_bridge::tools::template::{add_resource, add_routes, add_state_machine};

pub use crate::shared::{RUNTIME, SOON, binaries, example};

/// One stack for all tests; each test uses topics of its own.
static STACK: OnceCell<Stack> = OnceCell::const_new();

pub async fn stack() -> &'static Stack {
    let start = || async {
        let mut options = Options::new(binaries()).expect("the clone is found");
        options.edit = Box::new(extend);
        // Tests share topics: a subscription must not start with another test's message.
        options.limits.replay = 0;
        options.with = SHIPPED.map(example).into();
        start(options)
            .await
            .unwrap_or_else(|e| panic!("the stack does not start: {e:#}"))
    };
    STACK.get_or_init(start).await
}

/// Starts the stack, and deploys the workflows with variants beside it.
async fn start(options: Options) -> Result<Stack> {
    let stack = Stack::start(options).await?;
    let variants = EXTENDED.map(async |(name, extend): (&str, Extend)| {
        let mut template = Workflow::read(&example(name))?.template;
        extend(&mut template)?;
        stack.deploy(name, &template).await
    });
    try_join_all(variants).await?;
    stack.collected().await?;
    Ok(stack)
}

/// The examples deployed as they are.
const SHIPPED: [&str; 6] = [
    "approve",
    "enrich-with-lambda",
    "express-enrich",
    "on-the-bus",
    "order",
    "translate-chat",
];

/// Adds variants to an example's template.
type Extend = fn(&mut Value) -> Result<()>;

/// The examples with variants.
const EXTENDED: [(&str, Extend); 3] = [
    ("count", crate::workflows::count::extend),
    ("enqueue", crate::workflows::enqueue::extend),
    ("store", crate::workflows::store::extend),
];

/// The physical id of a resource in the stack of the bridge or of an example; `example/id` names the example.
pub fn resource(stack: &Stack, id: &str) -> String {
    if let Some((name, id)) = id.split_once('/') {
        return stack.resource_of(name, id).unwrap();
    }
    let own = stack.deployed().resources.get(id).cloned();
    let examples = SHIPPED.into_iter().chain(EXTENDED.map(|(name, _)| name));
    let mut of_examples = examples.filter_map(|name| stack.resource_of(name, id).ok());
    own.or_else(|| of_examples.next())
        .unwrap_or_else(|| panic!("no stack has a resource `{id}`"))
}

/// Adds workflows, routes and a consumer of events to the shipped template.
fn extend(template: &mut Value) -> Result<()> {
    let reference = |name: &str| json!({"Ref": name});
    let fails =
        json!({"Fails": {"Type": "Fail", "Error": "Example.Broken", "Cause": "it was asked to"}});
    let wraps =
        json!({"Wraps": {"Type": "Pass", "Output": {"got": "{% $states.input %}"}, "End": true}});
    let tells = json!({"Tells": {
        "Type": "Task",
        "Resource": "arn:aws:states:::events:putEvents",
        "Arguments": {"Entries": [{
            "Source": "workflow-bridge",
            "DetailType": "Topic Publish",
            "Detail": {"cache": "demo", "topic": "told", "value": "{% 'halfway with ' & $states.input.message.text %}"},
        }]},
        "Output": "{% $states.input.message.text %}",
        "End": true,
    }});
    let asks = json!({"Asks": {
        "Type": "Task",
        "Resource": "arn:aws:states:::events:putEvents.waitForTaskToken",
        "Arguments": {"Entries": [{
            "Source": "workflow-bridge",
            "DetailType": "Topic Publish",
            "Detail": {"cache": "demo", "topic": "asked", "value": {"question": "{% $states.input.message.text %}", "token": "{% $states.context.Task.Token %}"}},
        }]},
        "TimeoutSeconds": 600,
        "End": true,
    }});
    for (name, states, kind) in [
        ("AsksStateMachine", asks, "STANDARD"),
        ("FailsStateMachine", fails, "STANDARD"),
        ("WrapsStateMachine", wraps, "STANDARD"),
        ("TellsStateMachine", tells.clone(), "STANDARD"),
        ("ExpressStateMachine", tells, "EXPRESS"),
    ] {
        let start = states
            .as_object()
            .and_then(|all| all.keys().next())
            .cloned();
        let definition = json!({"QueryLanguage": "JSONata", "StartAt": start, "States": states});
        add_state_machine(template, name, kind, definition)?;
    }
    add_resource(template, "EventsQueue", json!({"Type": "AWS::SQS::Queue"}))?;
    let rule = json!({
        "EventPattern": {"source": ["Momento"], "detail-type": [{"prefix": "demo#"}], "detail": {"text": [{"exists": true}]}},
        "Targets": [{"Id": "events", "Arn": {"Fn::GetAtt": ["EventsQueue", "Arn"]}}],
    });
    add_resource(
        template,
        "EventsRule",
        json!({"Type": "AWS::Events::Rule", "Properties": rule}),
    )?;
    let route = |name: &str, topic: &str, to: Value| json!({"name": name, "from": {"cache": "demo", "topic": topic}, "to": to});
    let replying = |mut route: Value, reply: Value| {
        route["reply"] = reply;
        route
    };
    let to_bus = json!({"eventBus": "default"});
    let uppercase = json!({"stateMachine": reference("UppercaseWorkflow")});
    let more = [
        route("bus", "bus-*", to_bus.clone()),
        replying(
            route(
                "fails",
                "fails-in",
                json!({"stateMachine": reference("FailsStateMachine")}),
            ),
            json!({"topics": ["fails-out"], "failures": ["fails-failed"]}),
        ),
        replying(
            route(
                "payload",
                "payload-in",
                json!({"stateMachine": reference("WrapsStateMachine"), "input": "payload"}),
            ),
            json!({"topics": ["payload-out"]}),
        ),
        replying(
            route("both-start", "both-in", uppercase.clone()),
            json!({"topics": ["both-out-{token_id}{sequence}"], "format": "envelope"}),
        ),
        route("both-bus", "both-in", to_bus),
        replying(
            route(
                "tells",
                "tells-in",
                json!({"stateMachine": reference("TellsStateMachine")}),
            ),
            json!({"topics": ["tells-out"]}),
        ),
        replying(
            route(
                "long",
                "long-in",
                json!({"stateMachine": reference("FailsStateMachine")}),
            ),
            json!({"topics": ["long-out"]}),
        ),
        replying(
            route("logged", "logged-in", uppercase.clone()),
            json!({"topics": ["logged-out"]}),
        ),
        replying(
            route(
                "asks",
                "asks-in",
                json!({"stateMachine": reference("AsksStateMachine")}),
            ),
            json!({"topics": ["asks-out"], "failures": ["asks-failed"], "from": "json.reply_to", "allow": ["asks-out-*"]}),
        ),
        route(
            "answers",
            "answers",
            json!({"resume": {"token": "json.token", "output": "json.answer", "error": "json.error"}}),
        ),
        route(
            "express",
            "express-in",
            json!({"stateMachine": reference("ExpressStateMachine")}),
        ),
        replying(
            json!({"name": "wholesale", "from": {"cache": "demo", "topic": "orders-in"}, "where": {"json": {"kind": ["order"]}}, "to": uppercase}),
            json!({"topics": ["orders-out"]}),
        ),
    ];
    add_routes(template, &more)
}
