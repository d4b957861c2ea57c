//! Where to look closer: pages of the console, or commands for the local stack.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::model::{Event, Head, Link, Part, What};

/// A deployed stack, as far as links need it.
#[derive(Clone, Debug, Default)]
pub struct Stack {
    /// For people.
    pub name: String,
    /// What `bridge replay` needs to find the same one: ` --stack-name NAME`, or nothing for the local stack.
    pub place: String,
    pub region: String,
    /// The outputs of the template.
    pub outputs: BTreeMap<String, String>,
    /// The emulator's endpoint and account; none on AWS.
    pub local: Option<(String, String)>,
}

impl Stack {
    /// The log group of a part; the output is the console's page of it.
    pub fn log_group(&self, part: Part) -> Option<&str> {
        let url = self.outputs.get(output_of(part)?)?;
        url.split_once("log-group/").map(|(_, group)| group)
    }

    /// Pages, or commands, for what happened.
    pub fn links(&self, head: &Head, events: &[Event]) -> Vec<Link> {
        let mut links = Vec::new();
        let mut add = |what: &str, to: String| {
            let (what, link) = (what.to_owned(), to);
            links.push(Link { what, to: link });
        };
        if let Some((endpoint, account)) = &self.local {
            let region = &self.region;
            let set = format!(
                "export AWS_ENDPOINT_URL={endpoint} AWS_ACCESS_KEY_ID={account} AWS_SECRET_ACCESS_KEY=test AWS_REGION={region}"
            );
            add("to look closer", set);
        }
        for event in events {
            if let What::Ran(run) = &event.what {
                let to = match &self.local {
                    Some(_) => format!(
                        "aws stepfunctions get-execution-history --execution-arn {}",
                        run.arn
                    ),
                    None => format!(
                        "{}/states/home?region={}#/v2/executions/details/{}",
                        self.console(),
                        self.region,
                        run.arn
                    ),
                };
                add("execution", to);
            }
        }
        let parts: BTreeSet<Part> = events.iter().map(|event| event.part).collect();
        for part in Part::LOGGING
            .into_iter()
            .filter(|part| parts.contains(part))
        {
            let (Some(group), Some(url)) = (
                self.log_group(part),
                output_of(part).and_then(|name| self.outputs.get(name)),
            ) else {
                continue;
            };
            let to = match &self.local {
                Some(_) => {
                    format!("aws logs filter-log-events --log-group-name {group}")
                }
                None => url.clone(),
            };
            add(&format!("log of the {}", part.name()), to);
        }
        let waits = |what: &What| {
            matches!(what, What::Waits { .. })
                || matches!(what, What::Answered { targets, .. } if targets.iter().any(|one| one.outcome == "parked"))
        };
        let dead = |event: &Event| matches!(event.what, What::DeadLettered { .. });
        let queues = [
            (
                "parking queue",
                "ParkedQueueConsole",
                events.iter().any(|event| waits(&event.what)),
            ),
            (
                "dead letters",
                "DeadLetterQueueConsole",
                events
                    .iter()
                    .any(|event| dead(event) && !event.part.is_of_results()),
            ),
            (
                "dead letters of results",
                "CompletionsDeadLetterQueueConsole",
                events
                    .iter()
                    .any(|event| dead(event) && event.part.is_of_results()),
            ),
        ];
        for (what, output, _) in queues
            .into_iter()
            .filter(|(.., had)| *had && self.local.is_none())
        {
            if let Some(url) = self.outputs.get(output) {
                add(what, url.clone());
            }
        }
        if let (Some(trace), None) = (&head.xray_trace_id, &self.local) {
            add(
                "trace, if it was sampled",
                format!(
                    "{}/cloudwatch/home?region={}#xray:traces/{trace}",
                    self.console(),
                    self.region
                ),
            );
        }
        links
    }

    fn console(&self) -> String {
        let domain = match self.region.split('-').next() {
            Some("cn") => "console.amazonaws.cn",
            _ if self.region.starts_with("us-gov-") => "console.amazonaws-us-gov.com",
            _ => "console.aws.amazon.com",
        };
        format!("https://{}.{domain}", self.region)
    }
}

fn output_of(part: Part) -> Option<&'static str> {
    match part {
        Part::Webhook => Some("WebhookLogs"),
        Part::Redrive => Some("RedriveLogs"),
        Part::Completion => Some("CompletionLogs"),
        Part::Sweep => Some("SweepLogs"),
        _ => None,
    }
}
