//! `bridge trace` against a deployed stack, for each path of a message.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use anyhow::Result;
use aws_sdk_sfn::types::ExecutionStatus;
use serde_json::{Value, json};
use workflow_bridge::tools::local::workspace::{RunFolder, State, Workspace};
use workflow_bridge::tools::local::{Account, Stack};
use workflow_bridge::tools::template::{add_routes, add_state_machine};

use crate::deployed::RUNTIME;
use crate::faulty::Dependency;
use crate::messages::{
    body, deliver_end_events, deploy_with, executions, invoke, post, quicken, settle, until,
};
use crate::proxy::{Fault, Proxy, Span};

const MACHINE: &str = "UppercaseWorkflow";
const NO_ID: &str = "00000000000000000000000000000000";

/// A folder in which the command line finds this running local stack.
pub struct Desk {
    folder: PathBuf,
    _run: Option<RunFolder>,
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Desk {
    pub fn of(state: Option<&State>) -> Self {
        let folder = std::env::temp_dir().join(format!("bridge-trace-{}", Account::fresh_id()));
        let root = Workspace::find().unwrap().root().to_owned();
        let workspace = Workspace::new(&root, &folder.join("bridge")).unwrap();
        let run = state.map(|state| {
            let run = workspace.run_folder().unwrap();
            run.publish_state(state).unwrap();
            run
        });
        Self { folder, _run: run }
    }

    pub async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        tokio::task::spawn_blocking(move || command.output())
            .await
            .unwrap()
            .unwrap()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bridge"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
            command.env_remove(name);
        }
        command
            .args(arguments)
            .env("CARGO_TARGET_DIR", &self.folder)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_CONFIG_FILE", "/nonexistent")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
            .env_remove("MOMENTO_API_KEY")
            .env_remove("MOMENTO_ENDPOINT")
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(Stdio::null());
        command
    }

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
            let whats = whats(&found);
            found["routes"][0]["state"] == state
                && happened
                    .iter()
                    .all(|what| whats.iter().any(|one| one == what))
        })
        .await;
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

