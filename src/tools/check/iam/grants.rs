//! The permissions in a role.

use serde_json::Value;

use crate::tools::check::functions::Function;
use crate::tools::check::template::{Resource, Template};
use crate::tools::template::{ACCOUNT, REGION, below};

/// One action on one resource; both may have wildcards.
#[derive(Clone, Debug)]
pub struct Grant {
    pub action: String,
    pub resource: String,
    /// The statement; empty for a policy of AWS or SAM.
    pub pointer: String,
}

pub struct Role {
    pub pointer: String,
    pub grants: Vec<Grant>,
    /// Whether unknown grants are possible, such as by a policy of another stack.
    pub opaque: bool,
    /// Whether SAM creates the role, with permissions for the function's log, traces and queues.
    pub by_sam: bool,
}

/// Managed policies of AWS with their permissions.
const MANAGED: [(&str, &[&str]); 4] = [
    (
        "AWSLambdaBasicExecutionRole",
        &["logs:CreateLogStream", "logs:PutLogEvents"],
    ),
    (
        "AWSXRayDaemonWriteAccess",
        &["xray:PutTraceSegments", "xray:PutTelemetryRecords"],
    ),
    (
        "AWSXrayWriteOnlyAccess",
        &["xray:PutTraceSegments", "xray:PutTelemetryRecords"],
    ),
    (
        "AWSLambdaSQSQueueExecutionRole",
        &[
            "sqs:ReceiveMessage",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
            "logs:CreateLogStream",
            "logs:PutLogEvents",
        ],
    ),
];

/// Suffix of the export with a bridge's managed policy for workflows.
const WORKFLOW_LOGS: &str = "-WorkflowLogs";

/// A policy template of SAM: name, parameter, service, prefix of the value in the ARN, actions.
type Made = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
);
const MADE: [Made; 7] = [
    (
        "LambdaInvokePolicy",
        "FunctionName",
        "lambda",
        "function:",
        &["lambda:InvokeFunction"],
    ),
    (
        "SQSSendMessagePolicy",
        "QueueName",
        "sqs",
        "",
        &["sqs:SendMessage"],
    ),
    (
        "SQSPollerPolicy",
        "QueueName",
        "sqs",
        "",
        &[
            "sqs:ReceiveMessage",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
            "sqs:ChangeMessageVisibility",
        ],
    ),
    (
        "StepFunctionsExecutionPolicy",
        "StateMachineName",
        "states",
        "stateMachine:",
        &["states:StartExecution"],
    ),
    (
        "EventBridgePutEventsPolicy",
        "EventBusName",
        "events",
        "event-bus/",
        &["events:PutEvents"],
    ),
    (
        "SSMParameterReadPolicy",
        "ParameterName",
        "ssm",
        "parameter/",
        &["ssm:GetParameter"],
    ),
    (
        "AWSSecretsManagerGetSecretValuePolicy",
        "SecretArn",
        "",
        "",
        &["secretsmanager:GetSecretValue"],
    ),
];

/// The role of a function; `None` where another stack has it.
pub fn role(template: &Template, function: &Function) -> Option<Role> {
    of(template, function.resource, "Role")
}

/// The role that the property `key` of a resource names, or that SAM creates from its policies.
pub fn of(template: &Template, owner: Resource, key: &str) -> Option<Role> {
    let Some(written) = owner.value["Properties"].get(key) else {
        let mut reader = Reader::new(template);
        reader.list(&owner.property("Policies"));
        return Some(reader.role(owner.pointer(), true));
    };
    let arn = template.resolver.text(written)?;
    let role = template
        .of_type("AWS::IAM::Role")
        .find(|role| template.arn(role.id).as_deref() == Some(&arn))?;
    let mut reader = Reader::new(template);
    reader.list(&role.property("Policies"));
    reader.list(&role.property("ManagedPolicyArns"));
    let name = template.reference(role.id)?;
    for kind in [
        "AWS::IAM::Policy",
        "AWS::IAM::ManagedPolicy",
        "AWS::IAM::RolePolicy",
    ] {
        for policy in template
            .of_type(kind)
            .filter(|policy| is_attached(template, policy, &name))
        {
            reader.document(&policy.property("PolicyDocument"));
        }
    }
    Some(reader.role(role.pointer(), false))
}

fn is_attached(template: &Template, policy: &Resource, role: &str) -> bool {
    let properties = &policy.value["Properties"];
    let roles = template.resolver.value(&properties["Roles"]);
    let named = template.resolver.text(&properties["RoleName"]);
    named.as_deref() == Some(role)
        || roles
            .as_array()
            .into_iter()
            .flatten()
            .any(|name| name == role)
}

struct Reader<'a, 's> {
    template: &'a Template<'s>,
    grants: Vec<Grant>,
    opaque: bool,
}

impl<'a, 's> Reader<'a, 's> {
    fn new(template: &'a Template<'s>) -> Self {
        Self {
            template,
            grants: Vec::new(),
            opaque: false,
        }
    }

