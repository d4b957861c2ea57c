//! `bridge trace` against a deployed stack, for each path of a message.

use anyhow::Result;
use serde_json::{Value, json};
use workflow_bridge::tools::local::Stack;
use workflow_bridge::tools::local::workspace::State;
use workflow_bridge::tools::template::{add_routes, add_state_machine};

use crate::deployed::RUNTIME;
use crate::faulty::Dependency;
use crate::messages::{
    body, deliver_end_events, deploy_with, executions, invoke, post, quicken, settle, until,
};
use crate::proxy::{Fault, Proxy, Span};
use crate::shared::desk::Desk;

const MACHINE: &str = "UppercaseWorkflow";
const NO_ID: &str = "00000000000000000000000000000000";

impl Desk {
    pub async fn json(&self, message: &str) -> Value {
        let output = self.run(&["trace", "--json", message]).await;
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// Waits until the first message has this state and these events; returns it.
    pub async fn stands(&self, message: &str, state: &str, happened: &[&str]) -> Value {
        let mut found = Value::Null;
        until(&format!("`{state}` after {happened:?}"), async || {
            let report = self.json(message).await;
            assert_eq!(report["unanswered"], json!([]), "{report:#}");
            found = report["messages"][0].clone();
            let events = found["events"].as_array().into_iter().flatten();
            let whats: Vec<_> = events.map(|event| &event["what"]).collect();
            found["routes"][0]["state"] == state
                && happened.iter().all(|what| whats.contains(&&json!(what)))
        })
        .await;
        self.text(message).await;
        found
    }

    /// The text output; printed with `--nocapture`.
    pub async fn text(&self, message: &str) -> String {
        let output = self.run(&["trace", message]).await;
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        println!("$ cargo bridge trace {message}\n{text}");
        text
    }
}

fn with_echo(template: &mut Value) -> Result<()> {
    quicken(template)?;
    let definition = json!({
        "QueryLanguage": "JSONata",
        "StartAt": "Echoes",
        "States": {"Echoes": {"Type": "Pass", "Output": "{% $states.input.message.text %}", "End": true}},
    });
    add_state_machine(template, "EchoStateMachine", "STANDARD", definition)?;
    let route = json!({
        "name": "echo",
        "from": {"cache": "demo", "topic": "echo-in"},
        "to": {"stateMachine": {"Ref": "EchoStateMachine"}},
        "reply": {"topics": ["echo-out"]},
    });
    add_routes(template, &[route])
}

fn refusal(code: &str, message: &str) -> Fault {
    let body = json!({"__type": code, "message": message}).to_string();
    Fault::Refusal { status: 400, body }
}

/// Posts a message; returns its ID and its outcome on the route.
async fn send(stack: &Stack, topic: &str, number: u64, text: &str) -> (String, String) {
    let (status, answer) = post(stack, &body(topic, number, text)).await;
    assert_eq!(status, 200, "{answer}");
    let outcome = answer["targets"][0]["outcome"].as_str().unwrap_or_default();
    (
        answer["id"].as_str().unwrap().to_owned(),
        outcome.to_owned(),
    )
}

#[test]
fn the_path_of_each_message_is_shown() {
    let test = async {
        let examples = ["express-enrich", "on-the-bus"];
        let faulty = deploy_with(&examples, with_echo).await;
        let stack = &faulty.stack;
        let desk = Desk::of(&stack.state(1));
        let step_functions = faulty.proxy(Dependency::StepFunctions);

        // The direct path, found by each kind of name.
        let (id, _) = send(stack, "uppercase-in", 1, "sesame").await;
        let found = desk
            .stands(&id, "published", &["answered", "ran", "ended"])
            .await;
        let mut events = found["events"].as_array().unwrap().iter();
        let name = events.find_map(|event| event["name"].as_str()).unwrap();
        assert_eq!(found["message"]["id"], json!(id));
        assert_eq!(found["message"]["token_id"], "mo");
        let arn = executions(stack, MACHINE).await[0].arn.clone();
        for asked in [&id[..16], "demo/uppercase-in/1", name, &arn] {
            let text = desk.text(asked).await;
            for part in [
                id.as_str(),
                "demo/uppercase-in number 1",
                "200 accepted",
                "uppercase started",
                "SUCCEEDED",
                "· Uppercase",
                "✓ uppercase: published to demo/uppercase-out",
            ] {
                assert!(text.contains(part), "{part}: {text}");
            }
            assert!(!text.to_lowercase().contains("sesame"), "{text}");
        }
        let with = desk.run(&["trace", "--payloads", &id]).await;
        assert!(String::from_utf8_lossy(&with.stdout).contains("SESAME"));

        // Parked, and redriven.
        step_functions.fault_of("StartExecution", Fault::Status(503), Span::Until);
        let (id, outcome) = send(stack, "uppercase-in", 2, "a").await;
        assert_eq!(outcome, "parked");
        desk.stands(&id, "waits", &["answered", "waits"]).await;
        let text = desk.text(&id).await;
        assert!(
            text.contains("… uppercase: waits in the parking queue since"),
            "{text}"
        );
        faulty.heal().unwrap();
        desk.stands(
            &id,
            "published",
            &["answered", "waits", "redriven", "ran", "ended"],
        )
        .await;

        // Refused: a dead letter, then replayed.
        let refused = refusal("StateMachineDoesNotExist", "State Machine Does Not Exist");
        step_functions.fault_of("StartExecution", refused, Span::Until);
        let (id, outcome) = send(stack, "uppercase-in", 3, "a").await;
        assert_eq!(outcome, "dead_lettered");
        faulty.heal().unwrap();
        desk.stands(&id, "dead", &["answered", "dead_lettered"])
            .await;
        let text = desk.text(&id).await;
        let hint =
            format!("replay with `cargo bridge replay --dead-letters --id {id} --route uppercase`");
        assert!(text.contains(&hint), "{text}");
        let replay = format!("replay --dead-letters --id {id} --route uppercase");
        let replay: Vec<_> = replay.split(' ').collect();
        let replay = desk.run(&replay).await;
        assert_eq!(replay.status.code(), Some(0), "{replay:?}");
        desk.stands(
            &id,
            "published",
            &["answered", "replayed", "redriven", "ran", "ended"],
        )
        .await;

        // No matching route.
        let (id, _) = send(stack, "nowhere", 1, "a").await;
        let found = desk.stands(&id, "dead", &["answered"]).await;
        assert_eq!(found["routes"][0]["reason"], "unrouted");

        // A route without a reply, and one without a workflow. (The emulator has a history of EXPRESS workflows.)
        let (id, _) = send(stack, "enrich-in", 1, "{}").await;
        desk.stands(&id, "silent", &["answered", "ran"]).await;
        let (id, _) = send(stack, "on-the-bus-in", 1, "{}").await;
        desk.stands(&id, "on_the_bus", &["answered"]).await;

        // A result over Momento's limit.
        let (id, _) = send(stack, "echo-in", 1, &"x".repeat(5_000)).await;
        let found = desk
            .stands(&id, "published", &["answered", "ran", "ended"])
            .await;
        assert_eq!(found["routes"][0]["claims"], 1, "{found:#}");

        // An end without an event.
        invoke(stack, "SweepFunction").await;
        deliver_end_events(stack, false).await;
        let (id, _) = send(stack, "uppercase-in", 4, "a").await;
        desk.stands(&id, "unpublished", &["answered", "ran"]).await;
        invoke(stack, "SweepFunction").await;
        settle(stack, &[MACHINE]).await;
        desk.stands(&id, "published", &["answered", "ran", "found", "ended"])
            .await;

        // Two messages with the same number.
        let (other, _) = send(stack, "uppercase-in", 4, "b").await;
        until("two messages", async || {
            let report = desk.json("demo/uppercase-in/4").await;
            let messages = &report["messages"];
            (&messages[0]["message"]["id"], &messages[1]["message"]["id"])
                == (&json!(other), &json!(id))
        })
        .await;
        let text = desk.text("demo/uppercase-in/4").await;
        assert!(text.starts_with("2 messages found"), "{text}");

        // One source refuses queries.
        let proxy = Proxy::start(stack.account().endpoint()).await.unwrap();
        let why = "not authorized to perform: logs:FilterLogEvents";
        let refused = refusal("AccessDeniedException", why);
        proxy.fault_of("FilterLogEvents", refused, Span::Until);
        let denied = Desk::of(&State {
            aws_endpoint: proxy.endpoint(),
            ..stack.state(1)
        });
        let text = denied.text(name).await;
        for part in [
            "SUCCEEDED",
            "✓ uppercase: published",
            "could not query the log of the completion, the log of the redrive, the log of the sweep, the log of the webhook: AccessDeniedException: not authorized to perform: logs:FilterLogEvents (HTTP 400, request 00000000-0000-4000-8000-000000000000)",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let output = denied.run(&["trace", NO_ID]).await;
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.code() == Some(1) && text.contains("not every source could be queried"),
            "{text}"
        );

        // An unknown ID.
        let output = desk.run(&["trace", NO_ID]).await;
        let text = String::from_utf8_lossy(&output.stdout);
        println!("{text}");
        assert!(
            output.status.code() == Some(1) && text.contains("no trace found"),
            "{text}"
        );
    };
    RUNTIME.block_on(test);
}
