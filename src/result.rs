//! What comes back: a status change, or an event of a workflow, made into publications.

use serde::de::IntoDeserializer;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::input;
use crate::json;
use crate::ledger::ledger_id;
use crate::message::MessageId;
use crate::ports::Described;
use crate::routes::{Format, Route, Routes};

/// The `error` of an envelope that stands in for a value of more bytes than any place takes.
pub const TOO_LARGE: &str = "WorkflowBridge.ResultTooLarge";

/// A value for a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    pub cache: String,
    pub topic: String,
    pub value: String,
}

/// The detail of a `Step Functions Execution Status Change`.
///
/// Every key but the first four may be `null` or missing: older events have fewer.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Execution {
    pub execution_arn: String,
    /// Without the qualifier of a version or an alias.
    pub state_machine_arn: String,
    pub name: String,
    pub status: Status,
    /// ms since the epoch.
    #[serde(default)]
    pub start_date: Option<i64>,
    #[serde(default)]
    pub stop_date: Option<i64>,
    /// How often it was redriven: it ends once more each time.
    #[serde(default)]
    redrive_count: Option<u32>,
    /// JSON text; left out where input and output together are over 248 KB.
    #[serde(default)]
    input: Option<String>,
    /// JSON text; left out where it alone is over 248 KB.
    #[serde(default)]
    output: Option<String>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    cause: Option<String>,
}

/// The status of an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    Succeeded,
    Failed,
    TimedOut,
    Aborted,
    /// `RUNNING`, `PENDING_REDRIVE` and whatever comes: the execution has not ended.
    #[serde(other)]
    Open,
}

impl Status {
    /// As Step Functions writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::TimedOut => "TIMED_OUT",
            Self::Aborted => "ABORTED",
            Self::Open => "OPEN",
        }
    }
}

/// What an ended execution asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    Publish {
        route: String,
        publications: Vec<Publication>,
    },
    /// Nobody waits for this; the reason is for the log.
    Ignore(&'static str),
}

/// A description of an execution that is older than the event of its end.
#[derive(Debug, thiserror::Error)]
#[error("expected the end that the event told of, found `{0}` or a part of it; it is asked again")]
pub struct Stale(String);

/// An event that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("expected {expected}, found: {found}")]
pub struct Unreadable {
    pub expected: &'static str,
    pub found: String,
}

/// The parts of an `envelope` input that the reply needs.
#[derive(Deserialize)]
struct EnvelopeInput {
    message: InputMessage,
    bridge: InputBridge,
}

#[derive(Deserialize)]
struct InputMessage {
    id: String,
    #[serde(default)]
    event_timestamp: i64,
    cache: String,
    topic: String,
    topic_sequence_number: u64,
}

#[derive(Deserialize)]
struct InputBridge {
    route: String,
    #[serde(default)]
    reply: Option<InputReply>,
}

#[derive(Deserialize)]
struct InputReply {
    cache: String,
    topics: Vec<String>,
    failures: Vec<String>,
    format: Format,
}

/// Where a result goes and what it answers.
struct Address {
    route: String,
    id: Option<String>,
    in_reply_to: InReplyTo,
    reply: Option<InputReply>,
}

#[derive(Serialize)]
struct InReplyTo {
    cache: Option<String>,
    topic: Option<String>,
    topic_sequence_number: Option<u64>,
}

/// The envelope of a result.
#[derive(Serialize)]
struct Envelope<'a> {
    /// Null for a `payload` route, whose input carries no message.
    id: Option<&'a str>,
    route: &'a str,
    status: Status,
    execution: &'a str,
    output: Option<&'a RawValue>,
    error: Option<&'a str>,
    cause: Option<&'a str>,
    in_reply_to: &'a InReplyTo,
    started_at: Option<i64>,
    stopped_at: Option<i64>,
}

impl Execution {
    /// Tells this end of the execution from every other event.
    pub fn ledger_id(&self) -> String {
        ledger_id(&self.execution_arn, self.redrive_count.unwrap_or(0))
    }

    pub fn has_ended(&self) -> bool {
        self.status != Status::Open
    }

    /// Whether the event left out what [`Execution::decide`] needs.
    pub fn lacks_detail(&self) -> bool {
        self.input.is_none() || (self.status == Status::Succeeded && self.output.is_none())
    }

