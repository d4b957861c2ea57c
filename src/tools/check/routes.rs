//! The routes: their places, their problems, and conflicts between them.

mod collected;
mod gather;
mod matching;

pub use matching::covers;

use collected::Collected;
use gather::Content;
use serde_json::Value;

use super::code::Code;
use super::findings::Findings;
use super::functions::{Function, Part};
use super::source::Source;
use super::template::{Template, is_unresolved};
use crate::domain::inbound::arn::unqualified;
use crate::domain::inbound::routes::{LOOP, Problem, Routes};
use crate::tools::template::{ACCOUNT, PIECE, REGION, STACK, below, reply_of_express};

/// One route, valid or not.
#[derive(Clone, Debug)]
pub struct Route {
    /// Pointer to the route.
    pub pointer: String,
    /// The route with its functions resolved.
    pub value: Value,
    /// The bridge that collects it from a parameter; `None` in a document of the functions.
    pub bridge: Option<String>,
}

impl Route {
    pub fn name(&self) -> &str {
        self.value["name"].as_str().unwrap_or("without a name")
    }

    pub fn is_enabled(&self) -> bool {
        self.value["enabled"] != false
    }

    pub fn replies(&self) -> bool {
        !self.value["reply"].is_null()
    }

    /// Whether it announces starts.
    pub fn announces(&self) -> bool {
        let topics = self.value["reply"]["started"].as_array();
        topics.is_some_and(|topics| !topics.is_empty())
    }

    /// The unqualified ARN of its state machine.
    pub fn machine(&self) -> Option<&str> {
        self.value["to"]["stateMachine"].as_str().map(unqualified)
    }

    /// Whether a bridge of another stack collects it.
    pub fn is_of_another_bridge(&self) -> bool {
        self.bridge.as_deref().is_some_and(|bridge| bridge != STACK)
    }

    pub fn target(&self) -> String {
        format!("{}/to", self.pointer)
    }
}

/// Checks a routes document by itself, and returns the number of its routes.
pub fn check_bare(source: &Source, findings: &mut Findings) -> usize {
    let list = source.value["routes"].as_array();
    let routes = list.into_iter().flatten().enumerate();
    let routes: Vec<_> = routes
        .map(|(i, value)| Route {
            pointer: format!("/routes/{i}"),
            value: value.clone(),
            bridge: None,
        })
        .collect();
    parse(source, &source.value, "", &routes, findings);
    matching::check(source, &routes, findings);
    routes.len()
}

/// Checks and returns the routes of a template: those of its functions, and those in parameters that a bridge collects.
pub fn check(template: &Template, functions: &[Function], findings: &mut Findings) -> Vec<Route> {
    let source = template.source;
    let mut routes: Vec<Route> = Vec::new();
    let mut named = Vec::new();
    let collected = collected::parameters(template, functions);
    let documents = gather::documents(template, functions, &collected);
    let lacks = |function: &Function| {
        let variable = function.variables.get("ROUTES");
        let is_one = !matches!(function.part, Part::Routes | Part::Canary);
        is_one && variable.is_none() && !function.has_collected()
    };
    if documents.is_empty() && functions.iter().any(lacks) {
        let text = "expected a parameter `Routes` with the routes document, or the document in the functions' variable `ROUTES`, found neither; add it, since no function starts without";
        findings.add(source, "/Resources", Code::RoutesMissing, text);
    }
    let has_documents = !documents.is_empty() || !functions.is_empty();
    let is_single = documents.len() == 1;
    let mut written: Vec<_> = collected.iter().map(|one| one.parameter.id).collect();
    for document in documents {
        let parameters = template.of_type("AWS::SSM::Parameter");
        let is_part = |id: &str| document.pieces.iter().any(|piece| piece == id);
        let parts = parameters.filter(|parameter| {
            parameter.property("Value") == document.pointer || is_part(parameter.id)
        });
        written.extend(parts.map(|parameter| parameter.id));
        named.extend(document.pieces);
        match document.value {
            Content::Json(value) => {
                parse(
                    source,
                    &value,
                    &document.pointer,
                    &document.routes,
                    findings,
                );
                matching::check(source, &document.routes, findings);
            }
            Content::Broken => {
                let text = "expected a JSON object with a list `routes`, found something else once its parts are put in; look at commas and brackets between the parts";
                findings.add(source, &document.pointer, Code::RouteUnparsable, text);
            }
            Content::Unknown => {}
        }
        // Functions may have documents of their own, with the same routes.
        for route in document.routes {
            let same = |other: &Route| other.pointer == route.pointer && other.value == route.value;
            if !routes.iter().any(same) {
                routes.push(route);
            }
        }
    }
    let parameters = template.of_type("AWS::SSM::Parameter");
    for parameter in parameters.filter(|parameter| written.contains(&parameter.id)) {
        collected::size(template, parameter, findings);
    }
    let beside: &[Route] = if is_single { &routes } else { &[] };
    let more = collected::check(template, &collected, beside, findings);
    routes.extend(more);
    if has_documents {
        unnamed(template, &named, &collected, findings);
    } else {
        elsewhere(template, &collected, findings);
    }
    for route in &routes {
        let written = source.value.pointer(&route.pointer);
        if let Some(text) = written.and_then(|written| reply_of_express(written, template.value()))
        {
            findings.add(
                source,
                &format!("{}/reply", route.pointer),
                Code::ReplyOfExpress,
                text,
            );
        }
    }
    routes
}

