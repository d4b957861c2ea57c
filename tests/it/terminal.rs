//! What the commands print about messages in a local stack.

use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::process::{Child, Stdio};

use anyhow::Result;
use serde_json::{Value, json};
use workflow_bridge::tools::local::flow::{Direction, Flow, Happening};
use workflow_bridge::tools::local::topics::{STABLE_API_KEY, TopicsOptions, TopicsServer};
use workflow_bridge::tools::local::workspace::State;
use workflow_bridge::tools::template::{add_routes, add_state_machine};

use crate::deployed::{RUNTIME, SOON};
use crate::messages::{deploy_with, quicken, until};
use crate::shared::desk::Desk;

const EXPRESSION: &str = "$number($states.input.message.text)";

/// Adds a workflow that fails at texts without a number.
fn with_numbers(template: &mut Value) -> Result<()> {
    quicken(template)?;
    let output = json!({"sum": format!("{{% {EXPRESSION} %}}")});
    let states = json!({
        "Begins": {"Type": "Pass", "Next": "Reads"},
        "Reads": {"Type": "Pass", "Output": output, "End": true},
    });
    let definition = json!({"QueryLanguage": "JSONata", "StartAt": "Begins", "States": states});
    add_state_machine(template, "Numbers", "STANDARD", definition)?;
    let route = json!({
        "name": "numbers", "from": {"cache": {"Ref": "CacheName"}, "topic": "numbers-in"}, "to": {"stateMachine": {"Ref": "Numbers"}},
        "reply": {"topics": ["numbers-out"], "failures": ["numbers-failed"]},
    });
    add_routes(template, &[route])
}

/// Standard output and standard error.
async fn printed(desk: &Desk, arguments: &[&str]) -> (String, String) {
    let output = desk.run(arguments).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr))
}

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

/// The next event for which `pick` has a value.
async fn happening<T>(flow: &mut Flow, pick: impl Fn(Happening) -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = pick(flow.next().await.unwrap()) {
                return found;
            }
        }
    };
    tokio::time::timeout(SOON, found).await.expect("the event")
}

