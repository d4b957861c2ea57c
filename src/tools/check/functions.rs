//! The functions of the bridge: those built from its binaries.

use std::collections::BTreeMap;

use serde_json::Value;

use super::code::Code;
use super::findings::Findings;
use super::template::{Resource, Template, is_unresolved};
use crate::config::RepeatSettings;
use crate::tools::template::below;

/// The binary of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Webhook,
    Redrive,
    Completion,
    Sweep,
    /// The collection of routes.
    Routes,
    Canary,
}

impl Part {
    fn of(binary: &str) -> Option<Self> {
        match binary {
            "webhook" => Some(Self::Webhook),
            "redrive" => Some(Self::Redrive),
            "completion" => Some(Self::Completion),
            "sweep" => Some(Self::Sweep),
            "routes" => Some(Self::Routes),
            "canary" => Some(Self::Canary),
            _ => None,
        }
    }
}

/// A variable of a function's environment.
#[derive(Clone, Debug)]
pub struct Variable {
    pub pointer: String,
    /// `None` where `AWS::NoValue` removes the variable.
    pub text: Option<String>,
}

/// A queue that a function reads.
#[derive(Clone, Debug)]
pub struct Reads {
    pub pointer: String,
    pub queue: String,
    /// The most batches at once: `None` without a limit, 0 where unresolved.
    pub most: Option<u64>,
    reports_failures: bool,
}

pub struct Function<'s> {
    pub part: Part,
    pub resource: Resource<'s>,
    pub variables: BTreeMap<String, Variable>,
    pub reads: Vec<Reads>,
    /// Seconds; `None` where unresolved.
    pub timeout: Option<u64>,
}

impl Function<'_> {
    /// The value of a variable, where it is resolved.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let text = self.variables.get(name)?.text.as_deref()?;
        (!is_unresolved(text)).then_some(text)
    }

    /// Whether it has the routes of other stacks.
    pub fn has_collected(&self) -> bool {
        let table = self.variables.get("ROUTES_TABLE");
        table.is_some_and(|table| table.text.is_some())
    }
}

/// The retry policy for the records that a function failed on.
pub fn repeats(function: &Function) -> Option<RepeatSettings> {
    let lookup = |name: &str| function.variable(name).map(str::to_owned);
    match function.part {
        Part::Redrive => Some(RepeatSettings::parked(&lookup)),
        Part::Completion => Some(RepeatSettings::results(&lookup)),
        Part::Webhook | Part::Sweep | Part::Routes | Part::Canary => None,
    }
}

/// All functions of the bridge.
pub fn read<'s>(template: &Template<'s>) -> Vec<Function<'s>> {
    let kinds = ["AWS::Serverless::Function", "AWS::Lambda::Function"];
    let functions = template
        .resources()
        .filter(|resource| kinds.contains(&resource.kind()));
    functions
        .filter_map(|resource| {
            let binary = resource
                .value
                .pointer("/Metadata/BuildProperties/Binary")?
                .as_str()?;
            let part = Part::of(binary)?;
            Some(Function {
                part,
                resource,
                variables: variables(template, resource),
                reads: reads(template, resource),
                timeout: timeout(template, resource),
            })
        })
        .collect()
}

/// The pointer to a function's property: its own, or that in `Globals`.
pub fn property(template: &Template, function: Resource, name: &str) -> Option<String> {
    let pointers = [function.property(name), format!("/Globals/Function/{name}")];
    pointers
        .into_iter()
        .find(|pointer| template.value().pointer(pointer).is_some())
}

fn timeout(template: &Template, function: Resource) -> Option<u64> {
    /// Lambda's own default.
    const DEFAULT: u64 = 3;
    match property(template, function, "Timeout") {
        None => Some(DEFAULT),
        Some(pointer) => template
            .resolver
            .text(template.value().pointer(&pointer)?)?
            .parse()
            .ok(),
    }
}

pub fn variables(template: &Template, function: Resource) -> BTreeMap<String, Variable> {
    let pointers = [
        "/Globals/Function/Environment/Variables".to_owned(),
        function.property("Environment/Variables"),
    ];
    let mut variables = BTreeMap::new();
    for pointer in pointers {
        let written = template
            .value()
            .pointer(&pointer)
            .and_then(Value::as_object);
        for (name, value) in written.into_iter().flatten() {
            let text = template.resolver.text(value);
            variables.insert(
                name.clone(),
                Variable {
                    pointer: below(&pointer, name),
                    text,
                },
            );
        }
    }
    variables
}

