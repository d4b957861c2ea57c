//! The schedules and events that invoke functions.

use serde_json::{Value, json};

use super::code::Code;
use super::findings::Findings;
use super::functions::{Function, Part};
use super::rules::EVENT;
use super::template::Template;
use crate::domain::inbound::routes::Pattern;
use crate::tools::template::{ACCOUNT, REGION};

/// The changes of a parameter that concern its routes.
const OPERATIONS: [&str; 3] = ["Create", "Update", "Delete"];

/// What invokes a function, beside queues.
#[derive(Default)]
pub struct Triggers {
    pub schedules: usize,
    /// Patterns of events on the default bus.
    pub patterns: Vec<Pattern>,
}

/// The triggers of a function.
pub fn of(template: &Template, function: &Function) -> Triggers {
    let mut triggers = Triggers::default();
    let events = function.resource.value["Properties"]["Events"].as_object();
    for (_, event) in events.into_iter().flatten() {
        let properties = &event["Properties"];
        match event["Type"].as_str().unwrap_or_default() {
            "Schedule" | "ScheduleV2" if is_on(template, properties) => triggers.schedules += 1,
            "EventBridgeRule" | "CloudWatchEvent" if is_on(template, properties) => {
                triggers.pattern(template, properties, "Pattern");
            }
            _ => {}
        }
    }
    let arn = template.arn(function.resource.id);
    let leads = |target: &Value| {
        let target = template.resolver.text(&target["Arn"]);
        target.is_some() && target == arn
    };
    for rule in template.of_type("AWS::Events::Rule") {
        let properties = &rule.value["Properties"];
        let targets = properties["Targets"].as_array();
        if !targets.into_iter().flatten().any(leads) || !is_on(template, properties) {
            continue;
        }
        if properties.get("ScheduleExpression").is_some() {
            triggers.schedules += 1;
        }
        triggers.pattern(template, properties, "EventPattern");
    }
    for schedule in template.of_type("AWS::Scheduler::Schedule") {
        let properties = &schedule.value["Properties"];
        if leads(&properties["Target"]) && is_on(template, properties) {
            triggers.schedules += 1;
        }
    }
    triggers
}

impl Triggers {
    fn pattern(&mut self, template: &Template, properties: &Value, key: &str) {
        let bus = template.resolver.text(&properties["EventBusName"]);
        let on_default = bus.is_none_or(|bus| bus == "default");
        let pattern = template.resolver.value(&properties[key]);
        let pattern = Pattern::parse(&pattern, &EVENT).ok();
        self.patterns.extend(pattern.filter(|_| on_default));
    }
}

fn is_on(template: &Template, properties: &Value) -> bool {
    let text = |key: &str| template.resolver.text(&properties[key]);
    let enabled = text("Enabled").is_none_or(|enabled| enabled != "false");
    enabled && text("State").is_none_or(|state| state != "DISABLED")
}

/// Finds functions that no schedule invokes, and a collection of routes that no change invokes.
pub fn check(template: &Template, functions: &[Function], findings: &mut Findings) {
    for function in functions {
        let why = match function.part {
            Part::Sweep | Part::Canary => "it would never run",
            Part::Routes => "a change whose event is lost would never arrive",
            Part::Webhook | Part::Redrive | Part::Completion => continue,
        };
        let id = function.resource.id;
        let triggers = of(template, function);
        let at = function.resource.pointer();
        if triggers.schedules == 0 {
            let text = format!(
                "function `{id}`: expected a schedule among its events, found none: {why}; add an event of the type Schedule"
            );
            findings.add(template.source, &at, Code::TriggerMissing, text);
        }
        let path = function.variable("ROUTES_PATH");
        if let Some(path) = path.filter(|_| function.part == Part::Routes) {
            let missing: Vec<_> = OPERATIONS
                .into_iter()
                .filter(|operation| {
                    let change = change(path, operation);
                    !triggers.patterns.iter().any(|one| one.matches(&change))
                })
                .collect();
            if !missing.is_empty() {
                let text = format!(
                    "function `{id}`: expected a rule for `Parameter Store Change` events below `{path}` of all operations, found none for {}: such a change would wait for the schedule; add an event of the type EventBridgeRule",
                    super::template::listed(missing)
                );
                findings.warn(template.source, &at, Code::TriggerMissing, text);
            }
        }
    }
}

/// The event of a parameter's change.
fn change(path: &str, operation: &str) -> Value {
    let name = format!("{}/one", path.trim_end_matches('/'));
    let arn = format!("arn:aws:ssm:{REGION}:{ACCOUNT}:parameter{name}");
    json!({
        "version": "0", "id": "0", "detail-type": "Parameter Store Change", "source": "aws.ssm", "account": ACCOUNT,
        "time": "2026-01-01T00:00:00Z", "region": REGION, "resources": [arn],
        "detail": {"operation": operation, "name": name, "type": "String", "description": ""},
    })
}
