//! The rules that bring ends of executions and `Topic Publish` events to the completion's queue.

use serde_json::{Value, json};

use super::another;
use super::code::Code;
use super::findings::Findings;
use super::functions::{Function, Part};
use super::machines::Machine;
use super::routes::Route;
use super::template::{Resource, Template, is_unresolved, listed};
use crate::domain::inbound::routes::{Glob, Pattern};
use crate::tools::template::{ACCOUNT, REGION};

const STATUSES: [&str; 4] = ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"];
/// Of a start, which a route may announce.
const RUNNING: &str = "RUNNING";
/// The fields of an event.
pub const EVENT: [&str; 9] = [
    "version",
    "id",
    "detail-type",
    "source",
    "account",
    "time",
    "region",
    "resources",
    "detail",
];

struct Rule<'s> {
    resource: Resource<'s>,
    pattern: Option<Pattern>,
    /// Enabled, and on the default bus, where Step Functions puts its events.
    active: bool,
    targets: Vec<Value>,
}

/// Checks the rules, and returns how many lead to the completion's queue.
pub fn check(
    template: &Template,
    functions: &[Function],
    routes: &[Route],
    machines: &[Machine],
    findings: &mut Findings,
) -> usize {
    let rules: Vec<_> = template
        .of_type("AWS::Events::Rule")
        .map(|rule| read(template, rule))
        .collect();
    let completions: Vec<_> = functions
        .iter()
        .filter(|function| function.part == Part::Completion)
        .collect();
    let queues: Vec<_> = completions
        .iter()
        .flat_map(|function| &function.reads)
        .map(|reads| reads.queue.as_str())
        .collect();
    let Some(completion) = completions.first().filter(|_| !queues.is_empty()) else {
        return 0;
    };
    let leads = |rule: &Rule| {
        rule.targets.iter().any(|target| {
            target["Arn"]
                .as_str()
                .is_some_and(|arn| queues.contains(&arn))
        })
    };
    let ours: Vec<_> = rules.iter().filter(|rule| leads(rule)).collect();
    let mut all: Vec<_> = routes
        .iter()
        .filter_map(|route| Wanted::of(route, machines))
        .collect();
    if let Some(completion) = completions.iter().find(|function| function.has_collected()) {
        all.push(Wanted::of_others(completion));
    }
    for wanted in &all {
        ends(template, wanted, &rules, &ours, findings);
    }
    for rule in ours.iter().filter(|rule| takes_neighbours(rule)) {
        let text = format!(
            "rule `{}`: expected only events of this bridge's state machines, found that it takes those of stacks whose names begin like this one's, too: the completion ignores them, at a cost; name state machines in `stateMachineArn`, or end its prefix with `_`",
            rule.resource.id
        );
        let at = rule
            .resource
            .property("EventPattern/detail/stateMachineArn");
        findings.warn(template.source, &at, Code::RuleTooWide, text);
    }
    let publish = json!({"version": "0", "source": "workflow-bridge", "detail-type": "Topic Publish", "account": ACCOUNT, "region": REGION, "detail": {}});
    if !ours.iter().any(|rule| matches(rule, &publish)) {
        let text = format!(
            "expected a rule that brings events of the source `workflow-bridge` and the detail-type `Topic Publish` to the queue of `{}`, found none: workflows cannot publish by themselves; add one if any should",
            completion.resource.id
        );
        findings.warn(
            template.source,
            &completion.resource.pointer(),
            Code::RuleMissing,
            text,
        );
    }
    for rule in &ours {
        targets(template, rule, &queues, findings);
    }
    ours.len()
}

fn read<'s>(template: &Template<'s>, resource: Resource<'s>) -> Rule<'s> {
    let properties = &resource.value["Properties"];
    let pattern = template.resolver.value(&properties["EventPattern"]);
    let text = |key: &str| template.resolver.text(&properties[key]);
    let on_default = text("EventBusName")
        .is_none_or(|bus| bus == "default" || bus.ends_with(":event-bus/default"));
    let enabled = text("State").is_none_or(|state| state != "DISABLED");
    let targets = template.resolver.value(&properties["Targets"]);
    Rule {
        resource,
        pattern: Pattern::parse(&pattern, &EVENT).ok(),
        active: on_default && enabled,
        targets: targets.as_array().cloned().unwrap_or_default(),
    }
}

fn matches(rule: &Rule, event: &Value) -> bool {
    rule.active
        && rule
            .pattern
            .as_ref()
            .is_some_and(|pattern| pattern.matches(event))
}