fn reads(template: &Template, function: Resource) -> Vec<Reads> {
    let mut reads = Vec::new();
    let mut add = |pointer: &str, queue: &Value, properties: &Value| {
        let types = template
            .resolver
            .value(&properties["FunctionResponseTypes"]);
        let most = properties["ScalingConfig"].get("MaximumConcurrency");
        let most = most.map(|most| {
            let most = template.resolver.text(most);
            most.and_then(|most| most.parse().ok()).unwrap_or(0)
        });
        reads.extend(template.resolver.text(queue).map(|queue| Reads {
            pointer: pointer.to_owned(),
            queue,
            most,
            reports_failures: types.to_string().contains("ReportBatchItemFailures"),
        }));
    };
    let events = function.property("Events");
    let written = template.value().pointer(&events).and_then(Value::as_object);
    for (name, event) in written
        .into_iter()
        .flatten()
        .filter(|(_, event)| event["Type"] == "SQS")
    {
        let properties = &event["Properties"];
        add(
            &format!("{}/Properties", below(&events, name)),
            &properties["Queue"],
            properties,
        );
    }
    for mapping in template.of_type("AWS::Lambda::EventSourceMapping") {
        let properties = &mapping.value["Properties"];
        let of = template.resolver.text(&properties["FunctionName"]);
        if of.is_some()
            && [template.reference(function.id), template.arn(function.id)].contains(&of)
        {
            add(
                &mapping.property(""),
                &properties["EventSourceArn"],
                properties,
            );
        }
    }
    reads
}

/// Finds missing functions and queues, and queues that repeat whole batches. `replying` names the routes with a reply.
pub fn check(
    template: &Template,
    functions: &[Function],
    replying: Vec<&str>,
    findings: &mut Findings,
) {
    let find = |part| functions.iter().find(|function| function.part == part);
    if let Some(webhook) = find(Part::Webhook) {
        let at = webhook.resource.pointer();
        if find(Part::Redrive).is_none() {
            let text = "expected a function of the binary `redrive` beside the webhook, found none: parked messages would wait until SQS deletes them; add it with the parking queue as its event";
            findings.add(template.source, &at, Code::FunctionMissing, text);
        }
        if !replying.is_empty() && find(Part::Completion).is_none() {
            let text = format!(
                "expected a function of the binary `completion`, found none: the replies of {} would never be published; add it with its queue",
                super::template::listed(replying)
            );
            findings.add(template.source, &at, Code::FunctionMissing, text);
        }
    }
    tables(template, functions, findings);
    for function in functions {
        let needs = matches!(function.part, Part::Redrive | Part::Completion);
        if needs && function.reads.is_empty() {
            let text = format!(
                "function `{}`: expected a queue among its events, found none: it would never run; add an event of type SQS",
                function.resource.id
            );
            findings.add(
                template.source,
                &function.resource.pointer(),
                Code::FunctionMissing,
                text,
            );
        }
        for reads in function
            .reads
            .iter()
            .filter(|reads| needs && !reads.reports_failures)
        {
            let text = format!(
                "function `{}`: expected `FunctionResponseTypes: [ReportBatchItemFailures]` at its queue, found none: one message that fails would repeat the others of its batch; add it",
                function.resource.id
            );
            findings.add(template.source, &reads.pointer, Code::BatchFailures, text);
        }
    }
}

/// Finds functions that do not have the routes which the function `routes` collects.
fn tables(template: &Template, functions: &[Function], findings: &mut Findings) {
    let readers = |function: &&Function| !matches!(function.part, Part::Routes | Part::Canary);
    let collects = |function: &&Function| function.part == Part::Routes;
    let Some(writer) = functions.iter().find(collects) else {
        if let Some(reader) = functions.iter().filter(readers).find(|f| f.has_collected()) {
            let text = format!(
                "expected a function of the binary `routes`, which fills the table that `ROUTES_TABLE` of function `{}` names, found none: routes of other stacks would never arrive; add it, or remove the variable",
                reader.resource.id
            );
            let at = reader.resource.pointer();
            findings.add(template.source, &at, Code::FunctionMissing, text);
        }
        return;
    };
    let written = writer.variable("ROUTES_TABLE");
    for reader in functions.iter().filter(readers) {
        let read = reader.variable("ROUTES_TABLE");
        let (at, found) = match (reader.variables.get("ROUTES_TABLE"), read) {
            (None, _) => (reader.resource.pointer(), "none".to_owned()),
            (Some(variable), Some(read)) if written.is_some_and(|written| written != read) => {
                (variable.pointer.clone(), format!("`{read}`"))
            }
            _ => continue,
        };
        let text = format!(
            "function `{}`, variable `ROUTES_TABLE`: expected the table that function `{}` writes, found {found}: it would not know the routes of other stacks, while other functions do; name the same table in all",
            reader.resource.id, writer.resource.id
        );
        findings.add(template.source, &at, Code::RoutesTable, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::local::workspace::Workspace;

    #[test]
    fn every_shipped_function_is_checked() {
        let workspace = Workspace::find().unwrap();
        let template = crate::tools::template::read(&workspace.root().join("template.yaml"));
        let template = template.unwrap();
        let resources = template["Resources"].as_object().unwrap().values();
        let binaries = resources.filter_map(|resource| {
            resource
                .pointer("/Metadata/BuildProperties/Binary")?
                .as_str()
        });
        let parts: Vec<_> = binaries.map(Part::of).collect();
        assert!(
            parts.len() >= 5 && parts.iter().all(Option::is_some),
            "{parts:?}"
        );
    }
}
