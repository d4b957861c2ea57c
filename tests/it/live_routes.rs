//! Routes that come and go with the stacks of workflows while the bridge runs.
//!
//! ```text
//! ROUTES_MESSAGES=2000 cargo test --all-features --test it live_routes -- --nocapture
//! ```
//!
//! `ROUTES_MESSAGES` defaults to 200.

use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_ssm::types::ParameterType;
use serde_json::{Value, json};
use workflow_bridge::adapters::aws::routes_table::RoutesTable;
use workflow_bridge::domain::ports::{Compiled, CompiledRoutes as _, ParameterState};
use workflow_bridge::tools::local::{Account, Options, Stack, Workflow};
use workflow_bridge::tools::template::{add_resource, parse};

use crate::deployed::{RUNTIME, binaries, example, stack};
use crate::messages::{Publications, body, depth, drain, post, settle, until};

mod lost;

/// A bridge in the tests' emulator, without examples.
async fn bridge(name: &str, account: Option<Account>) -> Stack {
    let mut options = Options::new(binaries()).unwrap();
    options.name = name.to_owned();
    options.account = account;
    options.edit = Box::new(|template| {
        read_often(template);
        Ok(())
    });
    let emulator = Arc::clone(stack().await.emulator());
    Stack::start_in(emulator, options).await.unwrap()
}

/// Old routes are read again after a second, at most every three.
fn read_often(template: &mut Value) {
    template["Globals"]["Function"]["Environment"]["Variables"]["ROUTES_TTL_SECONDS"] = json!("1");
}

fn path(stack: &Stack, name: &str) -> String {
    format!("/workflow-bridge/{}/routes/{name}", stack.name())
}

/// Puts a parameter with a route beside those of the stacks.
async fn put(stack: &Stack, name: &str, route: &Value) {
    let call = aws_sdk_ssm::Client::new(stack.account().config())
        .put_parameter()
        .name(path(stack, name))
        .r#type(ParameterType::String)
        .overwrite(true);
    call.value(route.to_string()).send().await.unwrap();
}

async fn compiled(stack: &Stack) -> Compiled {
    let table = stack.resource("LedgerTable").unwrap().to_owned();
    let table = RoutesTable::new(stack.account().config(), table);
    table.load(true).await.unwrap().unwrap_or_default()
}

/// Waits until the collection has refused this version of a parameter.
pub async fn refused(stack: &Stack, name: &str, version: i64) -> ParameterState {
    let mut state = ParameterState::default();
    until("a refused parameter", async || {
        let mut found = compiled(stack).await.parameters;
        state = found.remove(&path(stack, name)).unwrap_or_default();
        let refusal = state.refused.as_ref();
        refusal.is_some_and(|refusal| refusal.version == version)
    })
    .await;
    state
}

fn route_to_bus(name: &str) -> Value {
    json!({"name": name, "from": {"cache": "demo", "topic": format!("{name}-in")}, "to": {"eventBus": "default"}})
}

/// Sends messages until one has this code; returns its answer.
async fn answered(stack: &Stack, topic: &str, first: u64, code: &str) -> Value {
    let (mut number, mut last) = (first, Value::Null);
    until(&format!("a message on `{topic}` is {code}"), async || {
        number += 1;
        let (status, answer) = post(stack, &body(topic, number, "x")).await;
        assert_eq!(status, 200, "{answer}");
        last = answer;
        last["code"] == code
    })
    .await;
    last
}

/// The outcomes of the targets in an answer.
fn outcomes(answer: &Value) -> Vec<&str> {
    let targets = answer["targets"].as_array().into_iter().flatten();
    targets
        .filter_map(|target| target["outcome"].as_str())
        .collect()
}

