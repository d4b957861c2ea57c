//! Names and ARNs of a made-up account.

use crate::domain::inbound::arn::unqualified;
use serde_json::Value;

use super::{PIECE, Resolver, text, unresolved};

pub const ACCOUNT: &str = "123456789012";
pub const REGION: &str = "us-east-1";
/// The stack of the bridge.
pub const STACK: &str = "workflow-bridge";
/// The stack of a workflow beside its bridge's.
pub const WORKFLOW_STACK: &str = "workflow";

/// A type of resource: the property with its name, the service and the prefix of the name in its ARN, and whether `Ref`
/// gives the ARN.
type Kind = (&'static str, &'static str, &'static str, &'static str, bool);

#[rustfmt::skip]
const KINDS: [Kind; 17] = [
    ("AWS::DynamoDB::Table", "TableName", "dynamodb", "table/", false),
    ("AWS::Events::EventBus", "Name", "events", "event-bus/", false),
    ("AWS::Events::Rule", "Name", "events", "rule/", false),
    ("AWS::IAM::ManagedPolicy", "ManagedPolicyName", "iam", "policy/", true),
    ("AWS::IAM::Role", "RoleName", "iam", "role/", false),
    ("AWS::Lambda::Function", "FunctionName", "lambda", "function:", false),
    ("AWS::Logs::LogGroup", "LogGroupName", "logs", "log-group:", false),
    ("AWS::S3::Bucket", "BucketName", "s3", "", false),
    ("AWS::SNS::Topic", "TopicName", "sns", "", true),
    ("AWS::SQS::Queue", "QueueName", "sqs", "", false),
    ("AWS::SSM::Parameter", "Name", "ssm", "parameter/", false),
    ("AWS::SecretsManager::Secret", "Name", "secretsmanager", "secret:", true),
    ("AWS::Serverless::Function", "FunctionName", "lambda", "function:", false),
    ("AWS::Serverless::SimpleTable", "TableName", "dynamodb", "table/", false),
    ("AWS::Serverless::StateMachine", "Name", "states", "stateMachine:", true),
    ("AWS::StepFunctions::Activity", "Name", "states", "activity:", true),
    ("AWS::StepFunctions::StateMachine", "StateMachineName", "states", "stateMachine:", true),
];