    /// The id of the message that started it and its `event_timestamp`, where the bridge wrote the input. Somebody else's input
    /// may hold anything, so it counts only where the name has the id's first digits.
    pub fn message(&self) -> Option<(String, i64)> {
        let input: EnvelopeInput = serde_json::from_str(self.input.as_deref()?).ok()?;
        let digits = input::id_in_name(&self.name)?;
        let id = input.message.id;
        let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        let is_id = id.len() == MessageId::DIGITS && id.bytes().all(hex) && id.starts_with(digits);
        is_id.then_some((id, input.message.event_timestamp))
    }

    /// Fills in what the event left out.
    ///
    /// # Errors
    ///
    /// [`Stale`] when the description does not tell of this end yet.
    pub fn fill_in(&mut self, described: Described) -> Result<(), Stale> {
        let status: Result<_, serde::de::value::Error> =
            Status::deserialize(described.status.as_str().into_deserializer());
        let status = status.unwrap_or(Status::Open);
        let is_newer = described.redrive_count > self.redrive_count.unwrap_or(0);
        if !is_newer && (status != self.status || described.lacks_detail(status)) {
            return Err(Stale(described.status));
        }
        // What a redrive ended with is another result.
        self.input = self.input.take().or(described.input);
        if !is_newer {
            self.output = self.output.take().or(described.output);
            self.error = self.error.take().or(described.error);
            self.cause = self.cause.take().or(described.cause);
        }
        Ok(())
    }

    /// What to publish where.
    ///
    /// # Errors
    ///
    /// When the output is not the JSON that Step Functions promises.
    pub fn decide(&self, routes: &Routes) -> Result<Decision, Unreadable> {
        let (address, reply) = match self.address(routes) {
            Ok(found) => found,
            Err(reason) => return Ok(Decision::Ignore(reason)),
        };
        let succeeded = self.status == Status::Succeeded;
        let value = match (succeeded, reply.format) {
            (true, Format::Output) => self.bare_output()?,
            _ => self.envelope(&address, self.raw_output()?, None),
        };
        let topics = if succeeded {
            &reply.topics
        } else {
            &reply.failures
        };
        Ok(Decision::Publish {
            publications: reply.publications(topics, &value),
            route: address.route,
        })
    }

    /// What to publish in place of a value that is too large: an envelope that says so, to where failures go.
    pub fn decide_without_value(&self, routes: &Routes, why: &str) -> Decision {
        match self.address(routes) {
            Err(reason) => Decision::Ignore(reason),
            Ok((address, reply)) => {
                let value = self.envelope(&address, None, Some((TOO_LARGE, why)));
                Decision::Publish {
                    publications: reply.publications(&reply.failures, &value),
                    route: address.route,
                }
            }
        }
    }