fn whats(message: &Value) -> Vec<String> {
    let events = message["events"].as_array().into_iter().flatten();
    let whats = events.filter_map(|event| event["what"].as_str());
    whats.map(ToOwned::to_owned).collect()
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
        let desk = Desk::of(Some(&stack.state(1)));
        let step_functions = faulty.proxy(Dependency::StepFunctions);

        // The direct path, found by each kind of name.
        let (id, _) = send(stack, "uppercase-in", 1, "sesame").await;
        let found = desk
            .stands(&id, "published", &["answered", "ran", "ended"])
            .await;
        let name = found["events"].as_array().unwrap().iter();
        let name = name
            .filter_map(|event| event["name"].as_str())
            .next()
            .unwrap()
            .to_owned();
        assert_eq!(found["message"]["id"], json!(id));
        assert_eq!(found["message"]["token_id"], "mo");
        let arn = executions(stack, MACHINE).await[0].arn.clone();
        for asked in [&id[..16], "demo/uppercase-in/1", &name, &arn] {
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
        desk.text(&id).await;

        // Refused: a dead letter, then replayed.
        let body = json!({"__type": "StateMachineDoesNotExist", "message": "State Machine Does Not Exist"});
        let refusal = Fault::Refusal {
            status: 400,
            body: body.to_string(),
        };
        step_functions.fault_of("StartExecution", refusal, Span::Until);
        let (id, outcome) = send(stack, "uppercase-in", 3, "a").await;
        assert_eq!(outcome, "dead_lettered");
        faulty.heal().unwrap();
        desk.stands(&id, "dead", &["answered", "dead_lettered"])
            .await;
        let text = desk.text(&id).await;
        let hint =
            format!("replay with `cargo bridge replay --dead-letters --id {id} --route uppercase`");
        assert!(text.contains(&hint), "{text}");
        let replay = desk
            .run(&[
                "replay",
                "--dead-letters",
                "--id",
                &id,
                "--route",
                "uppercase",
            ])
            .await;
        assert_eq!(replay.status.code(), Some(0), "{replay:?}");
        desk.stands(
            &id,
            "published",
            &["answered", "replayed", "redriven", "ran", "ended"],
        )
        .await;
        desk.text(&id).await;

        // No matching route.
        let (id, _) = send(stack, "nowhere", 1, "a").await;
        let found = desk.stands(&id, "dead", &["answered"]).await;
        assert_eq!(found["routes"][0]["reason"], "unrouted");
        desk.text(&id).await;

        // A route without a reply, and one without a workflow. (The emulator has a history of EXPRESS workflows.)
        let (id, _) = send(stack, "enrich-in", 1, "{}").await;
        desk.stands(&id, "silent", &["answered", "ran"]).await;
        desk.text(&id).await;
        let (id, _) = send(stack, "on-the-bus-in", 1, "{}").await;
        desk.stands(&id, "on_the_bus", &["answered"]).await;
        desk.text(&id).await;

        // A result over Momento's limit.
        let (id, _) = send(stack, "echo-in", 1, &"x".repeat(5_000)).await;
        let found = desk
            .stands(&id, "published", &["answered", "ran", "ended"])
            .await;
        assert_eq!(found["routes"][0]["claims"], 1, "{found:#}");
        desk.text(&id).await;

        // An end without an event.
        invoke(stack, "SweepFunction").await;
        deliver_end_events(stack, false).await;
        let (id, _) = send(stack, "uppercase-in", 4, "a").await;
        until("four ends", async || {
            let all = executions(stack, MACHINE).await;
            all.iter()
                .filter(|one| one.status == ExecutionStatus::Succeeded)
                .count()
                == 4
        })
        .await;
        desk.stands(&id, "unpublished", &["answered", "ran"]).await;
        desk.text(&id).await;
        invoke(stack, "SweepFunction").await;
        settle(stack, &[MACHINE]).await;
        desk.stands(&id, "published", &["answered", "ran", "found", "ended"])
            .await;
        desk.text(&id).await;

        // Two messages with the same number.
        let (other, _) = send(stack, "uppercase-in", 4, "b").await;
        until("two messages", async || {
            let report = desk.json("demo/uppercase-in/4").await;
            let ids: Vec<_> = report["messages"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|m| m["message"]["id"].clone())
                .collect();
            ids == [json!(other), json!(id)]
        })
        .await;
        let text = desk.text("demo/uppercase-in/4").await;
        assert!(text.starts_with("2 messages have this number"), "{text}");

        // One source refuses queries.
        let proxy = Proxy::start(stack.account().endpoint()).await.unwrap();
        let body = json!({"__type": "AccessDeniedException", "message": "not authorized to perform: logs:FilterLogEvents"});
        let refusal = Fault::Refusal {
            status: 400,
            body: body.to_string(),
        };
        proxy.fault_of("FilterLogEvents", refusal, Span::Until);
        let denied = Desk::of(Some(&State {
            aws_endpoint: proxy.endpoint(),
            ..stack.state(1)
        }));
        let text = denied.text(&name).await;
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

#[test]
fn mistakes_name_their_remedy() {
    let test = async {
        let desk = Desk::of(None);
        for (arguments, part) in [
            (
                vec!["trace", ""],
                "expected a message id (16 to 32 hex digits)",
            ),
            (vec!["trace", "demo/in"], "such as `demo/uppercase-in/42`"),
            (
                vec!["check", "--local"],
                "`--local` asks for the local stack",
            ),
            (vec!["trace", NO_ID], "start it with `cargo bridge local`"),
            (vec!["trace", NO_ID, "--stack", "s"], "AWS_REGION"),
        ] {
            let output = desk.run(&arguments).await;
            let text = String::from_utf8_lossy(&output.stderr);
            println!("$ cargo bridge {}\n{text}", arguments.join(" "));
            assert!(
                output.status.code() == Some(1) && text.contains(part),
                "{arguments:?}: {text}"
            );
        }
    };
    RUNTIME.block_on(test);
}
