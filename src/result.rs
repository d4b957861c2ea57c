//! What comes back: a status change, or an event of a workflow, made into publications.

mod address;

use serde::de::IntoDeserializer;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use address::{Address, InReplyTo, NoAddress};

pub use address::Refused;

use crate::input::{ReplyAddress, own_envelope};
use crate::json;
use crate::ledger::ledger_id;
use crate::ports::Described;
use crate::routes::{Format, Routes};

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
        /// The input asks for another address, which is not believed: this one is the route's.
        refused: bool,
    },
    /// Nobody waits for this; the reason is for the log.
    Ignore(&'static str),
    /// The input asks for an address that is not believed, and there is no other.
    Refuse(Refused),
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

    /// The id of the message that started it and its `event_timestamp`, where the bridge wrote the input.
    pub fn message(&self) -> Option<(String, i64)> {
        let message = own_envelope(&self.name, self.input.as_deref()?)?.message;
        Some((message.id.to_string(), message.event_timestamp))
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
    /// When the input looks like an envelope and cannot be read, or the output is not the JSON that Step Functions promises.
    pub fn decide(&self, routes: &Routes) -> Result<Decision, Unreadable> {
        self.to_address(routes, |address| {
            let reply = &address.reply;
            let succeeded = self.status == Status::Succeeded;
            let value = match (succeeded, reply.format) {
                (true, Format::Output) => self.bare_output()?,
                _ => self.envelope(address, self.raw_output()?, None),
            };
            let topics = if succeeded {
                &reply.topics
            } else {
                &reply.failures
            };
            Ok(publications(reply, topics, &value))
        })
    }

    /// What to publish in place of a value that is too large: an envelope that says so, to where failures go.
    ///
    /// # Errors
    ///
    /// Those of [`Execution::decide`].
    pub fn decide_without_value(&self, routes: &Routes, why: &str) -> Result<Decision, Unreadable> {
        self.to_address(routes, |address| {
            let value = self.envelope(address, None, Some((TOO_LARGE, why)));
            let reply = &address.reply;
            Ok(publications(reply, &reply.failures, &value))
        })
    }

    fn to_address(
        &self,
        routes: &Routes,
        publications: impl FnOnce(&Address) -> Result<Vec<Publication>, Unreadable>,
    ) -> Result<Decision, Unreadable> {
        Ok(match self.address(routes) {
            Ok(address) => Decision::Publish {
                publications: publications(&address)?,
                route: address.route,
                refused: address.refused,
            },
            Err(NoAddress::Ignored(reason)) => Decision::Ignore(reason),
            Err(NoAddress::Refused(refused)) => Decision::Refuse(refused),
            Err(NoAddress::Unreadable(e)) => return Err(e),
        })
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

fn publications(reply: &ReplyAddress, topics: &[String], value: &str) -> Vec<Publication> {
    let publications = topics.iter().map(|topic| Publication {
        cache: reply.cache.clone(),
        topic: topic.clone(),
        value: value.to_owned(),
    });
    publications.collect()
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
