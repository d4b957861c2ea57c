//! The upgrade of docs/operations.md, "From a template with all workflows in one": each deployment of it, while messages come
//! in and executions stay open.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_sfn::types::ExecutionStatus;
use serde_json::{Value, json};
use workflow_bridge::tools::local::{Options, Stack};
use workflow_bridge::tools::template::{add_resource, add_routes, inline_definitions, parse, read};

use crate::deployed::{RUNTIME, binaries, stack};
use crate::live_routes::refused;
use crate::messages::{
    Publications, QUICK, body, depth, executions, invoke, post_to, quicken, settle, until,
};

/// The deployments of the page, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Deployment {
    /// The template of an earlier version.
    Old,
    /// The same; its queues also take the events of rules with new names.
    Queues,
    /// The new template with the old pieces: `uppercase` has moved.
    Both,
    /// All routes have moved to the stacks of workflows.
    Moved,
    /// The new template alone.
    New,
}

/// The workflows: one that answers at once, one that waits, and one that waits and takes the payload.
const WORKFLOWS: [&str; 3] = ["Uppercase", "Hold", "Bare"];

/// A workflow in a template of an earlier version, without its route.
const PIECE: &str = r#"Resources:
  XStateMachine:
    Type: AWS::Serverless::StateMachine
    Properties:
      Type: STANDARD
      Role: !GetAtt XRole.Arn
      Definition: {}
  XRole:
    Type: AWS::IAM::Role
    Properties:
      ManagedPolicyArns: [!Ref WorkflowLogs]
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Principal: {Service: states.amazonaws.com}
            Action: sts:AssumeRole
            Condition: {StringEquals: {aws:SourceAccount: !Ref AWS::AccountId}}
  XStart:
    Type: AWS::IAM::Policy
    Properties:
      PolicyName: x-start
      Roles: [!Ref WebhookRole, !Ref RedriveRole]
      PolicyDocument:
        Version: "2012-10-17"
        Statement:
          - {Effect: Allow, Action: states:StartExecution, Resource: !Ref XStateMachine}
  XDescribe:
    Type: AWS::IAM::Policy
    Properties:
      PolicyName: x-describe
      Roles: [!Ref CompletionRole]
      PolicyDocument:
        Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Action: states:DescribeExecution
            Resource: !Sub arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:execution:${XStateMachine.Name}:*
  XList:
    Type: AWS::IAM::Policy
    Properties:
      PolicyName: x-list
      Roles: [!Ref SweepRole]
      PolicyDocument:
        Version: "2012-10-17"
        Statement:
          - {Effect: Allow, Action: states:ListExecutions, Resource: !Ref XStateMachine}
  XEnds:
    Type: AWS::Events::Rule
    Properties:
      Name: !Sub ${AWS::StackName}-x-ends
      EventPattern:
        source: [aws.states]
        detail-type: [Step Functions Execution Status Change]
        detail:
          status: [SUCCEEDED, FAILED, TIMED_OUT, ABORTED]
          stateMachineArn: [!Ref XStateMachine]
      Targets:
        - Id: completions
          Arn: !GetAtt CompletionsQueue.Arn
          RetryPolicy: {MaximumEventAgeInSeconds: 86400, MaximumRetryAttempts: 185}
          DeadLetterConfig: {Arn: !GetAtt CompletionsDeadLetterQueue.Arn}
"#;

