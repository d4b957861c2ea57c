//! `bridge replay` against queues in the emulator.

mod setup;

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Output};

use aws_sdk_sqs::Client;
use serde_json::{Value, json};

use self::setup::Setup;
use crate::deployed::RUNTIME;
use crate::messages::until;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn ended(output: &Output, code: i32) -> String {
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}\n{err}");
    out
}

fn lines(out: &str) -> Vec<Value> {
    out.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn letter(id: &str, route: Option<&str>, reason: &str, content: (&str, Value)) -> String {
    let mut letter = json!({
        "id": id, "route": route, "reason": reason, "detail": "because of that", "attempts": 3,
        "first_at": 1_769_850_000_000_u64, "last_at": 1_769_850_000_000_u64, "bridge": "0.1.0",
    });
    letter[content.0] = content.1;
    letter.to_string()
}

fn message(id: &str, route: Option<&str>, reason: &str) -> String {
    let message = json!({
        "cache": "demo", "topic": "in", "topic_sequence_number": 7, "event_timestamp": 1,
        "publish_timestamp": 1, "text": "a payload",
    });
    letter(id, route, reason, ("message", message))
}

#[test]
fn messages_return_unchanged_to_the_parking_queue() {
    RUNTIME.block_on(async {
        let setup = Setup::new().await;
        let upper: Vec<_> = (0..12)
            .map(|n| message(&format!("m{n:02}"), Some("upper"), "gave_up"))
            .collect();
        let unrouted = message("u", None, "unrouted");
        let other = message("o", Some("other"), "refused");
        for body in upper.iter().chain([&unrouted, &other]) {
            setup.send("DeadLetterQueue", body).await;
        }
        setup
            .send("DeadLetterQueue", "a payload that is no letter")
            .await;

        // A dry run lists and changes nothing.
        let arguments = "--dead-letters --dry-run --reason refused --reason unrouted";
        let arguments: Vec<_> = arguments.split(' ').collect();
        let out = ended(&setup.replay(&arguments).await, 0);
        assert!(
            out.contains(
                "would replay 2 of 15 dead letters of messages (12 do not match, 1 no letter)"
            ),
            "{out}"
        );
        for part in [
            "2026-01-31T09:00:00Z",
            "other",
            "refused",
            "unrouted",
            "demo/in#7",
            "because of that",
            "no letter",
        ] {
            assert!(out.contains(part), "{part}: {out}");
        }
        assert!(!out.contains("a payload") && !out.contains("m00"), "{out}");

        // Only matching letters return.
        let arguments = ["--dead-letters", "--route", "upper", "--json"];
        let out = ended(&setup.replay(&arguments).await, 0);
        let printed = lines(&out);
        let replayed = || printed.iter().filter(|line| line["outcome"] == "replayed");
        assert_eq!(replayed().count(), 12, "{out}");
        assert!(replayed().all(|line| line["subject"] == "demo/in#7" && line["route"] == "upper"));
        let counts = ["found", "replayed", "not_matching"].map(|name| &printed[13][name]);
        assert_eq!(counts, [15, 12, 2], "{out}");
        assert_eq!(setup.bodies("ParkedQueue").await, upper);

        // The other letters are visible at once, so the next replay finds them.
        let out = ended(&setup.replay(&["--dead-letters"]).await, 0);
        assert!(
            out.contains("replayed 2 of 3 dead letters of messages (1 no letter)"),
            "{out}"
        );
        assert_eq!(setup.bodies("ParkedQueue").await, [other, unrouted]);
        assert_eq!(
            setup.bodies("DeadLetterQueue").await,
            ["a payload that is no letter"]
        );
        assert!(setup.bodies("CompletionsQueue").await.is_empty());
    });
}

#[test]
fn events_of_results_return_to_the_completions_queue() {
    RUNTIME.block_on(async {
        let setup = Setup::new().await;
        let event = json!({"id": "e", "detail": {"executionArn": "arn:aws:states:us-east-1:1:execution:Upper:name"}});
        for body in [
            letter("e", Some("upper"), "refused", ("event", event.clone())),
            letter("x", None, "unreadable", ("event", json!("no JSON"))),
            r#"{"raw": 1.10}"#.to_owned(),
        ] {
            setup.send("CompletionsDeadLetterQueue", &body).await;
        }
        let out = ended(&setup.replay(&["--results", "--dry-run", "--limit", "9"]).await, 0);
        assert!(out.contains("Upper:name") && out.contains("would replay 3 of 3"), "{out}");
        let both = ["--results", "--dead-letters", "--limit", "9"];
        let out = ended(&setup.replay(&both).await, 0);
        assert!(out.contains("found no dead letters of messages"), "{out}");
        assert!(out.contains("replayed 3 of 3 dead letters of results"), "{out}");
        let expected = [event.to_string(), r#"{"raw": 1.10}"#.to_owned(), "no JSON".to_owned()];
        let mut found = setup.bodies("CompletionsQueue").await;
        found.sort_by_key(|body| expected.iter().position(|wanted| wanted == body));
        assert_eq!(found, expected);
        assert!(setup.bodies("CompletionsDeadLetterQueue").await.is_empty());
    });
}

#[test]
fn a_missing_target_queue_loses_no_letter() {
    RUNTIME.block_on(async {
        let setup = Setup::new().await;
        setup
            .send("DeadLetterQueue", &message("a", Some("upper"), "refused"))
            .await;
        let delete = Client::new(setup.account.config()).delete_queue();
        let delete = delete.queue_url(setup.url("ParkedQueue"));
        delete.send().await.unwrap();
        let out = ended(&setup.replay(&["--dead-letters"]).await, 1);
        assert!(
            out.contains("not sent: ") && out.contains("1 could not be put back"),
            "{out}"
        );
        assert_eq!(setup.bodies("DeadLetterQueue").await.len(), 1);
    });
}

#[test]
fn a_signal_stops_it_and_releases_the_letters() {
    RUNTIME.block_on(async {
        let setup = Setup::new().await;
        for id in ["a", "b"] {
            setup
                .send("DeadLetterQueue", &message(id, Some("upper"), "refused"))
                .await;
        }
        let mut command = setup.command(&["--dead-letters", "--dry-run", "--json"]);
        let run = move || {
            let mut child = command.spawn().unwrap();
            let mut stdout = BufReader::new(child.stdout.take().unwrap());
            let mut out = String::new();
            // By now it holds the letters and looks for more.
            stdout.read_line(&mut out).unwrap();
            let pid = child.id().to_string();
            let killed = Command::new("kill").args(["-TERM", &pid]).status();
            assert!(killed.unwrap().success());
            stdout.read_to_string(&mut out).unwrap();
            (child.wait().unwrap().code(), out)
        };
        let (code, out) = tokio::task::spawn_blocking(run).await.unwrap();
        assert_eq!(code, Some(143), "{out}");
        let printed = lines(&out);
        assert_eq!(
            (printed.len(), &printed[2]["stopped"], &printed[2]["found"]),
            (3, &json!(true), &json!(2)),
            "{out}"
        );
        assert_eq!(setup.bodies("DeadLetterQueue").await.len(), 2);
    });
}

#[test]
fn a_closed_output_stops_it_without_an_error() {
    RUNTIME.block_on(async {
        let setup = Setup::new().await;
        for n in 0..25 {
            let body = message(&format!("m{n}"), Some("upper"), "refused");
            setup.send("DeadLetterQueue", &body).await;
        }
        let mut command = setup.command(&["--dead-letters", "--dry-run", "--json"]);
        let run = move || {
            let mut child = command.spawn().unwrap();
            drop(child.stdout.take());
            child.wait_with_output().unwrap()
        };
        let output = tokio::task::spawn_blocking(run).await.unwrap();
        assert_eq!(
            (ended(&output, 0), text(&output.stderr)),
            (String::new(), String::new())
        );
        assert_eq!(setup.bodies("DeadLetterQueue").await.len(), 25);
    });
}

#[test]
fn a_stack_on_aws_is_found_by_its_name() {
    RUNTIME.block_on(async {
        let setup = Setup::new().await;
        let urls = setup.urls.iter();
        let outputs: Value = urls
            .map(|(name, url)| (name.clone(), json!({"Value": url})))
            .collect();
        let template = json!({
            "Resources": {"Another": {"Type": "AWS::SQS::Queue"}},
            "Outputs": outputs,
        });
        let client = aws_sdk_cloudformation::Client::new(setup.account.config());
        let create = client.create_stack().stack_name("mine");
        let create = create.template_body(template.to_string());
        create.send().await.unwrap();
        setup
            .send("DeadLetterQueue", &message("a", Some("upper"), "refused"))
            .await;

        let on_aws = |name: &str, variables: &[(&str, &str)]| {
            let mut command = setup.command(&["--dead-letters", "--stack-name", name]);
            command.env("AWS_ENDPOINT_URL", setup.account.endpoint());
            command.envs(variables.iter().copied());
            tokio::task::spawn_blocking(move || command.output().unwrap())
        };
        let region = ("AWS_REGION", "us-east-1");
        let keys = [
            ("AWS_ACCESS_KEY_ID", setup.account.id()),
            ("AWS_SECRET_ACCESS_KEY", "x"),
            region,
        ];
        for (name, variables, wanted) in [
            ("mine", &keys[..2], "AWS_REGION"),
            ("mine", &keys[2..], "aws configure export-credentials"),
            ("other", &keys[..], "expected a stack `other` in us-east-1"),
        ] {
            let output = on_aws(name, variables).await.unwrap();
            let err = text(&output.stderr);
            assert!(
                output.status.code() == Some(1) && err.contains(wanted),
                "{err}"
            );
        }
        until("the outputs of the stack", async || {
            let call = client.describe_stacks().stack_name("mine");
            let stacks = call.send().await.unwrap();
            !stacks.stacks()[0].outputs().is_empty()
        })
        .await;
        let out = ended(&on_aws("mine", &keys).await.unwrap(), 0);
        assert!(
            out.contains("replayed 1 of 1 dead letter of messages"),
            "{out}"
        );
        assert_eq!(setup.bodies("ParkedQueue").await.len(), 1);
    });
}