    fn role(self, pointer: String, by_sam: bool) -> Role {
        Role {
            pointer,
            grants: self.grants,
            opaque: self.opaque,
            by_sam,
        }
    }

    /// Reads policies: names, documents or SAM's templates.
    fn list(&mut self, pointer: &str) {
        match self.template.value().pointer(pointer) {
            None => {}
            Some(Value::Array(list)) => {
                (0..list.len()).for_each(|i| self.policy(&below(pointer, i)))
            }
            Some(_) => self.policy(pointer),
        }
    }

    fn policy(&mut self, pointer: &str) {
        let Some(written) = self.template.value().pointer(pointer) else {
            return;
        };
        if written.get("PolicyDocument").is_some() {
            return self.document(&below(pointer, "PolicyDocument"));
        }
        if written.get("Statement").is_some() {
            return self.document(pointer);
        }
        if self.is_workflow_logs(written) {
            return;
        }
        let resolved = self.template.resolver.value(written);
        if let Some(name) = resolved.as_str() {
            return self.managed(name, pointer);
        }
        if resolved.is_null() {
            return;
        }
        // A whole policy under a condition.
        let document = resolved.get("PolicyDocument").unwrap_or(&resolved);
        if document.get("Statement").is_some() {
            return self.statements(document, pointer);
        }
        self.made(&resolved);
    }

    /// Whether this is the bridge's policy for the logs and traces of workflows, which allows nothing else.
    fn is_workflow_logs(&self, written: &Value) -> bool {
        let export = written.get("Fn::ImportValue");
        let export = export.and_then(|export| self.template.resolver.text(export));
        export.is_some_and(|export| export.ends_with(WORKFLOW_LOGS))
    }

    fn managed(&mut self, name: &str, pointer: &str) {
        let short = name.rsplit('/').next().unwrap_or(name);
        let own = self
            .template
            .of_type("AWS::IAM::ManagedPolicy")
            .find(|policy| self.template.reference(policy.id).as_deref() == Some(name));
        if let Some(own) = own {
            self.document(&own.property("PolicyDocument"));
        } else if let Some((_, actions)) = MANAGED.iter().find(|(known, _)| *known == short) {
            // The template cannot change AWS's own wildcards, so the pointer is empty.
            actions
                .iter()
                .for_each(|action| self.grant(action, "*", ""));
        } else {
            if short.ends_with("FullAccess") || short == "AdministratorAccess" {
                self.grant("*", "*", pointer);
            }
            self.opaque = true;
        }
    }

    fn made(&mut self, policy: &Value) {
        let entry = policy.as_object().and_then(|map| map.iter().next());
        let known = entry.and_then(|(name, arguments)| {
            let (_, parameter, service, before, actions) = MADE
                .iter()
                .find(|(known, ..)| name.trim_end_matches("_v2") == *known)?;
            let value = arguments[parameter].as_str()?;
            let resource = match *service {
                "" => value.to_owned(),
                // SAM's ARN ends with a wildcard.
                "lambda" => format!("arn:aws:lambda:{REGION}:{ACCOUNT}:{before}{value}*"),
                service => format!(
                    "arn:aws:{service}:{REGION}:{ACCOUNT}:{before}{}",
                    value.trim_start_matches('/')
                ),
            };
            Some((resource, *actions))
        });
        match known {
            Some((resource, actions)) => actions
                .iter()
                .for_each(|action| self.grant(action, &resource, "")),
            None => self.opaque = true,
        }
    }

    fn document(&mut self, pointer: &str) {
        let statements = below(pointer, "Statement");
        match self.template.value().pointer(&statements) {
            Some(Value::Array(list)) => {
                for (i, statement) in list.iter().enumerate() {
                    let statement = self.template.resolver.value(statement);
                    self.statement(&statement, &below(&statements, i));
                }
            }
            Some(one) => {
                let resolved = self.template.resolver.value(one);
                self.statement(&resolved, &statements);
            }
            None => self.opaque = true,
        }
    }

    fn statements(&mut self, document: &Value, pointer: &str) {
        for statement in many(&document["Statement"]) {
            self.statement(statement, pointer);
        }
    }

    fn statement(&mut self, statement: &Value, pointer: &str) {
        if statement["Effect"] != "Allow" {
            return;
        }
        if statement.get("NotAction").is_some() || statement.get("NotResource").is_some() {
            self.opaque = true;
        }
        for action in many(&statement["Action"])
            .iter()
            .filter_map(|action| action.as_str())
        {
            for resource in many(&statement["Resource"])
                .iter()
                .filter_map(|resource| resource.as_str())
            {
                self.grant(action, resource, pointer);
            }
        }
    }

    fn grant(&mut self, action: &str, resource: &str, pointer: &str) {
        self.grants.push(Grant {
            action: action.to_owned(),
            resource: resource.to_owned(),
            pointer: pointer.to_owned(),
        });
    }
}

/// The items of a list; any other value counts as its only item.
pub fn many(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(list) => list.iter().collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    }
}
