//! The changes to the shipped template, and messages for its routes.

use anyhow::Result;
use serde_json::{Value, json};
use workflow_bridge::clock::now_ms;
use workflow_bridge::tools::template::{add_resource, add_routes};

use crate::scene::Scene;

/// Faults last for seconds here, so waits and invocations are short, too.
pub const VARIABLES: [(&str, &str); 3] = [
    ("RETRY_AFTER_SECONDS", "1"),
    ("RETRY_AT_MOST_SECONDS", "1"),
    ("MAX_RECEIVES", "2"),
];
const TIMEOUT_SECONDS: u64 = 8;
/// The end of the name of the parameter with a collected route.
pub const COLLECTED: &str = "collected";

/// Changes the template for a scene: adds a route to a workflow, one to the event bus, and a rule that passes the bus's events to a queue.
pub fn edit(template: &mut Value, scene: Scene) -> Result<()> {
    for (function, queue) in [
        ("RedriveFunction", "ParkedQueue"),
        ("CompletionFunction", "CompletionsQueue"),
    ] {
        let resources = &mut template["Resources"];
        resources[function]["Properties"]["Timeout"] = json!(TIMEOUT_SECONDS);
        resources[queue]["Properties"]["VisibilityTimeout"] = json!(TIMEOUT_SECONDS + 1);
    }
    let routes = &mut template["Resources"]["RoutesFunction"]["Properties"];
    routes["Timeout"] = json!(TIMEOUT_SECONDS);
    if scene == Scene::Change {
        // The shortest of EventBridge.
        routes["Events"]["Schedule"]["Properties"]["Schedule"] = json!("rate(1 minute)");
    }
    if scene == Scene::OldRoutes {
        let webhook = &mut template["Resources"]["WebhookFunction"]["Properties"];
        webhook["Environment"]["Variables"]["ROUTES_TTL_SECONDS"] = json!("1");
    }
    // The sweep has a test of its own.
    template["Parameters"]["SweepMinutes"]["Default"] = json!(720);
    add_resource(template, "EventsQueue", json!({"Type": "AWS::SQS::Queue"}))?;
    let rule = json!({
        "EventPattern": {"source": ["Momento"]},
        "Targets": [{"Id": "events", "Arn": {"Fn::GetAtt": ["EventsQueue", "Arn"]}}],
    });
    let rule = json!({"Type": "AWS::Events::Rule", "Properties": rule});
    add_resource(template, "EventsRule", rule)?;
    let collected = json!({
        "name": "collected", "from": {"cache": "demo", "topic": "c-*"},
        "to": {"stateMachine": {"Ref": "UppercaseWorkflow"}},
        "reply": {"topics": ["out-{topic}"]},
    });
    let name =
        json!({"Fn::Sub": format!("/workflow-bridge/${{AWS::StackName}}/routes/{COLLECTED}")});
    let properties =
        json!({"Name": name, "Type": "String", "Value": {"Fn::ToJsonString": collected}});
    // Without the rule there is no event of its creation, and the schedule would collect it minutes later.
    let parameter = json!({
        "Type": "AWS::SSM::Parameter", "DependsOn": "RoutesFunctionChange", "Properties": properties,
    });
    add_resource(template, "CollectedRoute", parameter)?;
    let routes = [
        json!({
            "name": "matrix", "from": {"cache": "demo", "topic": "m-*"},
            "to": {"stateMachine": {"Ref": "UppercaseWorkflow"}},
            "reply": {"topics": ["out-{topic}"]},
        }),
        json!({"name": "bus", "from": {"cache": "demo", "topic": "e-*"}, "to": {"eventBus": "default"}}),
    ];
    add_routes(template, &routes)
}

/// A message on a topic of its own.
pub fn message(topic: &str) -> String {
    let now = now_ms();
    json!({
        "cache": "demo", "topic": topic, "event_timestamp": now, "publish_timestamp": now,
        "topic_sequence_number": 1, "token_id": "mo", "text": "hello",
    })
    .to_string()
}