/// Turns the shipped template into that of a deployment.
fn turn(template: &mut Value, deployment: Deployment) {
    quicken(template).unwrap();
    let variables = &mut template["Globals"]["Function"]["Environment"]["Variables"];
    for (name, value) in QUICK {
        variables[name] = json!(value);
    }
    variables["ROUTES_TTL_SECONDS"] = json!("1");
    if deployment == Deployment::New {
        return;
    }
    let is_moved = |workflow: &str| match workflow {
        "Uppercase" => deployment >= Deployment::Both,
        _ => deployment >= Deployment::Moved,
    };
    let definition = template["Resources"]["UppercaseWorkflow"]["Properties"].take();
    for workflow in WORKFLOWS {
        let text = PIECE.replace('X', workflow);
        let text = text.replace("x-", &format!("{}-", workflow.to_lowercase()));
        let mut piece = parse(&text).unwrap();
        let machine = &mut piece["Resources"][format!("{workflow}StateMachine")]["Properties"];
        if workflow == "Uppercase" {
            machine["DefinitionUri"] = definition["DefinitionUri"].clone();
            machine.as_object_mut().unwrap().remove("Definition");
        } else {
            machine["Definition"] = asks(workflow);
        }
        for (id, resource) in piece["Resources"].as_object().unwrap() {
            add_resource(template, id, resource.clone()).unwrap();
        }
        let machine = json!({"Ref": format!("{workflow}StateMachine")});
        let mut route = route(workflow, machine);
        if is_moved(workflow) {
            // The sweep lists a disabled route's state machine, too, and the completion knows it.
            let name = format!("{}-old", workflow.to_lowercase());
            route["name"] = json!(name);
            route["enabled"] = json!(false);
            let parameter = parameter("${AWS::StackName}", &name, &route);
            add_resource(template, &format!("{workflow}Old"), parameter).unwrap();
        } else if workflow == "Uppercase" {
            template["Resources"]["UppercaseRoute"]["Properties"]["Value"] =
                json!({"Fn::ToJsonString": route});
        } else {
            add_routes(template, &[route]).unwrap();
        }
    }
    template["Resources"]["UppercaseWorkflow"]["Properties"] = definition;
    let resources = &mut template["Resources"];
    if deployment <= Deployment::Queues {
        let resources = resources.as_object_mut().unwrap();
        resources.remove("UppercaseWorkflow");
        resources.remove("WorkflowEnds");
        resources["TopicPublishRule"]["Properties"]["Name"] =
            json!({"Fn::Sub": "${AWS::StackName}-topic-publish"});
    }
    for policy in ["CompletionsQueuePolicy", "CompletionsDeadLetterQueuePolicy"] {
        let policy = &mut resources[policy]["Properties"]["PolicyDocument"]["Statement"][0];
        assert_eq!(policy["Sid"], "FromTheRules");
        let source = &mut policy["Condition"]["ArnLike"]["aws:SourceArn"];
        let new = source["Fn::Sub"].as_str().unwrap().to_owned();
        let old = new.replace("${AWS::StackName}_*", "${AWS::StackName}-*");
        assert_ne!(old, new);
        *source = match deployment {
            Deployment::Old => json!({"Fn::Sub": old}),
            _ => json!([{"Fn::Sub": new}, {"Fn::Sub": old}]),
        };
    }
}

/// The shipped template as that of a deployment, its definitions in place.
fn template(deployment: Deployment) -> Value {
    let file = Options::new(binaries()).unwrap().template;
    let mut template = read(&file).unwrap();
    turn(&mut template, deployment);
    inline_definitions(&mut template, file.parent().unwrap()).unwrap();
    template
}

/// A workflow that publishes its task's token, and returns the answer.
fn asks(workflow: &str) -> Value {
    let text = match workflow {
        "Bare" => "{% $states.input %}",
        _ => "{% $states.input.message.text %}",
    };
    let value = json!({"text": text, "token": "{% $states.context.Task.Token %}"});
    let entry = json!({
        "Source": "workflow-bridge", "DetailType": "Topic Publish",
        "Detail": {"cache": "demo", "topic": "asked", "value": value},
    });
    json!({"QueryLanguage": "JSONata", "StartAt": "Asks", "States": {"Asks": {
        "Type": "Task", "Resource": "arn:aws:states:::events:putEvents.waitForTaskToken",
        "Arguments": {"Entries": [entry]}, "TimeoutSeconds": 900, "End": true,
    }}})
}

fn route(workflow: &str, machine: Value) -> Value {
    let name = workflow.to_lowercase();
    let input = match workflow {
        "Bare" => "payload",
        _ => "envelope",
    };
    json!({
        "name": name, "from": {"cache": {"Ref": "CacheName"}, "topic": format!("{name}-in")},
        "to": {"stateMachine": machine, "input": input}, "reply": {"topics": [format!("{name}-out")]},
    })
}

/// A parameter with a route, collected by `bridge`.
fn parameter(bridge: &str, name: &str, route: &Value) -> Value {
    let name = json!({"Fn::Sub": format!("/workflow-bridge/{bridge}/routes/{name}")});
    let properties = json!({"Name": name, "Type": "String", "Value": {"Fn::ToJsonString": route}});
    json!({"Type": "AWS::SSM::Parameter", "Properties": properties})
}

/// The stack of a workflow.
fn own_stack(workflow: &str) -> Value {
    let name = workflow.to_lowercase();
    let mut template = parse(
        r#"Transform: [AWS::LanguageExtensions, AWS::Serverless-2016-10-31]
Parameters:
  Bridge: {Type: String}
  CacheName: {Type: String}
Resources: {}
"#,
    )
    .unwrap();
    let machine = json!({"Type": "AWS::Serverless::StateMachine", "Properties": {
        "Name": {"Fn::Sub": format!("${{Bridge}}_{name}")}, "Definition": asks(workflow),
    }});
    add_resource(&mut template, "Workflow", machine).unwrap();
    let route = route(workflow, json!({"Ref": "Workflow"}));
    let parameter = parameter("${Bridge}", &name, &route);
    add_resource(&mut template, "Route", parameter).unwrap();
    template
}

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
