//! Copies a workflow under a new name: its state machine, its piece of `template.yaml` and its route.
//!
//! The template is edited as text, to keep comments and layout. Only the new piece and the list in `Routes` change.

mod pieces;
mod renaming;

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::template;
use crate::domain::inbound::routes::Routes;
use pieces::Piece;
use renaming::Renaming;

/// Characters in a name, at most: the limit of a route's name.
const NAME_MAX: usize = 32;

/// The new workflow, to be written.
#[derive(Debug)]
pub struct Scaffold {
    /// The whole template.
    pub template: String,
    /// The new piece in it; `named` has the new lines in `Routes`.
    pub piece: String,
    pub named: Vec<String>,
    /// File, relative to the template, and text of the state machine; none for routes to other targets.
    pub definition: Option<(String, String)>,
    /// The topics that start it.
    pub inbound: Vec<String>,
    /// The topics that it publishes to: those of its replies, and those written out in the state machine.
    pub outbound: Vec<String>,
    /// The size of all routes together, in bytes, approximately.
    pub routes_bytes: usize,
}

/// Copies the workflow `like` to `name` in the text of a template. `read` reads a state machine by its `DefinitionUri`.
///
/// # Errors
///
/// When the name is illegal or taken, the workflow is unknown, or the template has an unsupported layout.
pub fn scaffold(
    text: &str,
    name: &str,
    like: &str,
    read: impl Fn(&str) -> Result<String>,
) -> Result<Scaffold> {
    check_name(name)?;
    let before = template::parse(text).context("cannot read the template")?;
    let piece = Piece::find(text, like)?;
    if pieces::names(text).contains(&name) {
        bail!(
            "expected a new name, found `{name}`: the template has a workflow of that name; choose another"
        );
    }
    let renaming = Renaming::new(&piece, name, &before)?;

    let new = piece.heading(name) + &renaming.piece(piece.body());
    let ids = pieces::logical_ids(&new);
    for id in &ids {
        if before["Resources"].get(id).is_some() {
            bail!(
                "expected a new name, found `{name}`: the template has a resource `{id}` already; choose another"
            );
        }
    }
    let routes: Vec<_> = renaming.routes().iter().map(|id| renaming.id(id)).collect();
    let with_piece = format!(
        "{}{new}{}",
        &text[..pieces::end(text)?],
        &text[pieces::end(text)?..]
    );
    let text = pieces::name_routes(&with_piece, &routes)?;

    let after = template::parse(&text).context("cannot read the template with the new piece")?;
    check_rest(&before, &after, &ids)?;
    let new_routes: Vec<&Value> = routes.iter().map(|id| route(&after, id)).collect();
    check_topics(&before, &new_routes)?;
    let document = template::routes_document(&after)?;
    if let Err(problems) = Routes::parse(&document) {
        bail!("expected a name whose route fits to the others, found `{name}`: {problems}");
    }
    let definition = match definition_of(&after, &ids) {
        Some(file) => {
            let old = definition_of(&before, piece.ids()).with_context(|| format!("expected a state machine with a `DefinitionUri` in the workflow `{like}`, found none"))?;
            if old == file {
                bail!(
                    "expected the name `{like}` in `{old}`, the state machine of that workflow, found none; rename the file, and its `DefinitionUri`"
                );
            }
            let text = renaming.definition(&read(&old)?);
            serde_json::from_str::<Value>(&text)
                .with_context(|| format!("expected JSON in `{old}`"))?;
            Some((file, text))
        }
        None => None,
    };
    let mut outbound = texts(&new_routes, "/reply/topics");
    if let Some((_, text)) = &definition {
        published(&serde_json::from_str(text)?, &mut outbound);
    }
    Ok(Scaffold {
        piece: new,
        named: routes.iter().map(|id| format!("${{{id}.Value}}")).collect(),
        definition,
        inbound: texts(&new_routes, "/from/topic"),
        outbound,
        routes_bytes: document.len(),
        template: text,
    })
}

/// Checks a name for all its uses: resources, a route, topics, a file.
fn check_name(name: &str) -> Result<()> {
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let dashes = name.contains("--") || name.ends_with('-');
    if begins && name.chars().all(legal) && !dashes && name.len() <= NAME_MAX {
        return Ok(());
    }
    bail!(
        "expected a name of 1 to {NAME_MAX} characters such as `my-workflow` (`a-z`, `0-9` and single `-` between them, a letter first), found `{name}`"
    )
}

/// Checks that only the new resources and the list of routes changed.
fn check_rest(before: &Value, after: &Value, new: &BTreeSet<String>) -> Result<()> {
    let mut rest = after.clone();
    rest["Resources"]["Routes"] = before["Resources"]["Routes"].clone();
    if let Some(resources) = rest["Resources"].as_object_mut() {
        resources.retain(|id, _| !new.contains(id));
    }
    if rest != *before {
        bail!(
            "expected the pieces of the template to be resources between double lines, found something else between them: copy the piece by hand"
        );
    }
    Ok(())
}

/// Refuses a second route from the same topic, which would be legal, but a surprise.
fn check_topics(before: &Value, new: &[&Value]) -> Result<()> {
    let resources = before["Resources"].as_object().into_iter().flatten();
    for (id, _) in resources {
        let old = route(before, id);
        let topic = &old["from"]["topic"];
        if new
            .iter()
            .any(|new| !topic.is_null() && new["from"]["topic"] == *topic)
        {
            bail!(
                "expected a new name, found one whose topic {topic} starts route {} already; choose another",
                old["name"]
            );
        }
    }
    Ok(())
}

/// The route in a parameter of its own; null for any other resource.
fn route<'a>(template: &'a Value, id: &str) -> &'a Value {
    &template["Resources"][id]["Properties"]["Value"]["Fn::ToJsonString"]
}

fn definition_of(template: &Value, ids: &BTreeSet<String>) -> Option<String> {
    let uri = |id: &String| template["Resources"][id]["Properties"]["DefinitionUri"].as_str();
    ids.iter().find_map(uri).map(str::to_owned)
}

/// The texts, alone or in a list, at a place of each route.
fn texts(routes: &[&Value], pointer: &str) -> Vec<String> {
    let values = routes.iter().filter_map(|route| route.pointer(pointer));
    let one_by_one = values.flat_map(|value| match value {
        Value::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    });
    one_by_one
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// Adds the topics written out in a state machine.
fn published(definition: &Value, topics: &mut Vec<String>) {
    match definition {
        Value::Object(map) => {
            if let Some(topic) = map.get("topic").and_then(Value::as_str)
                && !topic.starts_with("{%")
                && !topics.iter().any(|known| known == topic)
            {
                topics.push(topic.to_owned());
            }
            map.values().for_each(|value| published(value, topics));
        }
        Value::Array(list) => list.iter().for_each(|value| published(value, topics)),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