#[test]
fn a_workflow_comes_changes_and_goes_while_the_bridge_runs() {
    RUNTIME.block_on(async {
        let stack = bridge("workflow-bridge", None).await;
        let publications = Publications::of(&stack);
        let client = stack.momento_client().unwrap();
        assert_eq!(stack.stacks(), ["workflow-bridge"]);

        let count = Workflow::read(&example("count")).unwrap();
        stack.deploy(&count.name, &count.template).await.unwrap();
        stack.collected().await.unwrap();
        assert!(stack.routes().iter().any(|route| route.name == "count"));
        assert_eq!(
            stack.topics().webhooks(),
            ["demo/count-in", "demo/uppercase-in"]
        );
        client.publish("demo", "count-in", "first").await.unwrap();
        let reply = &publications.wait("count-out", 1).await[0];
        let reply: Value = serde_json::from_str(reply).unwrap();
        assert_eq!(
            reply["topic"],
            json!({"name": "count-in", "events": 1}),
            "{reply}"
        );

        // Another reply topic.
        let mut moved = count.template.clone();
        let route = &mut moved["Resources"]["Route"]["Properties"]["Value"]["Fn::ToJsonString"];
        route["reply"]["topics"] = json!(["count-moved"]);
        stack.update(&count.name, &moved).await.unwrap();
        stack.collected().await.unwrap();
        let mut number = 1000;
        until("a reply on the new topic", async || {
            number += 1;
            let (_, answer) = post(&stack, &body("count-in", number, "x")).await;
            assert_eq!(answer["code"], "accepted");
            !publications.on("count-moved").is_empty()
        })
        .await;

        // A broken route beside it is refused alone.
        put(&stack, "broken", &json!({"name": "broken"})).await;
        let state = refused(&stack, "broken", 1).await;
        assert_eq!((state.version, state.routes.len()), (0, 0));
        let problem = state.refused.unwrap().problem;
        assert!(
            problem.contains("route `broken`: `to`: expected"),
            "{problem}"
        );
        let error = format!("{:#}", stack.collected().await.unwrap_err());
        assert!(
            error.contains(&path(&stack, "broken")) && error.contains(&problem),
            "{error}"
        );
        let group = stack.resource("RoutesLogGroup").unwrap();
        until("the metric of the refusal", async || {
            let logs = stack.logs().await.unwrap();
            logs.lines().any(|line| {
                let line = line
                    .strip_prefix(group)
                    .and_then(|line| line.strip_prefix(": "));
                let line = line.and_then(|line| serde_json::from_str::<Value>(line).ok());
                line.is_some_and(|line| line["route_refused"] == 1 && line["_aws"].is_object())
            })
        })
        .await;
        for topic in ["count-in", "uppercase-in"] {
            let (_, answer) = post(&stack, &body(topic, 1500, "still")).await;
            assert_eq!(outcomes(&answer), ["started"], "{answer}");
        }

        // Without its stack, its topic leads nowhere.
        let parameter = aws_sdk_ssm::Client::new(stack.account().config());
        let parameter = parameter.delete_parameter().name(path(&stack, "broken"));
        parameter.send().await.unwrap();
        settle(&stack, &["UppercaseWorkflow"]).await;
        stack.delete(&count.name).await.unwrap();
        stack.collected().await.unwrap();
        assert_eq!(stack.topics().webhooks(), ["demo/uppercase-in"]);
        let answer = answered(&stack, "count-in", 2000, "unrouted").await;
        let letters = drain(&stack, "DeadLetterQueue").await;
        let letter = letters.iter().find(|letter| letter["id"] == answer["id"]);
        let letter = letter.expect("its letter");
        assert_eq!(
            (&letter["reason"], &letter["message"]["topic"]),
            (&json!("unrouted"), &json!("count-in"))
        );
        assert_eq!(stack.stacks(), ["workflow-bridge"]);
        stack.stop().await;
    });
}

#[test]
fn the_last_good_routes_of_a_broken_parameter_stay_in_use() {
    RUNTIME.block_on(async {
        let stack = bridge("workflow-bridge", None).await;
        // A warm webhook, which knows no other route.
        answered(&stack, "uppercase-in", 0, "accepted").await;
        put(&stack, "bus", &route_to_bus("bus")).await;
        stack.collected().await.unwrap();
        let answer = answered(&stack, "bus-in", 0, "accepted").await;
        assert_eq!(outcomes(&answer), ["event_put"]);

        let mut broken = route_to_bus("bus");
        broken["from"] = json!({"cache": "demo"});
        put(&stack, "bus", &broken).await;
        let state = refused(&stack, "bus", 2).await;
        assert_eq!((state.version, state.routes), (1, vec!["bus".to_owned()]));
        // A name of the bridge's own.
        put(&stack, "taken", &route_to_bus("uppercase")).await;
        let problem = refused(&stack, "taken", 1).await.refused.unwrap().problem;
        assert!(
            problem.contains("`uppercase` in the variable ROUTES"),
            "{problem}"
        );
        let (_, answer) = post(&stack, &body("bus-in", 1000, "x")).await;
        assert_eq!(outcomes(&answer), ["event_put"], "{answer}");
        let (_, answer) = post(&stack, &body("uppercase-in", 1000, "x")).await;
        assert_eq!(outcomes(&answer), ["started"], "{answer}");

        // Mended.
        put(&stack, "bus", &route_to_bus("other-bus")).await;
        put(&stack, "taken", &route_to_bus("third-bus")).await;
        stack.collected().await.unwrap();
        for topic in ["other-bus-in", "third-bus-in"] {
            answered(&stack, topic, 0, "accepted").await;
        }
        answered(&stack, "bus-in", 2000, "unrouted").await;
        stack.stop().await;
    });
}

