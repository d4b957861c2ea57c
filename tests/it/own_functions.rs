//! A workflow's own functions in the local stack: Python with a layer, inline code, Node.js, and a Rust package.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use futures_util::StreamExt;
use momento::topics::ValueKind;
use serde_json::{Value, json};
use workflow_bridge::tools::local::{Options, Stack, Workflow};

use crate::deployed::{RUNTIME, SOON, binaries, stack};

const TEMPLATE: &str = r#"
Transform: [AWS::LanguageExtensions, AWS::Serverless-2016-10-31]
Parameters:
  Bridge: {Type: String}
  CacheName: {Type: String}
Globals:
  Function: {Runtime: python3.13, Handler: src/app.handler, Timeout: 20}
Resources:
  Layer:
    Type: AWS::Serverless::LayerVersion
    Properties: {ContentUri: layer, CompatibleRuntimes: [python3.13]}
  Python:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: python, Layers: [!Ref Layer]}
  Inline:
    Type: AWS::Serverless::Function
    Properties:
      Handler: index.handler
      InlineCode: |
        def handler(event, context):
            return "inline " + event
  Rust:
    Type: AWS::Serverless::Function
    Metadata: {BuildMethod: rust-cargolambda}
    Properties: {CodeUri: rust, Runtime: provided.al2023, Handler: bootstrap}
  Node:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: node, Runtime: nodejs22.x, Handler: index.handler}
  Workflow:
    Type: AWS::Serverless::StateMachine
    Properties:
      Name: !Sub ${Bridge}_own
      Definition:
        QueryLanguage: JSONata
        StartAt: All
        States: {All: {Type: Parallel, End: true, Branches: []}}
      Policies:
        - Version: "2012-10-17"
          Statement: [{Effect: Allow, Action: lambda:InvokeFunction, Resource: "*"}]
  Route:
    Type: AWS::SSM::Parameter
    Properties:
      Name: !Sub /workflow-bridge/${Bridge}/routes/own
      Type: String
      Value:
        Fn::ToJsonString:
          name: own
          from: {cache: !Ref CacheName, topic: own-in}
          to: {stateMachine: !Ref Workflow}
          reply: {topics: [own-out]}
"#;

/// A function without dependencies: the Runtime API by hand.
const RUST: &str = r#"
use std::io::{Read, Write};
use std::net::TcpStream;

fn call(head: &str, body: &str) -> (String, String) {
    let api = std::env::var("AWS_LAMBDA_RUNTIME_API").unwrap();
    let mut stream = TcpStream::connect(&api).unwrap();
    let length = body.len();
    write!(stream, "{head} HTTP/1.1\r\nhost: {api}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn main() {
    loop {
        let (head, event) = call("GET /2018-06-01/runtime/invocation/next", "");
        let id = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("lambda-runtime-aws-request-id").then(|| value.to_owned())
        });
        let path = format!("POST /2018-06-01/runtime/invocation/{}/response", id.unwrap());
        call(&path, &format!("\"rust {}\"", event.trim_matches('"')));
    }
}
"#;

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    for (file, text) in [
        ("template.yaml", TEMPLATE),
        (
            "python/src/app.py",
            "import shared\ndef handler(event, context):\n    return shared.WORD + event\n",
        ),
        ("layer/python/shared.py", "WORD = 'python '\n"),
        (
            "node/index.mjs",
            "export const handler = async (event) => `node ${event}`;\n",
        ),
        (
            "rust/Cargo.toml",
            "[package]\nname = \"greet\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n",
        ),
        ("rust/src/main.rs", RUST),
    ] {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn has_node() -> bool {
    let found = Command::new("node").arg("--version").output();
    let found = found.is_ok_and(|output| output.status.success());
    if !found {
        println!("no `node` on the PATH: functions in Node.js were not tested");
    }
    found
}

#[test]
fn functions_of_each_runtime_answer() {
    let folder = folder("own");
    let mut names = vec!["Python", "Inline", "Rust"];
    if has_node() {
        names.push("Node");
    } else {
        let template = fs::read_to_string(folder.join("template.yaml")).unwrap();
        let (before, rest) = template.split_once("  Node:\n").unwrap();
        let (_, after) = rest.split_once("  Workflow:\n").unwrap();
        fs::write(
            folder.join("template.yaml"),
            format!("{before}  Workflow:\n{after}"),
        )
        .unwrap();
    }
    RUNTIME.block_on(async {
        let mut template = Workflow::read(&folder).unwrap().template;
        let branches = names.iter().map(|name| {
            let arguments = json!({"FunctionName": format!("${{{name}}}"), "Payload": "{% $states.input.message.text %}"});
            let task = json!({
                "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Arguments": arguments,
                "Output": "{% $states.result.Payload %}", "End": true,
            });
            json!({"StartAt": name, "States": {*name: task}})
        });
        let machine = &mut template["Resources"]["Workflow"]["Properties"];
        machine["Definition"]["States"]["All"]["Branches"] = branches.collect();
        let arns = names.iter().map(|name| ((*name).to_owned(), json!({"Fn::GetAtt": [name, "Arn"]})));
        machine["DefinitionSubstitutions"] = Value::Object(arns.collect());

        let emulator = Arc::clone(stack().await.emulator());
        let stack = Stack::start_in(emulator, Options::new(binaries()).unwrap()).await.unwrap();
        stack.deploy("own", &template).await.unwrap();
        stack.collected().await.unwrap();
        let client = stack.momento_client().unwrap();
        let mut subscription = client.subscribe("demo", "own-out").await.unwrap();
        let mut answer = async |text: &str| {
            client.publish("demo", "own-in", text).await.unwrap();
            let item = tokio::time::timeout(SOON, subscription.next()).await;
            let ValueKind::Text(text) = item.expect("a result").expect("a subscription").kind else {
                panic!("binary")
            };
            serde_json::from_str::<Value>(&text).unwrap()
        };
        let expected = |text: &str| -> Value {
            names.iter().map(|name| Value::from(format!("{} {text}", name.to_lowercase()))).collect()
        };
        assert_eq!(answer("hello").await, expected("hello"));

        // Changed code arrives with an update.
        fs::write(folder.join("layer/python/shared.py"), "WORD = 'other '\n").unwrap();
        fs::write(folder.join("python/src/app.py"), "def handler(event, context):\n    return 'changed ' + event\n").unwrap();
        stack.update("own", &template).await.unwrap();
        assert_eq!(answer("again").await[0], "changed again");
        stack.stop().await;
    });
}

#[test]
fn a_missing_program_is_named_before_anything_starts() {
    let folder = folder("own-without-node");
    let empty = folder.join("layer");
    let output = Command::new(env!("CARGO_BIN_EXE_bridge"))
        .args(["local", "--once", "--with"])
        .arg(&folder)
        .env("PATH", &empty)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    for part in [
        "own-without-node/template.yaml",
        "function `Node`",
        "expected `node` on the PATH for nodejs22.x, found none: install Node.js",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(!error.contains("emulator"), "{error}");
}
