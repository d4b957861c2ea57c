//! The functions' variables, read with the same code as at their start.

use serde_json::Value;

use super::code::Code;
use super::findings::Findings;
use super::functions::{Function, Part};
use super::secrets::looks_secret;
use super::template::{Template, is_unresolved};
use crate::config::{
    CanaryConfig, CollectConfig, CompletionConfig, RedriveConfig, SweepConfig, VariableProblems,
    WebhookConfig,
};
use crate::environment::Lookup;
use crate::tools::template::{Resolver, below, text};

/// Lambda's limit for the names and values together.
const MOST_BYTES: usize = 4096;

pub fn check(template: &Template, functions: &[Function], findings: &mut Findings) {
    for function in functions {
        let problems = problems(function, &|name| function.variables.get(name)?.text.clone());
        for (variable, problem) in problems {
            let id = function.resource.id;
            let at = at(function, &variable);
            let text = format!(
                "function `{id}`, variable `{variable}`: {problem}; set it, since the function does not start without"
            );
            findings.add(template.source, &at, Code::FunctionVariable, text);
        }
        size(template, function, findings);
    }
    ranges(template, functions, findings);
}

/// The pointer to a variable, or to its place where missing.
fn at(function: &Function, variable: &str) -> String {
    match function.variables.get(variable) {
        Some(variable) => variable.pointer.clone(),
        None => function.resource.property("Environment/Variables"),
    }
}

/// The problems with the function's variables, except those with unresolved values and with secrets, which a problem would
/// repeat.
fn problems(function: &Function, lookup: Lookup) -> Vec<(String, String)> {
    let read = |problems: Result<(), VariableProblems>| problems.err().map(|problems| problems.0);
    let problems = match function.part {
        Part::Webhook => read(WebhookConfig::read(lookup).map(drop)),
        Part::Redrive => read(RedriveConfig::read(lookup).map(drop)),
        Part::Completion => read(CompletionConfig::read(lookup).map(drop)),
        Part::Sweep => read(SweepConfig::read(lookup).map(drop)),
        Part::Routes => read(CollectConfig::read(lookup).map(drop)),
        Part::Canary => read(CanaryConfig::read(lookup).map(drop)),
    };
    let problems = problems.into_iter().flatten();
    let problems = problems.map(|problem| (problem.variable.to_owned(), problem.text));
    problems
        .filter(|(variable, _)| {
            lookup(variable).is_none_or(|text| !is_unresolved(&text) && !looks_secret(&text))
        })
        .collect()
}

fn size(template: &Template, function: &Function, findings: &mut Findings) {
    let variables = function.variables.iter();
    let sizes = variables
        .filter_map(|(name, variable)| Some((name, name.len() + variable.text.as_ref()?.len())));
    let sizes: Vec<_> = sizes.collect();
    let total: usize = sizes.iter().map(|(_, size)| size).sum();
    if let Some((name, largest)) = sizes
        .iter()
        .max_by_key(|(_, size)| size)
        .filter(|_| total > MOST_BYTES)
    {
        let remedy = match name.as_str() {
            "ROUTES" => {
                "move workflows with their routes into stacks of their own; or set `Tier: Advanced` at the parameter `Routes`, `ROUTES: !Sub ssm:${Routes}` in every function, and allow ssm:GetParameter on it"
            }
            _ => "shorten it",
        };
        let text = format!(
            "function `{}`: expected at most {MOST_BYTES} bytes of environment, found about {total}, of which `{name}` has {largest}; {remedy}",
            function.resource.id
        );
        findings.add(
            template.source,
            &at(function, name),
            Code::EnvironmentTooLarge,
            text,
        );
    }
}

/// Finds parameters that allow a value with which a function would not start.
fn ranges(template: &Template, functions: &[Function], findings: &mut Findings) {
    for (id, parameter) in template.value()["Parameters"]
        .as_object()
        .into_iter()
        .flatten()
    {
        let bounds = ["MinValue", "MaxValue"]
            .into_iter()
            .filter_map(|key| Some((key.to_owned(), text(parameter.get(key)?)?)));
        let allowed = parameter["AllowedValues"]
            .as_array()
            .into_iter()
            .flatten()
            .enumerate();
        let allowed =
            allowed.filter_map(|(i, value)| Some((format!("AllowedValues/{i}"), text(value)?)));
        for (key, value) in bounds.chain(allowed) {
            let resolver = template.resolver.with(id, Value::from(value.as_str()));
            for function in functions {
                for (variable, problem) in refused(template, function, id, &resolver) {
                    let pointer = format!("{}/{key}", below("/Parameters", id));
                    let text = format!(
                        "parameter `{id}`: expected to allow only valid values of the variable `{variable}` of function `{}`, found that it allows `{value}`: {problem}; narrow the parameter",
                        function.resource.id
                    );
                    findings.add(template.source, &pointer, Code::ParameterRange, text);
                }
            }
        }
    }
}

/// The problems with the variables of a function that are a `Ref` to this parameter.
fn refused(
    template: &Template,
    function: &Function,
    parameter: &str,
    resolver: &Resolver,
) -> Vec<(String, String)> {
    let is_it = |name: &str| {
        let variable = function.variables.get(name)?;
        let written = template.value().pointer(&variable.pointer)?;
        (written["Ref"] == parameter).then_some(written)
    };
    if !function.variables.keys().any(|name| is_it(name).is_some()) {
        return Vec::new();
    }
    let lookup = |name: &str| match is_it(name) {
        Some(written) => resolver.text(written),
        None => function.variables.get(name)?.text.clone(),
    };
    let mut problems = problems(function, &lookup);
    problems.retain(|(variable, _)| is_it(variable).is_some());
    problems
}
