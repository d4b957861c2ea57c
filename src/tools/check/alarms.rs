//! Dead-letter queues without an alarm.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::code::Code;
use super::findings::Findings;
use super::functions::Function;
use super::routes::Route;
use super::template::Template;

/// Checks the dead-letter queues of a bridge and of workflows.
pub fn check(
    template: &Template,
    functions: &[Function],
    routes: &[Route],
    findings: &mut Findings,
) {
    if functions.is_empty() && routes.is_empty() {
        return;
    }
    let alarms: Vec<_> = template
        .of_type("AWS::CloudWatch::Alarm")
        .map(|alarm| template.resolver.value(&alarm.value["Properties"]))
        .collect();
    let queues: BTreeSet<_> = named(template, functions)
        .iter()
        .filter_map(|name| Some(template.named("AWS::SQS::Queue", name)?.id))
        .collect();
    for id in queues {
        let name = json!({ "Fn::GetAtt": [id, "QueueName"] });
        let Some(name) = template.resolver.text(&name) else {
            continue;
        };
        if !alarms.iter().any(|alarm| watches(alarm, &name)) {
            let text = format!(
                "dead-letter queue `{id}`: expected an alarm on its messages, found none: a dead letter would wait unseen until SQS deletes it; add an alarm on `ApproximateNumberOfMessagesVisible` of this queue"
            );
            let at = crate::tools::template::below("/Resources", id);
            findings.warn(template.source, &at, Code::DeadLetterAlarm, text);
        }
    }
}

/// The ARNs and URLs of dead-letter queues: of queues, of rules, and of the bridge's functions.
fn named(template: &Template, functions: &[Function]) -> Vec<String> {
    let mut named = Vec::new();
    let mut add = |value: &Value| named.extend(value.as_str().map(str::to_owned));
    for queue in template.of_type("AWS::SQS::Queue") {
        let policy = &queue.value["Properties"]["RedrivePolicy"];
        add(&template.resolver.value(policy)["deadLetterTargetArn"]);
    }
    for rule in template.of_type("AWS::Events::Rule") {
        let targets = template
            .resolver
            .value(&rule.value["Properties"]["Targets"]);
        for target in targets.as_array().into_iter().flatten() {
            add(&target["DeadLetterConfig"]["Arn"]);
        }
    }
    let own = functions
        .iter()
        .filter_map(|function| function.variable("DEAD_LETTER_QUEUE_URL"));
    named.extend(own.map(str::to_owned));
    named
}

/// Whether an alarm has the dimension of a queue, in one metric or in several.
fn watches(value: &Value, queue: &str) -> bool {
    match value {
        Value::Array(list) => list.iter().any(|item| watches(item, queue)),
        Value::Object(map) => {
            (value["Name"] == "QueueName" && value["Value"] == *queue)
                || map.values().any(|inner| watches(inner, queue))
        }
        _ => false,
    }
}