impl Resolver<'_> {
    /// The value of `Ref`.
    pub(super) fn reference(&self, id: &str, depth: usize) -> Value {
        let known = match id {
            "AWS::Partition" => Some("aws"),
            "AWS::Region" => Some(REGION),
            "AWS::AccountId" => Some(ACCOUNT),
            "AWS::StackName" => Some(self.stack),
            "AWS::URLSuffix" => Some("amazonaws.com"),
            _ => None,
        };
        if let Some(known) = known {
            return known.into();
        }
        if let Some(parameter) = self.template["Parameters"].get(id) {
            return self.parameter(id, parameter);
        }
        let Some(resource) = self.template["Resources"].get(id) else {
            return self
                .made_by_sam(id, depth)
                .unwrap_or_else(|| unresolved(id));
        };
        let properties = &resource["Properties"];
        match resource["Type"].as_str().unwrap_or_default() {
            "AWS::SQS::Queue" => {
                let name = self.physical_name(id, resource, depth);
                format!("https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}").into()
            }
            "AWS::StepFunctions::StateMachineVersion" => {
                let machine = self.inner(&properties["StateMachineArn"], depth + 1);
                format!("{}:1", machine.as_ref().and_then(text).unwrap_or_default()).into()
            }
            "AWS::StepFunctions::StateMachineAlias" => {
                let version = properties
                    .pointer("/RoutingConfiguration/0/StateMachineVersionArn")
                    .or_else(|| properties.pointer("/DeploymentPreference/StateMachineVersionArn"));
                let version = version.and_then(|version| self.inner(version, depth + 1));
                let version = version.as_ref().and_then(text).unwrap_or_default();
                let name = self.inner(&properties["Name"], depth + 1);
                let name = name.as_ref().and_then(text).unwrap_or_default();
                format!("{}:{name}", unqualified(&version)).into()
            }
            kind if kind_of(kind).is_some_and(|(.., by_arn)| *by_arn) => {
                self.arn(id, resource, depth)
            }
            _ => self.physical_name(id, resource, depth).into(),
        }
    }

    /// The value of `Fn::GetAtt`.
    pub(super) fn attribute(&self, id: &str, attribute: &str, depth: usize) -> Value {
        let Some(resource) = self.template["Resources"].get(id) else {
            // The caller leaves out routes of unknown parameters.
            if self.pieces && attribute == "Value" {
                return serde_json::json!({ PIECE: id }).to_string().into();
            }
            return match attribute {
                "Arn" | "Alias" | "Version" => self.made_by_sam(id, depth),
                _ => None,
            }
            .unwrap_or_else(|| unresolved(&format!("{id}-{attribute}")));
        };
        let kind = resource["Type"].as_str().unwrap_or_default();
        match (kind, attribute) {
            ("AWS::SSM::Parameter", "Value") => {
                let value = &resource["Properties"]["Value"];
                if self.pieces && value.get("Fn::ToJsonString").is_some() {
                    return serde_json::json!({ PIECE: id }).to_string().into();
                }
                self.inner(value, depth + 1).unwrap_or_default()
            }
            ("AWS::SQS::Queue", "QueueUrl") => self.reference(id, depth),
            (_, "Arn" | "Id" | "TopicArn") if kind_of(kind).is_some() => {
                self.arn(id, resource, depth)
            }
            (_, "Name" | "QueueName" | "TopicName" | "RoleName") => {
                self.physical_name(id, resource, depth).into()
            }
            _ => unresolved(&format!("{id}-{attribute}")),
        }
    }

    fn parameter(&self, id: &str, parameter: &Value) -> Value {
        let kind = parameter["Type"].as_str().unwrap_or_default();
        let value = self.chosen.get(id).or_else(|| parameter.get("Default"));
        match value {
            Some(value) if kind == "CommaDelimitedList" || kind.starts_with("List<") => {
                let whole = text(value).unwrap_or_default();
                whole.split(',').map(str::trim).collect()
            }
            // A text, even where written as a number or a flag.
            Some(value) if kind == "String" => {
                text(value).map_or_else(|| value.clone(), Value::String)
            }
            // The default of an SSM type is the name of a parameter, not its value.
            Some(value) if !kind.starts_with("AWS::SSM::Parameter::") => value.clone(),
            _ => unresolved(id),
        }
    }

    /// The alias of a state machine with `AutoPublishAlias`, whose logical id SAM generates.
    fn made_by_sam(&self, id: &str, depth: usize) -> Option<Value> {
        let mut ends = id.match_indices("Alias");
        ends.find_map(|(at, _)| {
            let machine = self.template["Resources"].get(&id[..at])?;
            let known = machine["Type"] == "AWS::Serverless::StateMachine";
            let arn = known.then(|| self.arn(&id[..at], machine, depth))?;
            Some(format!("{}:{}", arn.as_str()?, &id[at + "Alias".len()..]).into())
        })
    }

    fn physical_name(&self, id: &str, resource: &Value, depth: usize) -> String {
        let kind = resource["Type"].as_str().unwrap_or_default();
        let named =
            kind_of(kind).and_then(|(_, property, ..)| resource["Properties"].get(*property));
        let named = named.and_then(|name| self.inner(name, depth + 1));
        named.as_ref().and_then(text).unwrap_or_else(|| match kind {
            // Policies match rules by the prefix of their names: the stack's.
            "AWS::Events::Rule" => format!("{}-{id}", self.stack),
            _ => id.to_owned(),
        })
    }

    fn arn(&self, id: &str, resource: &Value, depth: usize) -> Value {
        let Some((_, _, service, before, _)) =
            kind_of(resource["Type"].as_str().unwrap_or_default())
        else {
            return unresolved(&format!("{id}-Arn"));
        };
        let name = self.physical_name(id, resource, depth);
        let (region, account) = match *service {
            "s3" => ("", ""),
            "iam" => ("", ACCOUNT),
            _ => (REGION, ACCOUNT),
        };
        let (before, after) = match *service {
            "secretsmanager" => (*before, "-AbCdEf"),
            "logs" => (*before, ":*"),
            // No second slash before a name with a leading one.
            "ssm" if name.starts_with('/') => ("parameter", ""),
            _ => (*before, ""),
        };
        format!("arn:aws:{service}:{region}:{account}:{before}{name}{after}").into()
    }
}

fn kind_of(kind: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|(known, ..)| *known == kind)
}
