//! The logical ids of resources that SAM, its connectors and modules add to a template.
//!
//! Compared with aws-sam-translator 1.115 over the inputs of its own tests.

use serde_json::{Map, Value};

/// SAM's ids for custom domains, without the ten digits of a hash at their end.
const HASHED: [&str; 4] = [
    "ApiGatewayDomainName",
    "ApiGatewayDomainNameV2",
    "DomainNameAccessAssociation",
    "RecordSetGroup",
];

/// Suffixes of ids that begin with a resource's id and a name from the template: a stage, a base path.
const ENDS: [&str; 3] = ["Stage", "BasePathMapping", "ApiMapping"];

const HASH_DIGITS: usize = 10;

/// Whether a resource of the template generates another one with this id.
pub fn is_made(template: &Value, id: &str) -> bool {
    let Some(resources) = template["Resources"].as_object() else {
        return false;
    };
    let uses_sam = resources.values().any(|resource| is_sam(kind(resource)));
    let fixed = || {
        id.starts_with("Serverless")
            || id == "CodeDeployServiceRole"
            || HASHED
                .iter()
                .any(|name| id.strip_prefix(name).is_some_and(is_hash))
    };
    (uses_sam && fixed())
        || resources
            .iter()
            .any(|(owner, resource)| made_of(owner, resource, id))
        || resources.values().any(|resource| names_queue(resource, id))
}

fn kind(resource: &Value) -> &str {
    resource["Type"].as_str().unwrap_or_default()
}

fn is_sam(kind: &str) -> bool {
    kind.starts_with("AWS::Serverless::")
}

fn is_hash(text: &str) -> bool {
    text.len() == HASH_DIGITS && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Whether `owner` generates a resource with this id.
fn made_of(owner: &str, resource: &Value, id: &str) -> bool {
    let Some(part) = id.strip_prefix(owner).filter(|part| !part.is_empty()) else {
        return false;
    };
    let begins = |names: &Value| {
        let mut names = names.as_object().map(Map::keys).into_iter().flatten();
        names.any(|name| part.starts_with(name.as_str()))
    };
    let kind = kind(resource);
    // A module's resources have its id before their own, with or without a dot. A type that a tool fills in may be a module.
    let is_module = kind.ends_with("::MODULE") || resource["Type"].is_object();
    if is_module || begins(&resource["Connectors"]) {
        return true;
    }
    is_sam(kind)
        && (part.starts_with(|c: char| c == '.' || c.is_ascii_uppercase())
            || is_hash(part)
            || ENDS.iter().any(|end| part.ends_with(end))
            || begins(&resource["Properties"]["Events"])
            // Its resolvers and functions keep the names that the schema gives them.
            || kind == "AWS::Serverless::GraphQLApi")
}

/// Whether an event makes SAM generate a queue, or the policy of one, with this id.
fn names_queue(resource: &Value, id: &str) -> bool {
    fn inside(value: &Value, id: &str) -> bool {
        match value {
            Value::Array(list) => list.iter().any(|item| inside(item, id)),
            Value::Object(map) => map.iter().any(|(key, value)| {
                let names = ["QueueLogicalId", "QueuePolicyLogicalId"].contains(&key.as_str());
                let named = value.as_str().filter(|_| names);
                let policy = |queue| id.strip_prefix(queue) == Some("Policy");
                named.is_some_and(|queue| queue == id || policy(queue)) || inside(value, id)
            }),
            _ => false,
        }
    }
    is_sam(kind(resource)) && inside(&resource["Properties"]["Events"], id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::template::parse;

    #[test]
    fn generated_ids_match_the_translator() {
        let template = parse(
            r#"Resources:
  Shop: {Type: AWS::Serverless::Api, Properties: {StageName: dev}}
  Report:
    Type: AWS::Serverless::Function
    Properties:
      Events:
        nightly:
          Type: Schedule
          Properties: {DeadLetterConfig: {Type: SQS, QueueLogicalId: Lost}}
  Graph: {Type: AWS::Serverless::GraphQLApi}
  News:
    Type: AWS::SNS::Topic
    Connectors: {toInbox: {}}
  Net: {Type: "My::Vpc::Net::MODULE"}
  Packed: {Type: {"Rain::Module": net.yml}}
  Plain: {Type: AWS::SQS::Queue}
"#,
        )
        .unwrap();
        for id in [
            "ShopdevStage",
            "ShopDeployment0123456789",
            "ShopgetBasePathMapping",
            "ApiGatewayDomainNameV2f6d6317296",
            "RecordSetGroup486a9be065",
            "ReportRole",
            "Report.Version",
            "Reportnightly",
            "ReportnightlyPermission",
            "Lost",
            "LostPolicy",
            "GraphformatItem",
            "NewstoInboxQueuePolicy",
            "NetSubnet",
            "Net.Subnet",
            "PackedSubnet",
            "ServerlessRestApi",
            "CodeDeployServiceRole",
        ] {
            assert!(is_made(&template, id), "{id}");
        }
        for id in [
            "Shops",
            "Reports",
            "Reportnight",
            "Newsto",
            "NewsPolicy",
            "PlainPolicy",
            "RecordSetGroup",
            "Losts",
            "Other",
        ] {
            assert!(!is_made(&template, id), "{id}");
        }
        let plain = parse("Resources: {Plain: {Type: AWS::SQS::Queue}}").unwrap();
        assert!(!is_made(&plain, "ServerlessRestApi"));
    }
}
