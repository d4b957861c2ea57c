//! `bridge check --local` at a running stack: refused routes, missing state machines, and open executions.

use std::process::{Command, Stdio};

use aws_sdk_ssm::types::ParameterType;
use serde_json::{Value, json};
use workflow_bridge::tools::local::workspace::Workspace;
use workflow_bridge::tools::template::add_state_machine;

use super::{Scratch, root};
use crate::deployed::RUNTIME;
use crate::messages::{deploy, invoke, quicken};

/// Exit code and output of the command, which finds the stack in a folder of its own.
async fn checked(folder: &Scratch, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bridge"));
    command
        .args(["check", "--local"])
        .args(arguments)
        .env("CARGO_TARGET_DIR", &folder.0)
        .current_dir(root())
        .stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.unwrap().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let code = output.status.code().unwrap();
    assert!(!text.is_empty(), "{errors}");
    (code, text)
}

#[test]
fn a_running_stack_is_checked() {
    let test = async {
        let faulty = deploy(|template| {
            quicken(template)?;
            let states = json!({"Waits": {"Type": "Wait", "Seconds": 3600, "End": true}});
            let definition = json!({"StartAt": "Waits", "States": states});
            add_state_machine(template, "LeftWorkflow", "STANDARD", definition)
        })
        .await;
        let stack = &faulty.stack;
        let scratch = Scratch::new("local");
        let workspace = Workspace::new(root(), &scratch.0.join("bridge")).unwrap();
        let run = workspace.run_folder().unwrap();
        run.publish_state(&stack.state(1)).unwrap();

        invoke(stack, "RoutesFunction").await;
        let (code, text) = checked(&scratch, &[]).await;
        assert_eq!(code, 0, "{text}");
        assert!(text.starts_with("✓ the local stack: nothing"), "{text}");

        let path = &stack.outputs()["RoutesPath"];
        let machine = |name: &str| {
            let left = stack.resource("LeftWorkflow").unwrap();
            let (account, _) = left.rsplit_once(':').unwrap();
            format!("{account}:{}_{name}", stack.name())
        };
        let gone = json!({
            "name": "gone", "from": {"cache": "demo", "topic": "gone-in"}, "to": {"stateMachine": machine("gone")},
        });
        let ssm = aws_sdk_ssm::Client::new(stack.account().config());
        for (name, value) in [("broken", "{".to_owned()), ("gone", gone.to_string())] {
            let call = ssm.put_parameter().name(format!("{path}{name}"));
            let call = call.value(value).r#type(ParameterType::String);
            call.send().await.unwrap();
        }
        invoke(stack, "RoutesFunction").await;
        let sfn = aws_sdk_sfn::Client::new(stack.account().config());
        let left = stack.resource("LeftWorkflow").unwrap();
        let started = sfn.start_execution().state_machine_arn(left);
        let started = started.name("left").input("{}").send().await.unwrap();

        let (code, text) = checked(&scratch, &["--json"]).await;
        let report: Value = serde_json::from_str(&text).unwrap();
        let findings = report["findings"].as_array().unwrap().iter();
        let findings: Vec<_> = findings
            .map(|one| {
                (
                    one["subject"].as_str().unwrap(),
                    one["code"].as_str().unwrap(),
                )
            })
            .collect();
        let (broken, gone) = (format!("{path}broken"), format!("{path}gone"));
        let left = format!("`{}_LeftWorkflow`", stack.name());
        assert_eq!(
            findings,
            [
                (broken.as_str(), "route-refused"),
                (gone.as_str(), "machine-missing"),
                (left.as_str(), "executions-open"),
            ],
            "{report:#}"
        );
        assert_eq!(
            (code, &report["errors"], &report["warnings"]),
            (1, &json!(2), &json!(1))
        );
        let (_, text) = checked(&scratch, &[]).await;
        println!("$ cargo bridge check --local\n{text}");
        for line in [
            "no version in use; version 1 is refused",
            "1 open execution\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
        let stop = sfn.stop_execution().execution_arn(started.execution_arn);
        stop.send().await.unwrap();
    };
    RUNTIME.block_on(test);
}
