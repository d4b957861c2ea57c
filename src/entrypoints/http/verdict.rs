//! The verdict on a request: its answer, its log line and its measurements. The only file that knows the webhook's statuses.

use std::time::Duration;

use http::{Response, StatusCode, header};
use serde::Serialize;

use crate::domain::fault::Fault;
use crate::domain::inbound::letter::Reason;
use crate::domain::inbound::message::{MessageId, TopicMessage};
use crate::domain::inbound::outcome::{self, Delivery, Progress};
use crate::domain::inbound::queues::Place;
use crate::telemetry::metrics::{Measurements, Metric};
use crate::telemetry::xray::Trace;

/// The `code` of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    Accepted,
    Unrouted,
    Malformed,
    Unsigned,
    BadSignature,
    Stale,
    FromTheFuture,
    MethodNotAllowed,
    TooLarge,
    /// For the HTTP server only: Lambda's triggers wait for the whole body themselves.
    TooSlow,
    /// For the HTTP server only.
    HeadTooLarge,
    NotStored,
}

impl Code {
    /// As written in the answer.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Unrouted => "unrouted",
            Self::Malformed => "malformed",
            Self::Unsigned => "unsigned",
            Self::BadSignature => "bad_signature",
            Self::Stale => "stale",
            Self::FromTheFuture => "from_the_future",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::TooLarge => "too_large",
            Self::TooSlow => "too_slow",
            Self::HeadTooLarge => "head_too_large",
            Self::NotStored => "not_stored",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::Accepted | Self::Unrouted => StatusCode::OK,
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Unsigned | Self::BadSignature => StatusCode::UNAUTHORIZED,
            Self::Stale | Self::FromTheFuture => StatusCode::FORBIDDEN,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::NotStored => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// The answer and its log line.
pub(super) struct Verdict {
    pub(super) code: Code,
    pub(super) subject: Option<Subject>,
    pub(super) deliveries: Vec<Delivery>,
    /// The reason for the log, without content of the body.
    pub(super) reason: Option<String>,
    /// The routes of other stacks could not be read.
    pub(super) lacks_routes: bool,
}

/// A verified message.
pub(super) struct Subject {
    pub(super) message: TopicMessage,
    pub(super) trace: Trace,
}

impl Verdict {
    pub(super) fn refused(code: Code, reason: impl ToString) -> Self {
        Self {
            code,
            subject: None,
            deliveries: Vec::new(),
            reason: Some(reason.to_string()),
            lacks_routes: false,
        }
    }

    pub(super) fn about(subject: Subject, code: Code) -> Self {
        Self {
            code,
            subject: Some(subject),
            deliveries: Vec::new(),
            reason: None,
            lacks_routes: false,
        }
    }

    pub(super) fn unrouted(subject: Subject, kept: Result<(), Fault>) -> Self {
        match kept {
            Ok(()) => Self::about(subject, Code::Unrouted),
            Err(fault) => Self {
                reason: Some(format!("no route matched, and no queue took it: {fault}")),
                ..Self::about(subject, Code::NotStored)
            },
        }
    }

    /// A message parked by itself, not for a route.
    pub(super) fn parked_whole(
        subject: Subject,
        reason: Reason,
        kept: Result<Place, Fault>,
    ) -> Self {
        let cause = match reason {
            Reason::RoutesUnavailable => "the routes of other stacks could not be read",
            _ => "matching took too long",
        };
        let (code, text) = match kept {
            Ok(_) => (Code::Accepted, format!("{cause}: parked whole")),
            Err(fault) => {
                let text = format!("{cause}, and no queue took it: {fault}");
                (Code::NotStored, text)
            }
        };
        Self {
            reason: Some(text),
            lacks_routes: reason == Reason::RoutesUnavailable,
            ..Self::about(subject, code)
        }
    }

    fn is_late(&self) -> bool {
        self.deliveries.iter().any(|delivery| delivery.late)
    }

    fn message(&self) -> Option<&TopicMessage> {
        self.subject.as_ref().map(|subject| &subject.message)
    }

    pub(super) fn measurements(&self, now_ms: i64) -> Measurements {
        let mut measured = Measurements::default();
        measured.count(Metric::Received);
        match self.code {
            Code::Accepted => measured.count(Metric::Accepted),
            Code::Unrouted => measured.count(Metric::Unrouted),
            code => measured.add(Metric::Refused, 1, None, Some(code.name())),
        }
        if let (Code::Accepted | Code::Unrouted, Some(message)) = (self.code, self.message()) {
            let took = now_ms.saturating_sub(message.publish_timestamp);
            measured.add(Metric::PublishToAccepted, took.max(0), None, None);
        }
        if self.lacks_routes {
            measured.count(Metric::RoutesUnavailable);
        }
        for delivery in &self.deliveries {
            delivery.measure(&mut measured);
        }
        measured
    }