#[test]
fn commands_name_the_message_its_executions_and_the_place_of_a_failure() {
    let test = async {
        let faulty = deploy_with(&["approve"], with_numbers).await;
        let stack = &faulty.stack;
        let desk = Desk::of(&State {
            console: Some("http://127.0.0.1:1/?token=t".to_owned()),
            ..stack.state(1)
        });
        let mut flow = Flow::watch(stack);

        // The id of a publication is that of the webhook; an unknown topic has none.
        let (out, err) = printed(&desk, &["publish", "uppercase-in", "hello"]).await;
        let id = out.trim();
        has(
            &err,
            &["number 1", &format!("http://127.0.0.1:1/runs/{id}?token=t")],
        );
        desk.stands(id, "published", &["answered", "ran", "ended"])
            .await;
        let (out, err) = printed(&desk, &["publish", "upercase-in", "hello"]).await;
        assert_eq!(out, "");
        has(
            &err,
            &["no route listens to this topic (did you mean `uppercase-in`?)"],
        );
        let meant = happening(&mut flow, |event| match event {
            Happening::Published {
                topic,
                meant,
                direction,
                ..
            } if topic == "upercase-in" => {
                assert_eq!(direction, Direction::Neither);
                Some(meant)
            }
            _ => None,
        });
        assert_eq!(meant.await, " (did you mean `uppercase-in`?)");

        let (out, _) = printed(&desk, &["send", "--topic", "uppercase-in", "--text", "x"]).await;
        has(
            &out,
            &[
                "webhook    uppercase-in#1  200 accepted  uppercase started",
                "execution  uppercase-uppercase-in-1-",
                "SUCCEEDED  HasText → Uppercase",
            ],
        );

        // The routes of all stacks, without a template.
        let topic = ["explain", "--topic", "approve-in", "--text", "{}"];
        let (out, _) = printed(&desk, &[&topic[..], &["--local"]].concat()).await;
        has(&out, &["routes    the local stack", "goes to approve"]);
        let (out, _) = printed(&desk, &topic).await;
        has(&out, &["no route takes it", "`--local`"]);

        // A workflow's own publication is an answer.
        printed(
            &desk,
            &["publish", "approve-in", r#"{"question": "May we?"}"#],
        )
        .await;
        let direction = happening(&mut flow, |event| match event {
            Happening::Published {
                topic, direction, ..
            } if topic == "approve-ask" => Some(direction),
            _ => None,
        });
        assert_eq!(direction.await, Direction::Out);

        // A failed expression.
        let (out, _) = printed(&desk, &["publish", "numbers-in", "seven"]).await;
        let id = out.trim();
        desk.stands(id, "published", &["answered", "ran", "ended"])
            .await;
        let text = desk.text(id).await;
        has(
            &text,
            &[
                "FAILED",
                "States.QueryEvaluationError: An error occurred while executing the state 'Reads'",
                "· Begins",
                "✗ Reads",
                &format!("failed in Reads, field Output/sum: {EXPRESSION}"),
                "✗ numbers: the workflow ended as FAILED; its failure is published to demo/numbers-failed",
            ],
        );
        assert!(!text.contains('✓'), "{text}");
        let failed = happening(&mut flow, |event| match event {
            Happening::Execution {
                failed: Some(failed),
                failure,
                ..
            } => {
                assert!(
                    failure
                        .unwrap()
                        .starts_with("States.QueryEvaluationError: ")
                );
                Some(failed)
            }
            _ => None,
        });
        let failed = failed.await;
        assert_eq!(failed.state.as_deref(), Some("Reads"));
        assert_eq!(failed.field.as_deref(), Some("Output/sum"));
        assert_eq!(failed.expression.as_deref(), Some(EXPRESSION));

        // All of them, newest first.
        until("the list has four messages", async || {
            let (out, _) = printed(&desk, &["trace", "--json"]).await;
            let list: Value = serde_json::from_str(&out).unwrap();
            list["messages"].as_array().unwrap().len() == 4
        })
        .await;
        let (out, _) = printed(&desk, &["trace"]).await;
        let lines: Vec<_> = out.lines().collect();
        has(
            lines[0],
            &[&id[..16], "demo/numbers-in#1", "numbers ✗ FAILED"],
        );
        has(lines[1], &["demo/approve-in#1", "approve … RUNNING"]);
        has(lines[3], &["demo/uppercase-in#1", "uppercase ✓ SUCCEEDED"]);
        has(lines[4], &["`cargo bridge trace ID` shows one"]);
    };
    RUNTIME.block_on(test);
}

/// A running command, with its lines.
struct Lines {
    child: Child,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Drop for Lines {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Lines {
    fn of(desk: &Desk, arguments: &[&str]) -> Self {
        let mut command = desk.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, lines) = std::sync::mpsc::channel();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let errors = sender.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        std::thread::spawn(move || {
            for line in BufReader::new(err).lines().map_while(Result::ok) {
                let _ = errors.send(line);
            }
        });
        Self { child, lines }
    }

    /// Reads until a line contains this.
    fn until(&self, part: &str) {
        loop {
            let line = self.lines.recv_timeout(SOON);
            if line
                .unwrap_or_else(|_| panic!("no line with `{part}`"))
                .contains(part)
            {
                return;
            }
        }
    }
}

#[test]
fn tail_follows_again_after_a_restart() {
    RUNTIME.block_on(async {
        let start = async |port: u16| {
            let options = TopicsOptions {
                listen: (Ipv4Addr::LOCALHOST, port).into(),
                keys: [(STABLE_API_KEY.to_owned(), None)].into(),
                ..TopicsOptions::default()
            };
            TopicsServer::start(options).await
        };
        let server = start(0).await.unwrap();
        let desk = Desk::of(&State {
            topics_endpoint: server.endpoint(),
            api_key: STABLE_API_KEY.to_owned(),
            cache: "demo".to_owned(),
            ..State::default()
        });
        let port = server.port();
        let tail = Lines::of(&desk, &["tail", "t"]);
        tail.until("following t in cache `demo`");
        server.publish("demo", "t", "before").unwrap();
        tail.until("before");
        server.shutdown().await;
        tail.until("the local stack stopped; following t again when it is back");
        let mut server = None;
        until("the port is free again", async || {
            server = start(port).await.ok();
            server.is_some()
        })
        .await;
        tail.until("the local stack is back; following t");
        let server = server.unwrap();
        server.publish("demo", "t", "after").unwrap();
        tail.until("after");
    });
}