/// Finds parameters that look like a route and belong to no document of the functions.
fn unnamed(
    template: &Template,
    named: &[String],
    collected: &[Collected],
    findings: &mut Findings,
) {
    for parameter in template.of_type("AWS::SSM::Parameter") {
        let pointer = parameter.property("Value/Fn::ToJsonString");
        let id = parameter.id;
        let is_known = named.iter().any(|name| name == id)
            || collected.iter().any(|one| one.parameter.id == id);
        let value = template.value().pointer(&pointer);
        if !is_known && value.is_some_and(is_route) {
            let text = format!(
                "expected every route in the routes document, found `{id}` in none; add `${{{id}.Value}}` to `Routes`, name the parameter under `ROUTES_PATH` of the function `routes`, or delete it"
            );
            findings.add(
                template.source,
                &parameter.pointer(),
                Code::RouteNotNamed,
                text,
            );
        }
    }
}

/// Finds parameters that look like routes in a workflow's template, with a name that no bridge looks for.
fn elsewhere(template: &Template, collected: &[Collected], findings: &mut Findings) {
    for parameter in template.of_type("AWS::SSM::Parameter") {
        let id = parameter.id;
        if collected.iter().any(|one| one.parameter.id == id) {
            continue;
        }
        let properties = &parameter.value["Properties"];
        let value = template.resolver.text(&properties["Value"]);
        let value = value.and_then(|text| serde_json::from_str::<Value>(&text).ok());
        let holds_routes = value.is_some_and(|value| {
            let list = value["routes"].as_array();
            is_route(&value) || list.is_some_and(|list| list.iter().any(is_route))
        });
        if holds_routes {
            let name = properties
                .get("Name")
                .and_then(|name| template.resolver.text(name));
            let found = name.map_or("none".to_owned(), |name| format!("`{name}`"));
            let text = format!(
                "parameter `{id}`: expected a name below `/workflow-bridge/<bridge stack>/routes/`, since its value is a route, found {found}: no bridge collects it; set `Name: !Sub /workflow-bridge/${{Bridge}}/routes/<name>`"
            );
            let at = parameter.property("Name");
            findings.warn(template.source, &at, Code::RoutePath, text);
        }
    }
}

fn is_route(value: &Value) -> bool {
    ["name", "from", "to"]
        .iter()
        .all(|key| value.get(key).is_some())
}

/// Parses routes as the functions do; every problem has the place of its key.
fn parse(
    source: &Source,
    document: &Value,
    pointer: &str,
    routes: &[Route],
    findings: &mut Findings,
) {
    let mut twice = Vec::new();
    for problem in problems_in(document, routes) {
        let at = match place(&problem, routes, &mut twice) {
            Some(route) => format!("{}{}", route.pointer, path(&problem.key)),
            None => format!("{pointer}{}", path(&problem.key)),
        };
        let code = match problem.text.starts_with(LOOP) {
            true => Code::RouteLoop,
            false => Code::RouteUnparsable,
        };
        findings.add(source, &at, code, problem.to_string());
    }
}

/// The problems of routes, as the functions find them.
pub fn problems(routes: &[Route]) -> Vec<Problem> {
    problems_in(&serde_json::json!({ "routes": [] }), routes)
}

fn problems_in(document: &Value, routes: &[Route]) -> Vec<Problem> {
    let mut readable = document.clone();
    if !routes.is_empty() {
        readable["routes"] = routes.iter().map(|route| known(&route.value)).collect();
    }
    let read = Routes::parse(&readable.to_string());
    read.err().map_or_else(Vec::new, |problems| problems.0)
}

/// The route of a problem. A duplicate name is a problem of the second route, then of the third.
fn place<'r>(problem: &Problem, routes: &'r [Route], twice: &mut Vec<String>) -> Option<&'r Route> {
    let name = problem.route.as_deref()?;
    if let Some(route) = name
        .strip_prefix('#')
        .and_then(|number| routes.get(number.parse::<usize>().ok()?.checked_sub(1)?))
    {
        return Some(route);
    }
    let mut same = routes.iter().filter(|route| route.value["name"] == name);
    let skipped = match problem.key.as_str() {
        "name" => twice.iter().filter(|there| *there == name).count() + 1,
        _ => 0,
    };
    if skipped > 0 {
        twice.push(name.to_owned());
    }
    same.clone().nth(skipped).or_else(|| same.next())
}

/// The route, with a made-up ARN in place of an unresolved state machine.
fn known(route: &Value) -> Value {
    let mut route = route.clone();
    let target = route.pointer_mut("/to/stateMachine");
    if let Some(target) = target
        && let Some(name) = target
            .as_str()
            .filter(|text| is_unresolved(text) && !text.starts_with("arn:"))
    {
        let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        *target = format!("arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{name}").into();
    }
    route
}

/// The JSON pointer of a key's path such as `reply.topics[0]` or `where.json["a b"]`.
pub fn path(key: &str) -> String {
    let mut pointer = String::new();
    let mut rest = key;
    while !rest.is_empty() {
        rest = rest.trim_start_matches('.');
        let (name, after) = match rest.strip_prefix("[\"") {
            Some(quoted) => quoted.split_once("\"]").unwrap_or((quoted, "")),
            None => match rest.strip_prefix('[') {
                Some(index) => index.split_once(']').unwrap_or((index, "")),
                None => rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len())),
            },
        };
        pointer = below(&pointer, name);
        rest = after;
    }
    pointer
}

/// For [`gather`]: the parameter that stands for a route.
fn piece(value: &Value) -> Option<&str> {
    let map = value.as_object().filter(|map| map.len() == 1)?;
    map.get(PIECE)?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_becomes_a_pointer() {
        for (key, pointer) in [
            ("", ""),
            ("reply.topics[0]", "/reply/topics/0"),
            (
                "where.json[\"a.b\"].c[1].numeric",
                "/where/json/a.b/c/1/numeric",
            ),
            ("where.$or[0].text", "/where/$or/0/text"),
        ] {
            assert_eq!(path(key), pointer);
        }
    }
}