/// The executions in a bridge's ledger.
async fn recorded(stack: &Stack) -> Vec<String> {
    let call = aws_sdk_dynamodb::Client::new(stack.account().config())
        .scan()
        .table_name(stack.resource("LedgerTable").unwrap());
    let items = call.send().await.unwrap().items.unwrap_or_default();
    let ids = items.into_iter().filter_map(|mut item| item.remove("id"));
    let ids = ids.filter_map(|id| match id {
        AttributeValue::S(id) => Some(id),
        _ => None,
    });
    ids.filter(|id| id.contains(":execution:")).collect()
}

#[test]
fn bridges_with_similar_names_do_not_hear_each_other() {
    RUNTIME.block_on(async {
        let one = bridge("x", None).await;
        let two = bridge("x-2", Some(one.account().clone())).await;
        let bridges = [&one, &two];
        let publications = bridges.map(Publications::of);
        for (bridge, publications) in bridges.iter().zip(&publications) {
            let workflow = echo("echo-out");
            bridge.deploy("echo", &workflow).await.unwrap();
            bridge.collected().await.unwrap();
            let machine = bridge.resource_of("echo", "Workflow").unwrap();
            let name = format!(":stateMachine:{}_echo", bridge.name());
            assert!(machine.ends_with(&name), "{machine}");
            for (topic, reply) in [("uppercase-in", "uppercase-out"), ("echo-in", "echo-out")] {
                let (_, answer) = post(bridge, &body(topic, 1, bridge.name())).await;
                assert_eq!(outcomes(&answer), ["started"], "{answer}");
                publications.wait(reply, 1).await;
            }
        }
        for (bridge, publications) in bridges.iter().zip(&publications) {
            settle(bridge, &["UppercaseWorkflow"]).await;
            let name = bridge.name();
            assert_eq!(publications.on("uppercase-out"), [name.to_uppercase()]);
            assert_eq!(publications.on("echo-out"), [name]);
            assert_eq!(publications.count(), 2, "{name}");
            let recorded = recorded(bridge).await;
            let own = format!(":execution:{name}_");
            assert!(
                recorded.len() == 2 && recorded.iter().all(|id| id.contains(&own)),
                "{recorded:?}"
            );
            for queue in ["DeadLetterQueue", "CompletionsDeadLetterQueue"] {
                assert_eq!(depth(bridge, queue).await, 0, "{queue} of {name}");
            }
        }
        one.stop().await;
        two.stop().await;
    });
}

/// A workflow that returns the text, with its reply on this topic.
fn echo(reply: &str) -> Value {
    let mut template = parse(
        r#"Transform: [AWS::LanguageExtensions, AWS::Serverless-2016-10-31]
Parameters:
  Bridge: {Type: String}
  CacheName: {Type: String}
Resources:
  Workflow:
    Type: AWS::Serverless::StateMachine
    Properties:
      Name: !Sub ${Bridge}_echo
      Definition:
        QueryLanguage: JSONata
        StartAt: Echoes
        States:
          Echoes: {Type: Pass, Output: "{% $states.input.message.text %}", End: true}
"#,
    )
    .unwrap();
    let route = json!({
        "name": "echo", "from": {"cache": {"Ref": "CacheName"}, "topic": "echo-in"},
        "to": {"stateMachine": {"Ref": "Workflow"}}, "reply": {"topics": [reply]},
    });
    let name = json!({"Fn::Sub": "/workflow-bridge/${Bridge}/routes/echo"});
    let properties = json!({"Name": name, "Type": "String", "Value": {"Fn::ToJsonString": route}});
    let parameter = json!({"Type": "AWS::SSM::Parameter", "Properties": properties});
    add_resource(&mut template, "Route", parameter).unwrap();
    template
}
