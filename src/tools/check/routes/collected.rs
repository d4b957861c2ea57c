//! Parameters of SSM whose routes a bridge collects.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Route, matching, parse};
use crate::tools::check::code::Code;
use crate::tools::check::findings::Findings;
use crate::tools::check::functions::Function;
use crate::tools::check::template::{Resource, Template, is_unresolved};
use crate::tools::template::{STACK, below, bridge_of};

/// The longest values of parameters, in bytes, by their tier.
const STANDARD_BYTES: usize = 4096;
const ADVANCED_BYTES: usize = 8192;

/// A parameter with a route or a routes document.
pub struct Collected<'s> {
    pub parameter: Resource<'s>,
    /// The bridge that collects it.
    pub bridge: String,
}

/// The parameters that a bridge collects: this template's functions, or those of another stack.
pub fn parameters<'s>(template: &Template<'s>, functions: &[Function]) -> Vec<Collected<'s>> {
    let paths = functions
        .iter()
        .filter_map(|function| function.variable("ROUTES_PATH"));
    let paths: Vec<_> = paths
        .map(|path| format!("{}/", path.trim_end_matches('/')))
        .collect();
    let parameters = template.of_type("AWS::SSM::Parameter");
    let collected = parameters.filter_map(|parameter| {
        let name = template.reference(parameter.id)?;
        let is_ours = paths.iter().any(|path| name.starts_with(path));
        let bridge = match bridge_of(&name) {
            _ if is_ours => STACK.to_owned(),
            Some(bridge) if functions.is_empty() || bridge != STACK => bridge.to_owned(),
            _ => return None,
        };
        Some(Collected { parameter, bridge })
    });
    collected.collect()
}

/// Checks and returns the routes in the parameters, by themselves and beside those of this template's functions.
pub fn check(
    template: &Template,
    collected: &[Collected],
    ours: &[Route],
    findings: &mut Findings,
) -> Vec<Route> {
    let mut by_bridge: BTreeMap<&str, Vec<Route>> = BTreeMap::new();
    for one in collected {
        kind(template, one.parameter, findings);
        let routes = read(template, one, findings);
        by_bridge.entry(&one.bridge).or_default().extend(routes);
    }
    let mut all = Vec::new();
    for (bridge, routes) in by_bridge {
        let beside = ours.iter().filter(|_| bridge == STACK);
        let together: Vec<_> = beside.chain(&routes).cloned().collect();
        if !together.is_empty() {
            let document = json!({ "routes": [] });
            parse(template.source, &document, "", &together, findings);
            matching::check(template.source, &together, findings);
        }
        all.extend(routes);
    }
    all
}

/// The routes in a parameter, valid or not.
fn read(template: &Template, collected: &Collected, findings: &mut Findings) -> Vec<Route> {
    let at = collected.parameter.property("Value");
    let written = template.value().pointer(&at).unwrap_or(&Value::Null);
    let route = |pointer: String, value: Value| Route {
        pointer,
        value,
        bridge: Some(collected.bridge.clone()),
    };
    let inline = written.get("Fn::ToJsonString");
    let value = match inline {
        Some(inline) => template.resolver.value(inline),
        None => {
            let Some(text) = template.resolver.text(written) else {
                return Vec::new();
            };
            match serde_json::from_str(&text) {
                Ok(value) => value,
                Err(_) if is_unresolved(&text) => return Vec::new(),
                Err(error) => {
                    let text = format!(
                        "parameter `{}`: expected a route or a routes document in JSON, found {error}; mend it, or write it under `Fn::ToJsonString`",
                        collected.parameter.id
                    );
                    findings.add(template.source, &at, Code::RouteUnparsable, text);
                    return Vec::new();
                }
            }
        }
    };
    // Written as YAML, each part has a place.
    let at = match inline {
        Some(_) => below(&at, "Fn::ToJsonString"),
        None => at,
    };
    let Some(list) = value["routes"].as_array() else {
        return vec![route(at, value)];
    };
    rest(template, &value, &at, findings);
    let inside = below(&at, "routes");
    match inline.and_then(|inline| inline["routes"].as_array()) {
        Some(written) => {
            let routes = written.iter().enumerate().filter_map(|(i, item)| {
                let value = template.resolver.value(item);
                // `AWS::NoValue` removes the route.
                (!value.is_null()).then(|| route(below(&inside, i), value))
            });
            routes.collect()
        }
        None => list
            .iter()
            .map(|value| route(at.clone(), value.clone()))
            .collect(),
    }
}

/// Checks the keys of a document beside its routes.
fn rest(template: &Template, document: &Value, pointer: &str, findings: &mut Findings) {
    let mut document = document.clone();
    document["routes"] = json!([]);
    parse(template.source, &document, pointer, &[], findings);
}

/// Checks that the bridge can read the parameter.
fn kind(template: &Template, parameter: Resource, findings: &mut Findings) {
    let kind = template
        .resolver
        .text(&parameter.value["Properties"]["Type"]);
    if let Some(kind) = kind.filter(|kind| kind != "String" && !is_unresolved(kind)) {
        let text = format!(
            "parameter `{}`: expected the type String, found `{kind}`: the bridge reads a route as it is, and decrypts nothing; set `Type: String`",
            parameter.id
        );
        let at = parameter.property("Type");
        findings.add(template.source, &at, Code::RouteParameter, text);
    }
}

/// Checks that a parameter's value is not too long for its tier.
pub fn size(template: &Template, parameter: Resource, findings: &mut Findings) {
    let properties = &parameter.value["Properties"];
    let Some(text) = template.resolver.text(&properties["Value"]) else {
        return;
    };
    let tier = template.resolver.text(&properties["Tier"]);
    let tier = tier.unwrap_or_else(|| "Standard".to_owned());
    let most = match tier.as_str() {
        "Standard" => STANDARD_BYTES,
        "Advanced" | "Intelligent-Tiering" => ADVANCED_BYTES,
        _ => return,
    };
    if text.len() > most {
        let remedy = match most {
            STANDARD_BYTES => "set `Tier: Advanced`, or split the routes into several parameters",
            _ => "split the routes into several parameters",
        };
        let text = format!(
            "parameter `{}`: expected at most {most} bytes in the tier {tier}, found about {}; {remedy}",
            parameter.id,
            text.len()
        );
        let at = parameter.property("Value");
        findings.add(template.source, &at, Code::RouteParameter, text);
    }
}
