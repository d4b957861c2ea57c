//! The upgrade of docs/operations.md, "From a template with all workflows in one": each deployment of it, while messages come
//! in and executions stay open.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_sfn::types::ExecutionStatus;
use serde_json::Value;
use workflow_bridge::tools::local::{Options, Stack};

use crate::deployed::{RUNTIME, binaries, stack};
use crate::live_routes::refused;
use crate::messages::{Publications, body, depth, executions, invoke, post_to, settle, until};
use deployments::{Deployment, WORKFLOWS, own_stack, template, turn};

mod deployments;

/// The messages of a test and their ends.
struct Traffic {
    url: String,
    secret: String,
    publications: Publications,
    sfn: aws_sdk_sfn::Client,
    /// The results to come, by reply topic.
    expected: BTreeMap<String, Vec<String>>,
    /// Results of messages that were not started at the first attempt. While the route moves, both state machines may have
    /// such a message: names of executions are unique for each only.
    repeated: BTreeSet<String>,
    number: u64,
    answered: BTreeSet<String>,
}

impl Traffic {
    fn of(bridge: &Stack) -> Self {
        Self {
            url: bridge.webhook_url().to_owned(),
            secret: bridge.signing_secret().to_owned(),
            publications: Publications::of(bridge),
            sfn: aws_sdk_sfn::Client::new(bridge.account().config()),
            expected: BTreeMap::new(),
            repeated: BTreeSet::new(),
            number: 0,
            answered: BTreeSet::new(),
        }
    }

    /// Sends a message to each workflow.
    async fn send(&mut self) {
        let http = reqwest::Client::new();
        for workflow in WORKFLOWS {
            self.number += 1;
            let name = workflow.to_lowercase();
            let text = format!("text {}.", self.number);
            let body = body(&format!("{name}-in"), self.number, &text);
            let mut attempts = Vec::new();
            // Again after a failure, as a relay does: the message keeps its id.
            until("an accepted message", async || {
                let (status, answer) = post_to(&http, &self.url, &self.secret, &body).await;
                assert!(
                    !(400..500).contains(&status) && answer["code"] != "unrouted",
                    "{body}: {status} {answer}"
                );
                attempts.push(answer["targets"][0]["outcome"].clone());
                status == 200
            })
            .await;
            let result = match workflow {
                "Uppercase" => text.to_uppercase(),
                _ => text,
            };
            if attempts != ["started"] {
                self.repeated.insert(result.clone());
            }
            let expected = self.expected.entry(format!("{name}-out")).or_default();
            expected.push(result);
        }
    }

    /// Ends the executions that have asked.
    async fn answer(&mut self) {
        for question in self.publications.on("asked") {
            let question: Value = serde_json::from_str(&question).unwrap();
            let token = question["token"].as_str().unwrap().to_owned();
            if self.answered.insert(token.clone()) {
                let call = self.sfn.send_task_success().task_token(token);
                let answered = call.output(question["text"].to_string()).send().await;
                answered.unwrap();
            }
        }
    }

    /// Ends all waiting executions, and waits until each message has its result.
    async fn finish(&mut self) {
        until("a result of each message", async || {
            self.answer().await;
            let mut topics = self.expected.iter();
            topics.all(|(topic, expected)| {
                let results = self.publications.on(topic);
                expected.iter().all(|text| results.contains(text))
            })
        })
        .await;
        self.check();
    }

    /// Each message has one result.
    fn check(&self) {
        for (topic, expected) in &self.expected {
            let mut counts = BTreeMap::new();
            for text in self.publications.on(topic) {
                *counts.entry(text).or_default() += 1;
            }
            counts.iter_mut().for_each(|(text, count)| {
                if *count == 2 && self.repeated.contains(text) {
                    *count = 1;
                }
            });
            let expected = expected.iter().map(|text| (text.clone(), 1));
            assert_eq!(counts, expected.collect(), "{topic}");
        }
    }
}

/// Updates the bridge while messages come in.
async fn deploy(bridge: &Stack, traffic: &mut Traffic, deployment: Deployment) {
    let ended = AtomicBool::new(false);
    let before = traffic.number;
    let sending = async {
        while !ended.load(Ordering::Relaxed) {
            traffic.send().await;
        }
    };
    let updating = async {
        bridge.update_bridge(&template(deployment)).await.unwrap();
        ended.store(true, Ordering::Relaxed);
    };
    tokio::join!(sending, updating);
    let sent = traffic.number - before;
    eprintln!("upgrade: {sent} messages during {deployment:?}");
    // By the new functions.
    traffic.send().await;
}

/// The running executions of the state machines of the old pieces.
async fn running(bridge: &Stack) -> usize {
    let mut running = 0;
    for workflow in WORKFLOWS {
        let all = executions(bridge, &format!("{workflow}StateMachine")).await;
        let open = all
            .iter()
            .filter(|one| one.status == ExecutionStatus::Running);
        running += open.count();
    }
    running
}

#[test]
fn the_documented_upgrade_loses_no_message_and_no_result() {
    RUNTIME.block_on(async {
        let mut options = Options::new(binaries()).unwrap();
        options.edit = Box::new(|template| {
            turn(template, Deployment::Old);
            Ok(())
        });
        let emulator = Arc::clone(stack().await.emulator());
        let bridge = Stack::start_in(emulator, options).await.unwrap();
        let mut traffic = Traffic::of(&bridge);
        let kept = [
            "ParkedQueue",
            "CompletionsQueue",
            "LedgerTable",
            "WebhookFunction",
        ];
        let kept = kept.map(|id| (id, bridge.resource(id).unwrap().to_owned()));
        traffic.send().await;
        deploy(&bridge, &mut traffic, Deployment::Queues).await;
        deploy(&bridge, &mut traffic, Deployment::Both).await;
        for workflow in ["Hold", "Bare"] {
            let name = workflow.to_lowercase();
            let own = own_stack(workflow);
            bridge.deploy(&name, &own).await.unwrap();
            // The route's name is taken until the next deployment.
            refused(&bridge, &name, 1).await;
        }
        deploy(&bridge, &mut traffic, Deployment::Moved).await;
        invoke(&bridge, "RoutesFunction").await;
        bridge.collected().await.unwrap();
        traffic.send().await;
        let old = running(&bridge).await;
        assert!(
            old > 6,
            "{old} executions of the old state machines are open"
        );

        traffic.finish().await;
        until(
            "the end of all executions of the old state machines",
            async || {
                traffic.answer().await;
                running(&bridge).await == 0
            },
        )
        .await;
        settle(&bridge, &["UppercaseWorkflow"]).await;
        deploy(&bridge, &mut traffic, Deployment::New).await;
        bridge.collected().await.unwrap();
        traffic.send().await;
        traffic.finish().await;
        settle(&bridge, &["UppercaseWorkflow"]).await;
        traffic.check();
        eprintln!(
            "upgrade: {} messages, {} of them not started at the first attempt",
            traffic.number,
            traffic.repeated.len()
        );

        for (id, before) in kept {
            assert_eq!(bridge.deployed().resources[id], before, "{id}");
        }
        assert!(!bridge.deployed().resources.contains_key("HoldStateMachine"));
        for queue in ["DeadLetterQueue", "CompletionsDeadLetterQueue"] {
            assert_eq!(depth(&bridge, queue).await, 0, "{queue}");
        }
        bridge.stop().await;
    });
}
