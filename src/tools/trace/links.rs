//! Links to details: pages of AWS's console, or the page in the local stack's.

use super::model::{Event, Head, Link, Part, What};
use crate::tools::place::Place;

impl Place {
    /// The page of a part's log in the console, by its output, and the log group.
    fn log(&self, part: Part) -> Option<(&str, &str)> {
        let url = self.outputs.get(match part {
            Part::Webhook => "WebhookLogs",
            Part::Redrive => "RedriveLogs",
            Part::Completion => "CompletionLogs",
            Part::Sweep => "SweepLogs",
            Part::Relay => "RelayLogs",
            _ => return None,
        })?;
        let (_, group) = url.split_once("log-group/")?;
        Some((url, group))
    }

    /// The log group of a part.
    pub fn log_group(&self, part: Part) -> Option<&str> {
        self.log(part).map(|(_, group)| group)
    }

    /// Pages for the message and its events.
    pub fn links(&self, head: &Head, events: &[Event]) -> Vec<Link> {
        let mut links = Vec::new();
        let mut add = |what: &str, to: String| {
            let what = what.to_owned();
            links.push(Link { what, to });
        };
        if self.is_local() {
            if let Some((console, id)) = self.console.as_deref().zip(head.id.as_deref()) {
                add("console", run_page(console, id));
            }
            return links;
        }
        let (region, console) = (self.region(), console(self.region()));
        for run in events.iter().filter_map(Event::run) {
            let page = format!("/states/home?region={region}#/v2/executions/details/");
            add("execution", format!("{console}{page}{}", run.arn));
        }
        for part in Part::LOGGING {
            let here = events.iter().any(|event| event.part == part);
            if let Some((url, _)) = self.log(part).filter(|_| here) {
                add(&format!("log of the {}", part.name()), url.to_owned());
            }
        }
        let had = |wanted: &dyn Fn(&Event) -> bool| events.iter().any(wanted);
        let dead = |event: &Event| matches!(event.what, What::DeadLettered { .. });
        for (what, output, had) in [
            ("parking queue", "ParkedQueueConsole", had(&waits)),
            (
                "dead letters",
                "DeadLetterQueueConsole",
                had(&|event| dead(event) && !event.part.is_of_results()),
            ),
            (
                "dead letters of results",
                "CompletionsDeadLetterQueueConsole",
                had(&|event| dead(event) && event.part.is_of_results()),
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
}

/// The console's address in a region of any partition.
fn console(region: &str) -> String {
    let domain = match region.split('-').next() {
        Some("cn") => "console.amazonaws.cn",
        _ if region.starts_with("us-gov-") => "console.amazonaws-us-gov.com",
        _ => "console.aws.amazon.com",
    };
    format!("https://{region}.{domain}")
}

/// The page of a message in the console at this address, which may have a query.
pub fn run_page(console: &str, id: &str) -> String {
    match console.parse::<reqwest::Url>() {
        Ok(mut url) => {
            url.set_path(&format!("/runs/{id}"));
            url.into()
        }
        Err(_) => console.to_owned(),
    }
}

/// Whether the message waits in the parking queue after this event.
fn waits(event: &Event) -> bool {
    match &event.what {
        What::Waits { .. } => true,
        What::Answered(answer) => answer.targets.iter().any(|one| one.outcome == "parked"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use aws_config::{Region, SdkConfig};

    use super::*;
    use crate::tools::trace::model::Run;

    fn place(stack_name: Option<&str>, address: Option<&str>) -> Place {
        let region = "eu-west-1";
        let log = format!(
            "{}/cloudwatch/home?region={region}#logsV2:log-groups/log-group/group",
            console(region)
        );
        let outputs = [
            ("RedriveLogs", log.as_str()),
            ("ParkedQueueConsole", "https://parked"),
        ];
        Place {
            config: SdkConfig::builder().region(Region::new(region)).build(),
            outputs: outputs.map(|(name, to)| (name.into(), to.into())).into(),
            name: String::new(),
            stack_name: stack_name.map(ToOwned::to_owned),
            console: address.map(ToOwned::to_owned),
        }
    }

    fn links(place: &Place) -> Vec<(String, String)> {
        let run = Run {
            arn: "arn:aws:states:r:1:execution:M:n".to_owned(),
            ..Run::default()
        };
        let events = [
            (Part::Redrive, What::Waits { error: None }),
            (Part::Workflow, What::Ran(Box::new(run))),
        ];
        let events = events.map(|(part, what)| Event::new(1, part, None, what));
        let head = Head {
            id: Some("0123".to_owned()),
            xray_trace_id: Some("1-2-3".to_owned()),
            ..Head::default()
        };
        let links = place.links(&head, &events).into_iter();
        links.map(|link| (link.what, link.to)).collect()
    }

    #[test]
    fn on_aws_links_are_pages_of_the_console() {
        let place = place(Some("s"), None);
        assert_eq!(place.log_group(Part::Redrive), Some("group"));
        assert_eq!(place.log_group(Part::Sweep), None);
        let links = links(&place);
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
        for (region, domain) in [
            ("cn-north-1", "console.amazonaws.cn"),
            ("us-gov-west-1", "console.amazonaws-us-gov.com"),
            ("us-east-1", "console.aws.amazon.com"),
        ] {
            let host = format!("https://{region}.{domain}");
            assert_eq!(console(region), host);
        }
    }

    #[test]
    fn of_the_local_stack_the_link_is_the_page_in_its_console() {
        let console = "http://127.0.0.1:8484/?token=abc";
        let page = "http://127.0.0.1:8484/runs/0123?token=abc".to_owned();
        let links_of = |console| links(&place(None, console));
        assert_eq!(links_of(Some(console)), [("console".to_owned(), page)]);
        assert_eq!(links_of(None), []);
        assert_eq!(run_page("elsewhere", "0123"), "elsewhere");
    }
}