    /// The address in the input, or, for a `payload` route, in the routes document.
    fn address(&self, routes: &Routes) -> Result<(Address, InputReply), &'static str> {
        if !self.has_ended() {
            return Err("it has not ended");
        }
        let address = match routes.of_execution(&self.state_machine_arn, &self.name) {
            // The input is the publisher's own text: nothing in it may choose where the result goes.
            Some(route) if route.takes_payload() => Some(self.address_of_route(route)),
            _ => self.address_in_input(),
        };
        let mut address = address.ok_or("no route asked for it")?;
        let reply = address.reply.take().ok_or("its route has no reply")?;
        Ok((address, reply))
    }

    fn address_in_input(&self) -> Option<Address> {
        let input: EnvelopeInput = serde_json::from_str(self.input.as_deref()?).ok()?;
        Some(Address {
            route: input.bridge.route,
            id: Some(input.message.id),
            in_reply_to: InReplyTo {
                cache: Some(input.message.cache),
                topic: Some(input.message.topic),
                topic_sequence_number: Some(input.message.topic_sequence_number),
            },
            reply: input.bridge.reply,
        })
    }

    fn address_of_route(&self, route: &Route) -> Address {
        let exact = |glob: &crate::routes::Glob| glob.is_exact().then(|| glob.as_str().to_owned());
        // The document was refused unless these are the same for every message.
        let fixed =
            |template: &crate::routes::Template| template.render_without_message(&route.from);
        let reply = route.reply.as_ref().and_then(|reply| {
            Some(InputReply {
                cache: fixed(&reply.cache)?,
                topics: reply.topics.iter().filter_map(fixed).collect(),
                failures: reply.failures.iter().filter_map(fixed).collect(),
                format: reply.format,
            })
        });
        Address {
            route: route.name.clone(),
            id: None,
            in_reply_to: InReplyTo {
                cache: exact(&route.from.cache),
                topic: exact(&route.from.topic),
                topic_sequence_number: input::sequence_in_name(&self.name, &route.name),
            },
            reply,
        }
    }

    fn bare_output(&self) -> Result<String, Unreadable> {
        let output = self.raw_output()?.map_or("null", RawValue::get);
        // A JSON string is published as its text.
        Ok(serde_json::from_str(output).unwrap_or_else(|_| output.to_owned()))
    }

    fn raw_output(&self) -> Result<Option<&RawValue>, Unreadable> {
        let parse =
            |output| serde_json::from_str(output).map_err(|e| unreadable("an output in JSON", &e));
        self.output.as_deref().map(parse).transpose()
    }

    /// `failure` stands in for what the execution itself says of its end.
    fn envelope(
        &self,
        address: &Address,
        output: Option<&RawValue>,
        failure: Option<(&str, &str)>,
    ) -> String {
        let (error, cause) = match failure {
            Some((error, cause)) => (Some(error), Some(cause)),
            None => (self.error.as_deref(), self.cause.as_deref()),
        };
        let envelope = Envelope {
            id: address.id.as_deref(),
            route: &address.route,
            status: self.status,
            execution: &self.execution_arn,
            output,
            error,
            cause,
            in_reply_to: &address.in_reply_to,
            started_at: self.start_date,
            stopped_at: self.stop_date,
        };
        serde_json::to_string(&envelope).expect("strings and numbers always serialize")
    }
}

impl Described {
    fn lacks_detail(&self, status: Status) -> bool {
        self.input.is_none() || (status == Status::Succeeded && self.output.is_none())
    }
}

impl InputReply {
    fn publications(&self, topics: &[String], value: &str) -> Vec<Publication> {
        let publications = topics.iter().map(|topic| Publication {
            cache: self.cache.clone(),
            topic: topic.clone(),
            value: value.to_owned(),
        });
        publications.collect()
    }
}

/// Reads the detail of a `Topic Publish`: one `{"cache","topic","value"}`, or a list of them under `messages`.
///
/// # Errors
///
/// When it has another shape, or a cache or topic is empty.
pub fn topic_publish(detail: &str) -> Result<Vec<Publication>, Unreadable> {
    const EXPECTED: &str =
        "`cache`, `topic` and `value`, or a list of them under `messages`, in a `Topic Publish`";

    #[derive(Deserialize)]
    struct Item<'a> {
        cache: String,
        topic: String,
        #[serde(borrow)]
        value: &'a RawValue,
    }
    #[derive(Deserialize)]
    struct Many<'a> {
        #[serde(borrow)]
        messages: Option<Vec<Item<'a>>>,
    }
    let many: Many = serde_json::from_str(detail).map_err(|e| unreadable(EXPECTED, &e))?;
    let items = match many.messages {
        Some(items) => items,
        None => vec![serde_json::from_str(detail).map_err(|e| unreadable(EXPECTED, &e))?],
    };
    if items
        .iter()
        .any(|item| item.cache.is_empty() || item.topic.is_empty())
    {
        return Err(Unreadable {
            expected: EXPECTED,
            found: "an empty `cache` or `topic`".to_owned(),
        });
    }
    let publications = items.into_iter().map(|item| Publication {
        cache: item.cache,
        topic: item.topic,
        value: serde_json::from_str(item.value.get())
            .unwrap_or_else(|_| item.value.get().to_owned()),
    });
    Ok(publications.collect())
}

pub(crate) fn unreadable(expected: &'static str, e: &serde_json::Error) -> Unreadable {
    Unreadable {
        expected,
        found: json::error_without_content(e),
    }
}

#[cfg(test)]
mod tests;