/// State machines whose events have to reach the completion.
struct Wanted {
    arn: String,
    /// For findings: the state machine, with the route to it.
    shown: String,
    /// The subject of a finding without a rule: `` route `x` ``.
    subject: String,
    /// Whether a route announces starts.
    announced: bool,
    pointer: String,
}

impl Wanted {
    /// The state machine of a route; `None` where unresolved, or EXPRESS, which sends no events.
    fn of(route: &Route, machines: &[Machine]) -> Option<Self> {
        let arn = route.machine()?;
        let machine = machines.iter().find(|machine| machine.arn == arn);
        let is_known = arn.starts_with("arn:") && !is_unresolved(arn);
        if !is_known || machine.is_some_and(|machine| machine.express) {
            return None;
        }
        let id = machine.map_or(arn, |machine| machine.resource.id);
        Some(Self {
            arn: arn.to_owned(),
            shown: format!("`{id}`, which route `{}` starts", route.name()),
            subject: format!("route `{}`", route.name()),
            announced: route.announces(),
            pointer: route.target(),
        })
    }

    /// The state machines of other stacks, for a completion that has their routes.
    fn of_others(completion: &Function) -> Self {
        Self {
            arn: another::machine(),
            shown: format!("{}, which routes of other stacks start", another::MACHINES),
            subject: format!("function `{}`", completion.resource.id),
            announced: false,
            pointer: completion.resource.pointer(),
        }
    }
}

/// Checks that all wanted events of a state machine's executions reach the queue.
fn ends(
    template: &Template,
    wanted: &Wanted,
    rules: &[Rule],
    ours: &[&Rule],
    findings: &mut Findings,
) {
    let Wanted {
        arn,
        shown,
        subject,
        pointer,
        ..
    } = wanted;
    let takes = |rule: &Rule, status: &str| matches(rule, &status_change(arn, status));
    let lacks = |status: &str| !ours.iter().any(|rule| takes(rule, status));
    let missing: Vec<_> = STATUSES
        .into_iter()
        .filter(|status| lacks(status))
        .collect();
    let found = ours
        .iter()
        .find(|rule| STATUSES.iter().any(|status| takes(rule, status)));
    match (missing.as_slice(), found) {
        ([], _) => {}
        (_, Some(rule)) => {
            let text = format!(
                "rule `{}`: expected all ends of {shown}, found {} missing from its `status`: only the sweep finds such an end, late; add {}",
                rule.resource.id,
                listed(missing.iter().copied()),
                if missing.len() == 1 { "it" } else { "them" }
            );
            findings.add(
                template.source,
                &rule.resource.property("EventPattern/detail/status"),
                Code::RuleStatuses,
                text,
            );
        }
        (_, None) => {
            if let Some(rule) = rules
                .iter()
                .find(|rule| STATUSES.iter().all(|status| takes(rule, status)))
            {
                let text = format!(
                    "rule `{}`: expected the ends of {shown}, to go to the completion's queue, found another target; correct its `Arn`",
                    rule.resource.id
                );
                findings.add(
                    template.source,
                    &rule.resource.property("Targets"),
                    Code::RuleTarget,
                    text,
                );
            } else {
                let text = format!(
                    "{subject}: expected a rule that brings the ends of {shown}, to the completion's queue, found none: results would come late, by the sweep, or never; name the state machine `${{AWS::StackName}}_<workflow>`, or add a rule for it"
                );
                findings.add(template.source, pointer, Code::RuleMissing, text);
            }
        }
    }
    if wanted.announced
        && lacks(RUNNING)
        && let Some(rule) = found
    {
        let text = format!(
            "rule `{}`: expected the starts of {shown}, because the route has `reply.started`, found `{RUNNING}` missing from its `status`: no start would be announced; add it",
            rule.resource.id
        );
        let at = rule.resource.property("EventPattern/detail/status");
        findings.add(template.source, &at, Code::RuleStatuses, text);
    }
}

/// The rules of a template that take the start of a state machine's executions.
pub fn of_starts<'s>(template: &Template<'s>, machine: &str) -> Vec<Resource<'s>> {
    let start = status_change(machine, RUNNING);
    let rules = template.of_type("AWS::Events::Rule");
    let rules = rules.map(|rule| read(template, rule));
    let rules = rules.filter(|rule| matches(rule, &start));
    rules.map(|rule| rule.resource).collect()
}

