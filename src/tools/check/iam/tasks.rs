//! The calls of a state machine's tasks, compared with the permissions of its role.
//!
//! <https://docs.aws.amazon.com/step-functions/latest/dg/service-integration-iam-templates.html>

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::allows;
use super::grants::{self, Role, many};
use super::needs::shown;
use crate::domain::inbound::routes::Glob;
use crate::tools::check::asl::Call;
use crate::tools::check::code::Code;
use crate::tools::check::finding::Severity;
use crate::tools::check::findings::Findings;
use crate::tools::check::machines::Machine;
use crate::tools::check::template::{Template, is_unresolved};
use crate::tools::template::{ACCOUNT, REGION};

/// Optimized integrations whose action, with a capital letter, is IAM's.
const SAME: [&str; 13] = [
    "athena",
    "batch",
    "codebuild",
    "databrew",
    "dynamodb",
    "emr-containers",
    "emr-serverless",
    "events",
    "glue",
    "mediaconvert",
    "sagemaker",
    "sns",
    "sqs",
];

/// The checked calls of an SDK: its name, the service in IAM, the actions.
const SDK: [(&str, &str, &[&str]); 8] = [
    (
        "dynamodb",
        "dynamodb",
        &[
            "deleteItem",
            "getItem",
            "putItem",
            "query",
            "scan",
            "updateItem",
        ],
    ),
    ("eventbridge", "events", &["putEvents"]),
    ("lambda", "lambda", &["invoke"]),
    ("secretsmanager", "secretsmanager", &["getSecretValue"]),
    (
        "sfn",
        "states",
        &[
            "describeExecution",
            "startExecution",
            "startSyncExecution",
            "stopExecution",
        ],
    ),
    ("sns", "sns", &["publish"]),
    (
        "sqs",
        "sqs",
        &["deleteMessage", "receiveMessage", "sendMessage"],
    ),
    ("ssm", "ssm", &["getParameter", "putParameter"]),
];

/// The resources of the template by their ARNs.
type Owned = BTreeMap<String, String>;

/// One action on one resource, or on any.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Need {
    action: String,
    resource: Option<String>,
    state: String,
}

pub fn check(template: &Template, machines: &[Machine], findings: &mut Findings) {
    // A connector adds permissions to the roles on both sides.
    if template
        .of_type("AWS::Serverless::Connector")
        .next()
        .is_some()
    {
        return;
    }
    let owned: Owned = template
        .resources()
        .filter_map(|resource| Some((template.arn(resource.id)?, resource.id.to_owned())))
        .collect();
    for machine in machines {
        let Some(definition) = &machine.definition else {
            continue;
        };
        let Some(role) = role(template, machine) else {
            continue;
        };
        let mut needs = BTreeSet::new();
        let substitutions = &machine.resource.value["Properties"]["DefinitionSubstitutions"];
        let substitutions = template.resolver.value(substitutions);
        let definition = filled(&template.resolver.value(definition), &substitutions);
        tasks(template, &definition, &owned, &mut needs);
        let mut seen = BTreeSet::new();
        let stack = template.resolver.stack();
        for need in needs
            .iter()
            .filter(|need| !covers(&role, need, &owned, stack))
        {
            if !seen.insert((&need.action, &need.resource)) {
                continue;
            }
            let on = match &need.resource {
                Some(arn) => shown(template, arn),
                None => "its resource".to_owned(),
            };
            let text = format!(
                "expected the role of state machine `{}` to be allowed `{}` on {on}, found no statement that does: state `{}` calls it; add one",
                machine.resource.id, need.action, need.state
            );
            let severity = match machine.routed {
                true => Severity::Error,
                false => Severity::Warning,
            };
            let place = template.source.places.of(&role.pointer);
            findings.push(template.source, place, Code::IamMissing, severity, text);
        }
    }
}

/// The role of a state machine, where all its permissions are known.
fn role(template: &Template, machine: &Machine) -> Option<Role> {
    let resource = machine.resource;
    let key = match resource.kind() {
        "AWS::Serverless::StateMachine" => "Role",
        _ => "RoleArn",
    };
    let role = grants::of(template, resource, key)?;
    // The template may attach policies to SAM's role.
    let made = format!("\"{}Role\"", resource.id);
    let more = role.by_sam
        && template.resources().any(|other| {
            other.kind().starts_with("AWS::IAM::") && other.value.to_string().contains(&made)
        });
    let connected = resource.value.get("Connectors").is_some();
    (!role.opaque && !more && !connected).then_some(role)
}

/// A definition with its placeholders filled in.
fn filled(value: &Value, substitutions: &Value) -> Value {
    match value {
        Value::String(text) if text.contains("${") => {
            let mut text = text.clone();
            for (name, value) in substitutions.as_object().into_iter().flatten() {
                let value = crate::tools::template::text(value).unwrap_or_default();
                text = text.replace(&format!("${{{name}}}"), &value);
            }
            text.into()
        }
        Value::Array(list) => list
            .iter()
            .map(|item| filled(item, substitutions))
            .collect(),
        Value::Object(map) => {
            let entries = map.iter();
            entries
                .map(|(key, value)| (key.clone(), filled(value, substitutions)))
                .collect::<Map<_, _>>()
                .into()
        }
        other => other.clone(),
    }
}

