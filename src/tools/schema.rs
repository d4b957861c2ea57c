//! The JSON Schema of a routes document, for editors and generators of documents.
//!
//! These types have the shape of the document and serve the schema alone: the routes' parser does without them, to report
//! all problems at once. The tests keep the two in line: both refuse the same shapes.

mod pattern;

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use crate::domain::inbound::routes::limits::{
    ARN_MAX, DEFAULT_DETAIL_TYPE, DEFAULT_SOURCE, SOURCE_MAX,
};
use crate::domain::inbound::routes::{Format, Input};

/// A text with placeholders: without other braces, and not only of placeholders that may be empty.
const TEMPLATE: &str = r"^(?!(\{token_id\})+$)([^{}]|\{(cache|topic|token_id|id|sequence)\})+$";
/// As [`crate::domain::inbound::routes::FieldPath`] parses them.
const PATH: &str = r"^(cache|topic|topic_sequence_number|token_id|text|json(\.[^.]+)*)$";
const NAME: &str = "^[A-Za-z0-9_-]{1,32}$";
const STATE_MACHINE: &str = "^arn:aws[^:]*:states:[^:]+:[^:]+:stateMachine:[^:]+(:[^:]+)?$";
const EVENT_BUS: &str = r"^(arn:aws.*:events:.*:event-bus/)?[A-Za-z0-9/._-]+$";
const SOURCE: &str = r"^(?!aws\.)";

/// The schema (draft 2020-12), as in `docs/routes.schema.json`.
pub fn schema() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<Document>();
    RecursiveTransform(without_null).transform(&mut schema);
    schema.to_value()
}

/// An `Option` is a key that may be missing, but not null.
fn without_null(schema: &mut Schema) {
    let Some(map) = schema.as_object_mut() else {
        return;
    };
    if let Some(Value::Array(types)) = map.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            map.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(any)) = map.get_mut("anyOf") {
        any.retain(|one| one.get("type") != Some(&Value::from("null")));
        if let [Value::Object(only)] = any.as_mut_slice() {
            let only = std::mem::take(only);
            map.remove("anyOf");
            map.extend(only);
        }
    }
}

/// The variants of `to` exclude each other: each allows its own keys only.
fn exactly_one(schema: &mut Schema) {
    if let Some(variants) = schema.remove("anyOf") {
        schema.insert("oneOf".to_owned(), variants);
    }
}

/// Which messages go where: the document of the variable `ROUTES`. A document with a problem stops the functions at their start.
#[derive(JsonSchema)]
#[schemars(title = "Routes of workflow-bridge", deny_unknown_fields)]
#[expect(dead_code, reason = "for the schema alone, like all types here")]
struct Document {
    /// Every route that matches a message fires, each with its own outcome. No two have one name.
    routes: Vec<Route>,
}

/// One way from a topic to a target and, maybe, back.
#[derive(JsonSchema)]
#[schemars(
    deny_unknown_fields,
    extend("if" = {"properties": {"to": {"required": ["stateMachine"]}}}, "else" = {"not": {"required": ["reply"]}})
)]
#[expect(dead_code, reason = "for the schema alone")]
struct Route {
    /// Begins the names of executions.
    #[schemars(regex(pattern = NAME))]
    name: String,
    /// Whether the route is switched on.
    #[schemars(extend("default" = true))]
    enabled: Option<bool>,
    from: From,
    /// An EventBridge event pattern that the message has to match, too.
    #[schemars(rename = "where")]
    condition: Option<pattern::Pattern>,
    to: To,
    /// Where results go; without it nothing is published. Only for a state machine.
    reply: Option<Reply>,
    /// `allowed`: the reply may reach a topic that a route of this document listens to.
    #[schemars(rename = "loop")]
    looping: Option<Loop>,
}

/// The topics that messages come from. `*` stands for any run of characters.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "for the schema alone")]
struct From {
    /// Name of the cache, with `*` for any run of characters.
    #[schemars(length(min = 1))]
    cache: String,
    /// Name of the topic, with `*` for any run of characters.
    #[schemars(length(min = 1))]
    topic: String,
}