/// Whether a rule takes the ends of another bridge's state machines.
fn takes_neighbours(rule: &Rule) -> bool {
    let machine = another::neighbour();
    STATUSES
        .iter()
        .any(|status| matches(rule, &status_change(&machine, status)))
}

/// The event of an execution's start or end.
fn status_change(machine: &str, status: &str) -> Value {
    let execution = format!(
        "{}:one",
        machine.replacen(":stateMachine:", ":execution:", 1)
    );
    json!({
        "version": "0", "id": "0", "detail-type": "Step Functions Execution Status Change", "source": "aws.states",
        "account": ACCOUNT, "time": "2026-01-01T00:00:00Z", "region": REGION, "resources": [execution],
        "detail": {
            "executionArn": execution, "stateMachineArn": machine, "name": "one", "status": status,
            "startDate": 1, "stopDate": 2, "input": "{}", "output": null, "error": null, "cause": null,
        },
    })
}

fn targets(template: &Template, rule: &Rule, queues: &[&str], findings: &mut Findings) {
    let id = rule.resource.id;
    for (i, target) in rule.targets.iter().enumerate() {
        let Some(queue) = target["Arn"].as_str().filter(|arn| queues.contains(arn)) else {
            continue;
        };
        let at = rule.resource.property(&format!("Targets/{i}"));
        allowed(template, rule, queue, &at, findings);
        match target["DeadLetterConfig"]["Arn"].as_str() {
            Some(dead_letters) => allowed(template, rule, dead_letters, &at, findings),
            None => {
                let text = format!(
                    "rule `{id}`: expected a `DeadLetterConfig` at its target, found none: an event that EventBridge cannot deliver within a day would be lost; name the completion's dead-letter queue"
                );
                findings.add(template.source, &at, Code::RuleDeadLetter, text);
            }
        }
    }
}

/// Checks that a queue of the template accepts the events of a rule.
fn allowed(template: &Template, rule: &Rule, queue: &str, at: &str, findings: &mut Findings) {
    let Some(queue) = template.named("AWS::SQS::Queue", queue) else {
        return;
    };
    let url = template.reference(queue.id);
    let policies = template.of_type("AWS::SQS::QueuePolicy").filter(|policy| {
        let queues = template
            .resolver
            .value(&policy.value["Properties"]["Queues"]);
        queues
            .as_array()
            .into_iter()
            .flatten()
            .any(|one| one.as_str() == url.as_deref())
    });
    let (arn, rule_arn) = (
        template.arn(queue.id).unwrap_or_default(),
        template.arn(rule.resource.id).unwrap_or_default(),
    );
    let mut statements = policies.flat_map(|policy| {
        let document = template
            .resolver
            .value(&policy.value["Properties"]["PolicyDocument"]);
        many(&document["Statement"])
    });
    if !is_unresolved(&rule_arn)
        && !statements.any(|statement| permits(&statement, &arn, &rule_arn))
    {
        let text = format!(
            "rule `{}`: expected queue `{}` to take its events, found no statement of a queue policy that allows sqs:SendMessage to events.amazonaws.com for this rule; add one, or give the rule a name that the policy knows",
            rule.resource.id, queue.id
        );
        findings.add(template.source, at, Code::RuleNotAllowed, text);
    }
}

fn permits(statement: &Value, queue: &str, rule: &str) -> bool {
    let any = |value: &Value, fits: &dyn Fn(&str) -> bool| {
        many(value).iter().filter_map(Value::as_str).any(fits)
    };
    let principal = &statement["Principal"];
    let from_events = *principal == "*"
        || any(&principal["Service"], &|name| {
            name == "events.amazonaws.com"
        })
        || principal["AWS"] == "*";
    let sends = any(&statement["Action"], &|action| {
        Glob::new(&action.to_ascii_lowercase()).matches("sqs:sendmessage")
    });
    let to_queue = any(&statement["Resource"], &|resource| {
        Glob::new(resource).matches(queue)
    });
    let conditions = statement["Condition"].as_object().into_iter().flatten();
    let mut by_source = conditions.filter_map(|(_, keys)| {
        let (_, arns) = keys
            .as_object()?
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case("aws:SourceArn"))?;
        Some(any(arns, &|arn| Glob::new(arn).matches(rule)))
    });
    statement["Effect"] == "Allow" && from_events && sends && to_queue && by_source.all(|fits| fits)
}

fn many(value: &Value) -> Vec<Value> {
    super::iam::many(value).into_iter().cloned().collect()
}
