//! Status changes and events of workflows, made into publications.

mod address;

use serde::de::IntoDeserializer;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use address::InReplyTo;
pub use address::{ASKS_FOR_NO_REPLY, Address, NoAddress, Origin, Refused};

use crate::domain::inbound::envelope::ReplyAddress;
use crate::domain::inbound::routes::Format;
use crate::domain::outbound::ledger::{end_id, started_id};
use crate::domain::ports::Described;
use crate::json;

/// The `error` of an envelope in place of an oversized value.
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
/// Every key after the first four may be `null` or missing: older events have fewer.
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
    /// Number of redrives; the execution ends once more after each.
    #[serde(default)]
    redrive_count: Option<u32>,
    /// JSON text; missing if input and output together exceed 248 KB.
    #[serde(default)]
    input: Option<String>,
    /// JSON text; missing if it alone exceeds 248 KB.
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
    Running,
    /// `PENDING_REDRIVE` or any other: the execution has not ended.
    #[serde(other)]
    Open,
}

impl Status {
    /// The name in Step Functions, or `OPEN`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::TimedOut => "TIMED_OUT",
            Self::Aborted => "ABORTED",
            Self::Running => "RUNNING",
            Self::Open => "OPEN",
        }
    }
}

/// A description older than the event of the execution's end.
#[derive(Debug, thiserror::Error)]
#[error(
    "expected the execution's end as in the event, found `{0}` or a part of it; a retry follows"
)]
pub struct Stale(String);

/// An unreadable event.
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
    /// The business key of a keyed route's message.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    status: Status,
    execution: &'a str,
    output: Option<&'a RawValue>,
    error: Option<&'a str>,
    cause: Option<&'a str>,
    in_reply_to: &'a InReplyTo,
    started_at: Option<i64>,
    stopped_at: Option<i64>,
}

/// The announcement that an execution started.
#[derive(Serialize)]
struct Announcement<'a> {
    id: Option<&'a str>,
    route: &'a str,
    key: Option<&'a str>,
    status: Status,
    execution: &'a str,
    in_reply_to: &'a InReplyTo,
    started_at: Option<i64>,
}

impl Execution {
    /// The ledger's id of this end of the execution.
    pub fn end_id(&self) -> String {
        end_id(&self.execution_arn, self.redrive_count.unwrap_or(0))
    }

    /// The ledger's id of the announcement that the execution started.
    pub fn started_id(&self) -> String {
        started_id(&self.execution_arn)
    }

    pub fn has_ended(&self) -> bool {
        !matches!(self.status, Status::Open | Status::Running)
    }

    /// Whether the event lacks the input.
    pub fn lacks_input(&self) -> bool {
        self.input.is_none()
    }

    /// Adds the input alone, which no later state of the execution changes.
    pub fn fill_in_input(&mut self, described: Described) {
        self.input = self.input.take().or(described.input);
    }

    /// Whether the event lacks details needed by [`Execution::address`] and [`Execution::publications`].
    pub fn lacks_detail(&self) -> bool {
        self.input.is_none() || (self.status == Status::Succeeded && self.output.is_none())
    }

    /// Adds the details missing in the event.
    ///
    /// # Errors
    ///
    /// [`Stale`] if the description is older than this end.
    pub fn fill_in(&mut self, described: Described) -> Result<(), Stale> {
        let status: Result<_, serde::de::value::Error> =
            Status::deserialize(described.status.as_str().into_deserializer());
        let status = status.unwrap_or(Status::Open);
        let is_newer = described.redrive_count > self.redrive_count.unwrap_or(0);
        if !is_newer && (status != self.status || described.lacks_detail(status)) {
            return Err(Stale(described.status));
        }
        // The result of a redrive belongs to another end.
        self.input = self.input.take().or(described.input);
        if !is_newer {
            self.output = self.output.take().or(described.output);
            self.error = self.error.take().or(described.error);
            self.cause = self.cause.take().or(described.cause);
        }
        Ok(())
    }

    /// The publications of the result at an address.
    ///
    /// # Errors
    ///
    /// When the output is not the JSON that Step Functions promises.
    pub fn publications(&self, address: &Address) -> Result<Vec<Publication>, Unreadable> {
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
    }

    /// The publications of the announcement that the execution started.
    pub fn announcements(&self, address: &Address) -> Vec<Publication> {
        let announcement = Announcement {
            id: address.id.as_deref(),
            route: &address.route,
            key: address.key.as_deref(),
            status: self.status,
            execution: &self.execution_arn,
            in_reply_to: &address.in_reply_to,
            started_at: self.start_date,
        };
        let value = serde_json::to_string(&announcement);
        let value = value.expect("strings and numbers always serialize");
        publications(&address.reply, &address.reply.started, &value)
    }

    /// The publications in place of an oversized value: an error envelope to the failure topics.
    pub fn without_value(&self, address: &Address, why: &str) -> Vec<Publication> {
        let value = self.envelope(address, None, Some((TOO_LARGE, why)));
        publications(&address.reply, &address.reply.failures, &value)
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

    /// `failure` replaces the execution's own error and cause.
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
            key: address.key.as_deref(),
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

/// Parses the detail of a `Topic Publish`: one `{"cache","topic","value"}`, or a list of them under `messages`.
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