/// What a message becomes: exactly one of `stateMachine`, `eventBus`, `resume` and `stop`.
#[derive(JsonSchema)]
#[schemars(untagged, deny_unknown_fields, transform = exactly_one)]
#[expect(dead_code, reason = "for the schema alone")]
enum To {
    /// It starts an execution.
    #[schemars(rename_all = "camelCase")]
    StateMachine {
        /// ARN of a state machine, a version or an alias.
        #[schemars(length(max = ARN_MAX), regex(pattern = STATE_MACHINE))]
        state_machine: String,
        #[schemars(extend("default" = "envelope"))]
        input: Option<Input>,
        /// Path of the business key, such as `json.orderId`: it names the execution, and a second message with that key starts nothing.
        #[schemars(regex(pattern = PATH))]
        key: Option<String>,
    },
    /// It becomes an event: Momento's body plus `id`.
    #[schemars(rename_all = "camelCase")]
    EventBus {
        /// Name or ARN of an event bus, such as `default`.
        #[schemars(length(max = SOURCE_MAX), regex(pattern = EVENT_BUS))]
        event_bus: String,
        /// The event's source; not one of `aws.`.
        #[schemars(length(min = 1, max = SOURCE_MAX), regex(pattern = SOURCE), extend("default" = DEFAULT_SOURCE))]
        source: Option<String>,
        /// The event's detail-type, cut to 128 characters. `{cache}`, `{topic}`, `{token_id}`, `{id}` and `{sequence}` are filled in.
        #[schemars(regex(pattern = TEMPLATE), extend("default" = DEFAULT_DETAIL_TYPE))]
        detail_type: Option<String>,
    },
    /// It answers a workflow that waits on a task token.
    Resume { resume: Resume },
    /// It stops the execution that another route started for a key.
    Stop { stop: Stop },
}

/// Which execution a message stops, and why: paths into it, such as `json.orderId`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "for the schema alone")]
struct Stop {
    /// Name of a route in this document with a `key`.
    #[schemars(length(min = 1))]
    route: String,
    /// Path of the key.
    #[schemars(regex(pattern = PATH))]
    key: String,
    /// Path of the error, cut to 256 characters.
    #[schemars(regex(pattern = PATH))]
    error: Option<String>,
    /// Path of the cause, cut to 32768 characters.
    #[schemars(regex(pattern = PATH))]
    cause: Option<String>,
}

/// Where a message has the answer to a task: paths into it, such as `json.answer`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "for the schema alone")]
struct Resume {
    /// Path of the task token.
    #[schemars(regex(pattern = PATH))]
    token: String,
    /// Path of the task's output.
    #[schemars(regex(pattern = PATH), extend("default" = "json"))]
    output: Option<String>,
    /// Path at which anything makes the task fail.
    #[schemars(regex(pattern = PATH))]
    error: Option<String>,
}

/// Where results go. In names of topics, `{cache}`, `{topic}`, `{token_id}`, `{id}` and `{sequence}` are filled in from the message.
#[derive(JsonSchema)]
#[schemars(
    deny_unknown_fields,
    extend("dependentRequired" = {"from": ["allow"], "allow": ["from"]})
)]
#[expect(dead_code, reason = "for the schema alone")]
struct Reply {
    /// Cache of the topics.
    #[schemars(regex(pattern = TEMPLATE), extend("default" = "{cache}"))]
    cache: Option<String>,
    /// Topics of the results.
    #[schemars(length(min = 1), inner(regex(pattern = TEMPLATE)))]
    topics: Vec<String>,
    /// Topics of the failures; without it they go to `topics`.
    #[schemars(length(min = 1), inner(regex(pattern = TEMPLATE)))]
    failures: Option<Vec<String>>,
    /// Topics of the announcement that the execution started; none without it.
    #[schemars(length(min = 1), inner(regex(pattern = TEMPLATE)))]
    started: Option<Vec<String>>,
    #[schemars(extend("default" = "output"))]
    format: Option<Format>,
    /// Path at which the message may name the topic of its reply, such as `json.reply_to`; only together with `allow`.
    #[schemars(regex(pattern = PATH))]
    from: Option<String>,
    /// The topics that a message may name, with `*` for any run of characters.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    allow: Option<Vec<String>>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "for the schema alone")]
enum Loop {
    Allowed,
}

#[cfg(test)]
mod tests;