    pub(super) fn response(&self) -> Response<String> {
        let body = Body {
            id: self.message().map(|message| &message.id),
            code: self.code.name(),
            targets: self.message().map(|_| {
                let targets = self.deliveries.iter().map(|delivery| BodyTarget {
                    route: &delivery.route,
                    outcome: delivery.outcome.name(),
                    execution: delivery.execution.as_deref(),
                });
                targets.collect()
            }),
        };
        let mut response = body.respond(self.code);
        if self.code == Code::MethodNotAllowed {
            let allow = header::HeaderValue::from_static("POST");
            response.headers_mut().insert(header::ALLOW, allow);
        }
        response
    }
}

/// Answers and logs a request refused before any check, `took` after it began.
pub fn refuse(code: Code, reason: impl ToString, took: Duration) -> Response<String> {
    let verdict = Verdict::refused(code, reason);
    log(&verdict, took, 0);
    verdict.response()
}

/// The interim answer to a message not stored yet.
pub fn not_stored(progress: &Progress) -> Response<String> {
    let begun = progress.now();
    let targets = begun.as_ref().map(|begun| {
        let outcomes = begun.outcomes.iter();
        outcomes.map(|(route, outcome)| BodyTarget {
            route,
            outcome: outcome.name(),
            execution: None,
        })
    });
    let body = Body {
        id: begun.as_ref().map(|begun| &begun.id),
        code: Code::NotStored.name(),
        targets: targets.map(Iterator::collect),
    };
    body.respond(Code::NotStored)
}

/// The body of an answer.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a MessageId>,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    targets: Option<Vec<BodyTarget<'a>>>,
}

impl Body<'_> {
    fn respond(&self, code: Code) -> Response<String> {
        let body = serde_json::to_string(self).expect("strings always serialize");
        respond(code.status(), body)
    }
}

#[derive(Serialize)]
struct BodyTarget<'a> {
    route: &'a str,
    outcome: &'static str,
    /// The name of the keyed execution.
    #[serde(skip_serializing_if = "Option::is_none")]
    execution: Option<&'a str>,
}

/// Logs one line for each request, whatever its outcome.
pub(super) fn log(verdict: &Verdict, took: Duration, now_ms: i64) {
    let message = verdict.message();
    let faults: Vec<String> = verdict
        .deliveries
        .iter()
        .filter_map(|d| {
            let fault = d.fault.as_ref()?;
            let queue = d.queue_fault.as_ref();
            Some(format!(
                "{} after {} attempts: {fault}{}",
                d.route,
                d.attempts,
                queue.map_or_else(String::new, |fault| format!("; then its queue: {fault}"))
            ))
        })
        .collect();
    let executions = verdict.deliveries.iter();
    let executions: Vec<&str> = executions.filter_map(|d| d.execution.as_deref()).collect();
    let mut codes = verdict.deliveries.iter().filter_map(|d| d.fault.as_ref());
    let code = codes.next().map(|fault| fault.code.as_str());
    macro_rules! line {
        ($level:ident, $text:literal) => {
            tracing::$level!(
                code = verdict.code.name(),
                http.status = verdict.code.status().as_u16(),
                message.id = message.map(|m| m.id.as_str()),
                message.cache = message.map(|m| m.cache.as_str()),
                message.topic = message.map(|m| m.topic.as_str()),
                message.sequence = message.map(|m| m.topic_sequence_number),
                message.age_ms = message.map(|m| now_ms.saturating_sub(m.event_timestamp)),
                targets = (!verdict.deliveries.is_empty())
                    .then(|| outcome::outcomes(&verdict.deliveries)),
                executions = (!executions.is_empty()).then(|| executions.join(" ")),
                reply = verdict
                    .deliveries
                    .iter()
                    .any(|delivery| delivery.reply_refused)
                    .then_some("refused"),
                stored = verdict.is_late().then_some("late"),
                error.code = code,
                error.text = verdict
                    .reason
                    .clone()
                    .or_else(|| (!faults.is_empty()).then(|| faults.join("; "))),
                duration_ms = took.as_millis() as u64,
                $text
            )
        };
    }
    match verdict.code {
        Code::Accepted if faults.is_empty() && verdict.reason.is_none() => {
            line!(info, "accepted a message")
        }
        Code::Accepted => line!(warn, "stored an undelivered message"),
        Code::Unrouted => line!(warn, "no route takes this message"),
        Code::NotStored => line!(error, "could not store a message"),
        _ => line!(warn, "refused a request"),
    }
}

pub(super) fn respond(status: StatusCode, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
