//! Versions of the webhook: the lines in docs/operations.md, translated by SAM.
//!
//! A published version keeps its routes. SAM names a version after a hash, and CloudFormation publishes only a version with a
//! new name: so the name has to change when a route does.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use workflow_bridge::tools::local::python;
use workflow_bridge::tools::local::workspace::Workspace;
use workflow_bridge::tools::template;
use workflow_bridge::tools::terminal::Progress;

use crate::deployed::RUNTIME;

/// Translates a template with SAM; reads template and parameters from standard input.
const TRANSLATE: &str = r#"
import json, os, sys
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
template, parameters = json.load(sys.stdin)
json.dump(Translator({}, Parser()).translate(template, parameters), sys.stdout)
"#;

fn translated(template: &Value, release: &str) -> Value {
    let workspace = Workspace::find().unwrap();
    let python = RUNTIME
        .block_on(python::environment(&workspace, &Progress::silent()))
        .unwrap();
    let mut child = Command::new(python)
        .args(["-c", TRANSLATE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let input = json!([template, {"Release": release, "MomentoEndpoint": "a.b"}]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.to_string().as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The fenced YAML block after a line of docs/operations.md.
fn yaml_after(line: &str) -> Value {
    let workspace = Workspace::find().unwrap();
    let page = fs::read_to_string(workspace.root().join("docs/operations.md")).unwrap();
    let (_, after) = page.split_once(line).unwrap();
    let (_, block) = after.split_once("```yaml\n").unwrap();
    template::parse(block.split_once("```").unwrap().0).unwrap()
}

/// The shipped template, packaged, with the lines of the page.
fn with_versions() -> Value {
    let workspace = Workspace::find().unwrap();
    let mut template = template::read(&workspace.root().join("template.yaml")).unwrap();
    template::inline_definitions(&mut template, workspace.root()).unwrap();
    for (function, _) in template::functions(&template).unwrap() {
        template::set_code(&mut template, &function, "bucket", "code.zip");
    }
    let mut add = |pointer: &str, lines: Value| {
        let place = template
            .pointer_mut(pointer)
            .unwrap()
            .as_object_mut()
            .unwrap();
        for (key, value) in lines.as_object().unwrap() {
            assert!(place.insert(key.clone(), value.clone()).is_none(), "{key}");
        }
    };
    add("/Parameters", yaml_after("Under `Parameters`:\n"));
    add(
        "/Resources/WebhookFunction/Properties",
        yaml_after("\nUnder `Properties` of `WebhookFunction`:\n"),
    );
    template
}

fn version(translated: &Value) -> String {
    let resources = translated["Resources"].as_object().unwrap();
    let mut versions = resources
        .iter()
        .filter(|(_, resource)| resource["Type"] == "AWS::Lambda::Version");
    let (id, _) = versions.next().unwrap();
    assert!(versions.next().is_none());
    assert!(id.chars().all(|c| c.is_ascii_alphanumeric()), "{id}");
    id.clone()
}

fn other_route(template: &Value) -> Value {
    let mut changed = template.clone();
    let topic = changed
        .pointer_mut("/Resources/UppercaseRoute/Properties/Value/Fn::ToJsonString/from/topic")
        .unwrap();
    *topic = "another".into();
    changed
}

#[test]
fn a_new_release_publishes_a_version_but_a_changed_route_does_not() {
    let template = with_versions();
    let first = translated(&template, "1764166800");
    let published = version(&first);
    assert_ne!(version(&translated(&template, "1764166801")), published);
    // The page warns of this trap; both forms of it.
    assert_eq!(
        version(&translated(&other_route(&template), "1764166800")),
        published
    );
    let mut by_properties = template.clone();
    let properties = by_properties["Resources"]["WebhookFunction"]["Properties"]
        .as_object_mut()
        .unwrap();
    properties.remove("AutoPublishCodeSha256");
    properties.insert("AutoPublishAliasAllProperties".to_owned(), true.into());
    let before = version(&translated(&by_properties, "1764166800"));
    assert_eq!(
        version(&translated(&other_route(&by_properties), "1764166800")),
        before
    );
    // So `Release` accepts only ten digits.
    let pattern = &template["Parameters"]["Release"]["AllowedPattern"];
    assert_eq!(pattern, "^[0-9]{10}$");
    assert_eq!(
        version(&translated(&template, "17641668001")),
        published,
        "SAM uses ten characters"
    );
}

#[test]
fn requests_go_to_the_alias_and_alarms_roll_it_back() {
    let translated = translated(&with_versions(), "1764166800");
    let resources = translated["Resources"].as_object().unwrap();
    let of_type = |kind: &str| {
        let mut all = resources
            .values()
            .filter(|resource| resource["Type"] == kind);
        let one = all.next().unwrap_or_else(|| panic!("no {kind}"));
        assert!(all.next().is_none());
        one
    };
    let url = &of_type("AWS::Lambda::Url")["Properties"];
    let target = url["TargetFunctionArn"]["Ref"].as_str().unwrap();
    assert_eq!(resources[target]["Type"], "AWS::Lambda::Alias");
    let alias = of_type("AWS::Lambda::Alias");
    assert_eq!(alias["Properties"]["Name"], "live");
    assert!(alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"].is_object());
    // An alias may need its version at any time.
    assert_eq!(of_type("AWS::Lambda::Version")["DeletionPolicy"], "Retain");
    let group = &of_type("AWS::CodeDeploy::DeploymentGroup")["Properties"];
    let alarms = group["AlarmConfiguration"]["Alarms"].as_array().unwrap();
    assert_eq!(alarms.len(), 3);
    for alarm in alarms {
        let id = alarm["Name"]["Ref"].as_str().unwrap();
        assert_eq!(resources[id]["Type"], "AWS::CloudWatch::Alarm");
    }
    let events = group["AutoRollbackConfiguration"]["Events"].to_string();
    assert!(events.contains("DEPLOYMENT_STOP_ON_ALARM"), "{events}");
    // CloudFormation's limits are 500 resources and, from a bucket as with `sam deploy`, 1 MB.
    assert!(resources.len() < 250, "{}", resources.len());
    assert!(
        translated.to_string().len() < 500_000,
        "{}",
        translated.to_string().len()
    );
}