/// The needs of all tasks, those inside of Map and Parallel states included.
fn tasks(template: &Template, machine: &Value, owned: &Owned, needs: &mut BTreeSet<Need>) {
    for (name, state) in machine["States"].as_object().into_iter().flatten() {
        let branches = many(&state["Branches"]);
        let processors = ["ItemProcessor", "Iterator"].map(|key| &state[key]);
        for inner in branches.into_iter().chain(processors) {
            tasks(template, inner, owned, needs);
        }
        let mut add = |action: &str, resource: Option<String>| {
            needs.insert(Need {
                action: action.to_owned(),
                // A resource of another stack may have another name there.
                resource: resource.filter(|arn| owned.contains_key(arn)),
                state: name.clone(),
            });
        };
        // A task with credentials has another role.
        if state["Type"] != "Task" || state.get("Credentials").is_some() {
            continue;
        }
        let resource = state["Resource"].as_str().unwrap_or_default();
        if resource.contains(":lambda:") && resource.contains(":function:") {
            add("lambda:InvokeFunction", Some(unqualified(resource)));
        } else if let Some(call) = Call::of(resource) {
            called(template, state, &call, &mut add);
        }
    }
}

fn called(
    template: &Template,
    state: &Value,
    call: &Call,
    add: &mut impl FnMut(&str, Option<String>),
) {
    let arguments = ["Arguments", "Parameters"]
        .into_iter()
        .find_map(|key| state.get(key));
    // Only the execution knows the value of an expression.
    let argument = |key: &str| {
        let text = arguments?.get(key)?.as_str()?;
        (!text.starts_with("{%")).then(|| text.to_owned())
    };
    let sdk = call.service.strip_prefix("aws-sdk:");
    let service = match sdk {
        Some(sdk) => {
            let known = SDK.iter().find(|(name, ..)| *name == sdk);
            let Some((_, service, _)) =
                known.filter(|(.., actions)| actions.contains(&call.action))
            else {
                return;
            };
            service
        }
        None => call.service,
    };
    let arn = |what: &str, name: String| match name.starts_with("arn:") {
        true => name,
        false => format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{what}{name}"),
    };
    let action = format!("{service}:{}", capital(call.action));
    match (service, call.action) {
        ("lambda", "invoke") => {
            let function = argument("FunctionName").map(|name| arn("function:", name));
            add(
                "lambda:InvokeFunction",
                function.map(|arn| unqualified(&arn)),
            );
        }
        ("http", "invoke") => {
            add("states:InvokeHTTPEndpoint", None);
            add("events:RetrieveConnectionCredentials", None);
        }
        ("states", "startExecution") => {
            add(&action, argument("StateMachineArn"));
            if call.waits.starts_with(".sync") {
                for action in ["events:PutTargets", "events:PutRule", "events:DescribeRule"] {
                    add(action, None);
                }
            }
        }
        ("sqs", _) => {
            let url = argument("QueueUrl");
            let queue = url.and_then(|url| template.named("AWS::SQS::Queue", &url));
            add(&action, queue.and_then(|queue| template.arn(queue.id)));
        }
        ("sns", "publish") => add(&action, argument("TopicArn")),
        ("dynamodb", _) => add(
            &action,
            argument("TableName").map(|name| arn("table/", name)),
        ),
        ("events" | "secretsmanager" | "ssm" | "states", _) => add(&action, None),
        (service, _) if SAME.contains(&service) => add(&action, None),
        _ => {}
    }
}

fn capital(action: &str) -> String {
    let mut chars = action.chars();
    let first = chars.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(chars).collect()
}

/// The ARN of a function without a version or an alias.
fn unqualified(function: &str) -> String {
    /// `arn`, partition, service, region, account, `function` and the name.
    const PARTS: usize = 7;
    let parts: Vec<_> = function.split(':').take(PARTS).collect();
    parts.join(":")
}

fn covers(role: &Role, need: &Need, owned: &Owned, stack: &str) -> bool {
    let names = need.resource.iter().flat_map(|arn| {
        // CloudFormation builds names from the id and the stack's name; a version counts as the function.
        let before = owned
            .get(arn)
            .and_then(|id| arn.strip_suffix(&**id).zip(Some(id)));
        let made = before.map(|(before, id)| {
            [
                format!("{before}{id}-0AbCdEfGhIjK"),
                format!("{before}{stack}-{id}-0AbCdEfGhIjK"),
            ]
        });
        let known = [arn.clone(), format!("{arn}:1")];
        known.into_iter().chain(made.into_iter().flatten())
    });
    let names: Vec<_> = names.collect();
    role.grants.iter().any(|grant| {
        let glob = Glob::new(&grant.resource);
        let any = need.resource.is_none() || is_unresolved(&grant.resource);
        allows(&grant.action, &need.action)
            && (any
                || names.iter().any(|name| glob.matches(name))
                || need.resource.as_deref() == Some(unqualified(&grant.resource).as_str()))
    })
}
