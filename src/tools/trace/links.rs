//! Links to details: pages of the console, or commands for the local stack.

use std::collections::BTreeMap;

use super::model::{Event, Head, Link, Part, What};

/// The data of a deployed stack for links.
#[derive(Clone, Debug, Default)]
pub struct Stack {
    /// For people.
    pub name: String,
    /// The option that selects it in `bridge replay`: ` --stack-name NAME`, or nothing for the local stack.
    pub place: String,
    pub region: String,
    /// The outputs of the template.
    pub outputs: BTreeMap<String, String>,
    /// The emulator's endpoint and account; none on AWS.
    pub local: Option<(String, String)>,
}

impl Stack {
    /// The log group of a part, from the output with its page in the console.
    pub fn log_group(&self, part: Part) -> Option<&str> {
        let url = self.outputs.get(output_of(part)?)?;
        url.split_once("log-group/").map(|(_, group)| group)
    }

    /// Pages, or commands, for the events.
    pub fn links(&self, head: &Head, events: &[Event]) -> Vec<Link> {
        let mut links = Vec::new();
        let mut add = |what: &str, to: String| {
            let what = what.to_owned();
            links.push(Link { what, to });
        };
        let (region, console) = (&self.region, self.console());
        if let Some((endpoint, account)) = &self.local {
            let set = format!(
                "export AWS_ENDPOINT_URL={endpoint} AWS_ACCESS_KEY_ID={account} AWS_SECRET_ACCESS_KEY=test AWS_REGION={region}"
            );
            add("to look closer", set);
        }
        let local = self.local.is_some();
        for event in events {
            if let What::Ran(run) = &event.what {
                let arn = &run.arn;
                let to = match local {
                    true => {
                        format!("aws stepfunctions get-execution-history --execution-arn {arn}")
                    }
                    false => {
                        format!(
                            "{console}/states/home?region={region}#/v2/executions/details/{arn}"
                        )
                    }
                };
                add("execution", to);
            }
        }
        for part in Part::LOGGING {
            let url = output_of(part).and_then(|name| self.outputs.get(name));
            let here = events.iter().any(|event| event.part == part);
            if let (true, Some(url), Some(group)) = (here, url, self.log_group(part)) {
                let to = match local {
                    true => format!("aws logs filter-log-events --log-group-name {group}"),
                    false => url.clone(),
                };
                add(&format!("log of the {}", part.name()), to);
            }
        }
        if local {
            return links;
        }
        let dead = |event: &Event, results: bool| {
            let dead = matches!(event.what, What::DeadLettered { .. });
            dead && event.part.is_of_results() == results
        };
        let letters = events.iter().any(|event| dead(event, false));
        let results = events.iter().any(|event| dead(event, true));
        for (what, output, had) in [
            (
                "parking queue",
                "ParkedQueueConsole",
                events.iter().any(waits),
            ),
            ("dead letters", "DeadLetterQueueConsole", letters),
            (
                "dead letters of results",
                "CompletionsDeadLetterQueueConsole",
                results,
            ),
        ] {
            if let (true, Some(url)) = (had, self.outputs.get(output)) {
                add(what, url.clone());
            }
        }
        if let Some(trace) = &head.xray_trace_id {
            let to = format!("{console}/cloudwatch/home?region={region}#xray:traces/{trace}");
            add("trace, if it was sampled", to);
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

/// Whether the message waits in the parking queue after this event.
fn waits(event: &Event) -> bool {
    match &event.what {
        What::Waits { .. } => true,
        What::Answered { targets, .. } => targets.iter().any(|one| one.outcome == "parked"),
        _ => false,
    }
}

fn output_of(part: Part) -> Option<&'static str> {
    match part {
        Part::Webhook => Some("WebhookLogs"),
        Part::Redrive => Some("RedriveLogs"),
        Part::Completion => Some("CompletionLogs"),
        Part::Sweep => Some("SweepLogs"),
        Part::Relay => Some("RelayLogs"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::trace::model::Run;

    fn stack(region: &str, local: Option<(String, String)>) -> Stack {
        let log = format!(
            "https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#logsV2:log-groups/log-group/group"
        );
        Stack {
            region: region.to_owned(),
            outputs: BTreeMap::from([
                ("RedriveLogs".to_owned(), log),
                ("ParkedQueueConsole".to_owned(), "https://parked".to_owned()),
            ]),
            local,
            ..Stack::default()
        }
    }

    fn links(stack: &Stack) -> Vec<(String, String)> {
        let event = |part, what| Event {
            at: 1,
            after_ms: None,
            part,
            route: None,
            what,
        };
        let run = Run {
            arn: "arn:aws:states:r:1:execution:M:n".to_owned(),
            ..Run::default()
        };
        let events = [
            event(Part::Redrive, What::Waits { error: None }),
            event(Part::Workflow, What::Ran(Box::new(run))),
        ];
        let head = Head {
            xray_trace_id: Some("1-2-3".to_owned()),
            ..Head::default()
        };
        let links = stack.links(&head, &events).into_iter();
        links.map(|link| (link.what, link.to)).collect()
    }

    #[test]
    fn on_aws_links_are_pages_of_the_console() {
        let stack = stack("eu-west-1", None);
        assert_eq!(stack.log_group(Part::Redrive), Some("group"));
        assert_eq!(stack.log_group(Part::Sweep), None);
        let links = links(&stack);
        let page = |of: &str| &links.iter().find(|(what, _)| what == of).unwrap().1;
        assert_eq!(
            page("execution"),
            "https://eu-west-1.console.aws.amazon.com/states/home?region=eu-west-1#/v2/executions/details/arn:aws:states:r:1:execution:M:n"
        );
        assert!(page("log of the redrive").ends_with("log-group/group"));
        assert_eq!(page("parking queue"), "https://parked");
        assert!(page("trace, if it was sampled").ends_with("#xray:traces/1-2-3"));
    }

    #[test]
    fn each_partition_has_a_console_of_its_own() {
        for (region, host) in [
            ("cn-north-1", "https://cn-north-1.console.amazonaws.cn"),
            (
                "us-gov-west-1",
                "https://us-gov-west-1.console.amazonaws-us-gov.com",
            ),
            ("us-east-1", "https://us-east-1.console.aws.amazon.com"),
        ] {
            assert_eq!(stack(region, None).console(), host);
        }
    }

    #[test]
    fn the_local_stack_has_commands() {
        let local = Some(("http://127.0.0.1:1".to_owned(), "123456789012".to_owned()));
        let links = links(&stack("us-east-1", local));
        assert!(
            links[0]
                .1
                .contains("AWS_ENDPOINT_URL=http://127.0.0.1:1 AWS_ACCESS_KEY_ID=123456789012")
        );
        assert!(
            links[1..].iter().all(|(_, to)| to.starts_with("aws ")),
            "{links:?}"
        );
        assert_eq!(links.len(), 3);
    }
}
