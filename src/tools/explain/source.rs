//! Finds a message in a body, an event or a letter, recognized by their shape.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::domain::inbound::letter::Letter;
use crate::domain::inbound::message::TopicMessage;
use crate::domain::inbound::signature::{self, Verified};
use crate::tools::terminal::preview;

/// A message and its holder.
#[derive(Clone, Debug)]
pub struct Source {
    pub message: TopicMessage,
    pub holder: Holder,
}

/// The holder of a message.
#[derive(Clone, Debug)]
pub enum Holder {
    /// None: the body of a webhook.
    Body,
    /// An event of a Function URL, API Gateway or an ALB. `signed`: with a signature, which stays unverified.
    Event { signed: bool },
    /// A parked message or a dead letter.
    Letter(Box<Letter>),
}

/// No valid message: expected, found, remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoMessage(String);

/// The accepted inputs, for errors.
const EXPECTED: &str = "expected a message in JSON: a webhook's body, the event of a function that got one, or a letter of the parking or dead-letter queue";

impl Source {
    /// Finds the message, also in the only record of a queue, in the form of `aws sqs receive-message` or of a function's
    /// event.
    ///
    /// # Errors
    ///
    /// When there is no message, or the webhook would refuse it as malformed.
    pub fn read(bytes: &[u8]) -> Result<Self, NoMessage> {
        let text = std::str::from_utf8(bytes).map_err(|e| {
            let at = e.valid_up_to();
            NoMessage(format!("{EXPECTED}, found invalid UTF-8 at byte {at}"))
        })?;
        if text.trim().is_empty() {
            return Err(NoMessage(format!("{EXPECTED}, found nothing")));
        }
        let value = serde_json::from_str(text)
            .map_err(|e| NoMessage(format!("{EXPECTED}, found no JSON: {e}")))?;
        let Value::Object(object) = value else {
            return Err(NoMessage(format!("{EXPECTED}, found JSON of another kind")));
        };
        if let Some(record) = record(&object)? {
            return Self::read(record.as_bytes());
        }
        if object.contains_key("requestContext") {
            return Self::of_event(&object);
        }
        if object.contains_key("reason") && !object.contains_key("topic") {
            return Self::of_letter(text);
        }
        Self::of_body(bytes, Holder::Body)
    }

    fn of_event(event: &Map<String, Value>) -> Result<Self, NoMessage> {
        let body = event.get("body").and_then(Value::as_str).unwrap_or("");
        if body.is_empty() {
            let text = "expected a `body` in the event, found none: is it the event of a POST?";
            return Err(NoMessage(text.to_owned()));
        }
        let headers = ["headers", "multiValueHeaders"].map(|key| event.get(key));
        let mut names = headers.into_iter().flatten().filter_map(Value::as_object);
        let signed = names.any(|map| {
            map.keys()
                .any(|name| name.eq_ignore_ascii_case(signature::HEADER))
        });
        let holder = Holder::Event { signed };
        // Like the webhook: a body with invalid base64 is taken as it is.
        let encoded = event.get("isBase64Encoded") == Some(&Value::Bool(true));
        match STANDARD.decode(body) {
            Ok(bytes) if encoded => Self::of_body(&bytes, holder),
            _ => Self::of_body(body.as_bytes(), holder),
        }
    }

    fn of_letter(text: &str) -> Result<Self, NoMessage> {
        let letter: Letter = serde_json::from_str(text).map_err(|e| {
            NoMessage(format!(
                "expected a letter of the bridge, found: {e}; give it as it is in the queue"
            ))
        })?;
        let Some(message) = &letter.message else {
            return Err(NoMessage("expected a letter about a message, found one about the result of a workflow, which takes no route: look at its `detail`, and put it back with `cargo bridge replay --results`".to_owned()));
        };
        let body = message.get().to_owned();
        Self::of_body(body.as_bytes(), Holder::Letter(Box::new(letter)))
    }

    fn of_body(body: &[u8], holder: Holder) -> Result<Self, NoMessage> {
        let (message, _) = TopicMessage::parse(Verified::only_shown(body)).map_err(|malformed| {
            let problems = problems(body);
            let text = match problems.is_empty() {
                true => format!("{malformed}, perhaps a duplicate field: the webhook would answer 400 `malformed`"),
                false => format!("expected a topic message as Momento sends it, found problems (the webhook would answer 400 `malformed`):\n- {}", problems.join("\n- ")),
            };
            NoMessage(text)
        })?;
        Ok(Self { message, holder })
    }
}

/// The body of the only record, if these are records of a queue.
fn record(object: &Map<String, Value>) -> Result<Option<String>, NoMessage> {
    let shapes = [("Messages", "Body"), ("Records", "body")];
    let found = shapes
        .iter()
        .find_map(|(list, body)| Some((object.get(*list)?.as_array()?, *body)));
    let Some((records, body)) = found else {
        return Ok(None);
    };
    let [record] = records.as_slice() else {
        return Err(NoMessage(format!(
            "expected one record of a queue, found {}: keep the one to explain",
            records.len()
        )));
    };
    match record[body].as_str() {
        Some(text) => Ok(Some(text.to_owned())),
        None => Err(NoMessage(format!(
            "expected the letter as a text in `{body}` of the record, found none"
        ))),
    }
}

/// A field of a body: its name, its type in words, and the check of a value.
type Field = (&'static str, &'static str, fn(&Value) -> bool);

const TIME: &str = "a whole number of milliseconds since 1970";

/// Required fields.
const REQUIRED: [Field; 5] = [
    ("cache", "a text", Value::is_string),
    ("topic", "a text", Value::is_string),
    ("topic_sequence_number", "a whole number", Value::is_u64),
    ("event_timestamp", TIME, Value::is_i64),
    ("publish_timestamp", TIME, Value::is_i64),
];

/// Fields that may be missing or null.
const OPTIONAL: [Field; 4] = [
    ("sequence_page", "a whole number", Value::is_u64),
    ("token_id", "a text", Value::is_string),
    ("text", "a text", Value::is_string),
    ("binary", "a text in base64", |value| {
        value
            .as_str()
            .is_some_and(|text| STANDARD.decode(text).is_ok())
    }),
];

/// All problems with the fields of a body.
fn problems(body: &[u8]) -> Vec<String> {
    let Ok(Value::Object(fields)) = serde_json::from_slice(body) else {
        return Vec::new();
    };
    let given = |name| fields.get(name).filter(|value| !value.is_null());
    let required = REQUIRED
        .iter()
        .filter(|(name, _, is)| !fields.get(*name).is_some_and(is));
    let optional = OPTIONAL
        .iter()
        .filter(|(name, _, is)| !given(*name).is_none_or(is));
    let wrong = required.chain(optional).map(|(name, kind, _)| {
        let found = match fields.get(*name) {
            None => "none".to_owned(),
            Some(value) => format!("`{}`", preview(&value.to_string(), 60)),
        };
        format!("`{name}`: expected {kind}, found {found}")
    });
    let mut problems: Vec<_> = wrong.collect();
    if given("text").is_none() && given("binary").is_none() {
        problems.push("expected the value in `text` or `binary`, found neither".to_owned());
    }
    problems
}
