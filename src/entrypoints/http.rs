//! A signed POST in, an answer out: the only file that knows HTTP statuses.
//!
//! Momento delivers once, waits 5 s and never repeats. So a 2xx is given only when, for every matching route, the target
//! or a queue has the message. Everything is bounded by [`WebhookSettings::answer_within`], but for a message that nothing
//! has taken by then: that one is tried until [`Times::store_by`].

use std::time::Duration;

use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use serde::Serialize;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

use crate::config::{Unrouted, WebhookSettings};
use crate::dispatch::{
    self, Deadlines, Delivered, Delivery, Outcome, Place, Progress, Queues, Targets,
};
use crate::letter::{Letter, Reason};
use crate::message::{MessageId, TopicMessage};
use crate::metrics::{Measurements, Metric, Metrics};
use crate::ports::Fault;
use crate::routes::{MATCHING_STEPS, Routes};
use crate::secrets::SecretCache;
use crate::signature::{self, SignatureError, Verified};
use crate::telemetry;
use crate::xray::{Segment, Trace};

/// The largest body that is looked at, in bytes.
pub const BODY_MAX: usize = 1024 * 1024;

/// What is left of the budget for writing the answer.
const ANSWERING: Duration = Duration::from_millis(50);

/// The webhook, whatever brings the requests.
pub struct Webhook {
    pub routes: Routes,
    pub targets: Targets,
    pub queues: Queues,
    pub secrets: SecretCache,
    pub settings: WebhookSettings,
    pub metrics: Metrics,
    /// The time, in ms since the epoch.
    pub now_ms: fn() -> i64,
}

/// When a request came, and when its answer is due.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub answer_by: Instant,
    /// The end of storing a message that nothing has taken until `answer_by`.
    pub store_by: Instant,
    /// When the front end received the request, in ms since the epoch: unlike the clock of a function, which may be wrong for a
    /// moment after a freeze, its clock is AWS's.
    pub received_at: Option<i64>,
}

impl Times {
    /// Nothing is stored later than the answer is due.
    pub fn within(budget: Duration) -> Self {
        let end = Instant::now() + budget;
        Self {
            answer_by: end,
            store_by: end,
            received_at: None,
        }
    }
}

/// Every answer there is.
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
    /// Only of the HTTP server: Lambda's triggers wait for the whole body themselves.
    TooSlow,
    /// Only of the HTTP server.
    HeadTooLarge,
    NotStored,
}

impl Code {
    /// The `code` of the answer.
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

/// What is answered, and what the log says of it.
struct Verdict {
    code: Code,
    subject: Option<Subject>,
    deliveries: Vec<Delivery>,
    /// For the log: why, without any of the body.
    reason: Option<String>,
}

/// A verified message.
struct Subject {
    message: TopicMessage,
    trace: Trace,
}

impl Verdict {
    fn refused(code: Code, reason: impl ToString) -> Self {
        Self {
            code,
            subject: None,
            deliveries: Vec::new(),
            reason: Some(reason.to_string()),
        }
    }

    fn about(subject: Subject, code: Code) -> Self {
        Self {
            code,
            subject: Some(subject),
            deliveries: Vec::new(),
            reason: None,
        }
    }

    fn unrouted(subject: Subject, kept: Result<(), Fault>) -> Self {
        match kept {
            Ok(()) => Self::about(subject, Code::Unrouted),
            Err(fault) => Self {
                reason: Some(format!("no route matched, and no queue took it: {fault}")),
                ..Self::about(subject, Code::NotStored)
            },
        }
    }

    fn undecided(subject: Subject, kept: Result<Place, Fault>) -> Self {
        let (code, reason) = match kept {
            Ok(_) => (
                Code::Accepted,
                "matching took too long: parked whole".to_owned(),
            ),
            Err(fault) => {
                let reason = format!("matching took too long, and no queue took it: {fault}");
                (Code::NotStored, reason)
            }
        };
        Self {
            reason: Some(reason),
            ..Self::about(subject, code)
        }
    }

    fn is_late(&self) -> bool {
        self.deliveries.iter().any(|delivery| delivery.late)
    }

    fn message(&self) -> Option<&TopicMessage> {
        self.subject.as_ref().map(|subject| &subject.message)
    }

    fn measurements(&self, now_ms: i64) -> Measurements {
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
        for delivery in &self.deliveries {
            delivery.measure(&mut measured);
        }
        measured
    }

    fn response(&self) -> Response<String> {
        let body = Body {
            id: self.message().map(|message| &message.id),
            code: self.code.name(),
            targets: self.message().map(|_| {
                let targets = self.deliveries.iter().map(|delivery| BodyTarget {
                    route: &delivery.route,
                    outcome: delivery.outcome.name(),
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

/// Answers, and logs, a request that was refused before anything could judge it, `took` after it began.
pub fn refuse(code: Code, reason: impl ToString, took: Duration) -> Response<String> {
    let verdict = Verdict::refused(code, reason);
    log(&verdict, took, 0);
    verdict.response()
}

/// The answer to a message that is not stored yet.
pub fn not_stored(progress: &Progress) -> Response<String> {
    let begun = progress.now();
    let targets = begun.as_ref().map(|begun| {
        let outcomes = begun.outcomes.iter();
        outcomes.map(|(route, outcome)| BodyTarget {
            route,
            outcome: outcome.name(),
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
}

impl Webhook {
    /// Fetches the signing secrets ahead of the first request, which asks for them again if they were not there by `deadline`.
    pub async fn warm_up(&self, deadline: Instant) {
        if let Err(fault) = self.secrets.get(deadline).await {
            tracing::warn!(
                error.code = fault.code,
                error.text = fault.text,
                "no signing secret yet"
            );
        }
    }

    /// Answers a request whose body is the bytes that were sent (base64 of an event already undone).
    pub async fn answer<B: AsRef<[u8]>>(
        &self,
        request: &Request<B>,
        times: Times,
    ) -> Response<String> {
        self.answer_watched(request, times, &Progress::default())
            .await
    }

    /// The same, and keeps `progress`, of which [`not_stored`] makes an answer in between.
    pub async fn answer_watched<B: AsRef<[u8]>>(
        &self,
        request: &Request<B>,
        times: Times,
        progress: &Progress,
    ) -> Response<String> {
        let began = Instant::now();
        let asks = matches!(*request.method(), Method::GET | Method::HEAD);
        if asks && matches!(request.uri().path(), "" | "/") {
            let about =
                serde_json::json!({"name": env!("CARGO_PKG_NAME"), "version": crate::VERSION});
            return respond(StatusCode::OK, about.to_string());
        }
        let budget = times.answer_by.saturating_duration_since(began);
        let before = |end: Instant| end.checked_sub(ANSWERING).unwrap_or(began);
        let deadlines = Deadlines::within(budget, before(times.answer_by), before(times.store_by));
        let span = telemetry::about_a_message();
        let end = times.store_by.max(times.answer_by);
        let verdict = timeout_at(
            end,
            self.judge(request, times.received_at, deadlines, progress),
        )
        .instrument(span.clone())
        .await
        .unwrap_or_else(|_| Verdict::refused(Code::NotStored, Fault::timed_out()));
        span.in_scope(|| self.tell(&verdict, began.elapsed()));
        verdict.response()
    }

    /// As [`refuse`], and measures it.
    pub fn refuse(&self, code: Code, reason: impl ToString, took: Duration) -> Response<String> {
        let verdict = Verdict::refused(code, reason);
        self.tell(&verdict, took);
        verdict.response()
    }

    /// Logs, measures and traces an answer.
    fn tell(&self, verdict: &Verdict, took: Duration) {
        let now_ms = (self.now_ms)();
        log(verdict, took, now_ms);
        let mut measured = verdict.measurements(now_ms);
        if (verdict.code, self.settings.unrouted) == (Code::Unrouted, Unrouted::DeadLetter) {
            let reason = Some(Reason::Unrouted.name());
            measured.add(Metric::DeadLettered, 1, None, reason);
        }
        let looks = self.secrets.take_looks();
        if looks > 0 {
            measured.add(Metric::SecretReread, looks.into(), None, None);
        }
        self.metrics.write(measured);
        if let Some(Subject { message, trace }) = &verdict.subject {
            let segment = Segment {
                name: "webhook",
                started_at: now_ms - i64::try_from(took.as_millis()).unwrap_or_default(),
                ended_at: now_ms,
                outcome: verdict.code.name(),
                fault: verdict.code == Code::NotStored,
                message_id: message.id.as_str(),
                route: None,
            };
            self.targets.tracer.begin(trace, &segment);
        }
    }

    /// The checks, in their order: method, size, signature, JSON, freshness; then the routes.
    async fn judge<B: AsRef<[u8]>>(
        &self,
        request: &Request<B>,
        received_at: Option<i64>,
        deadlines: Deadlines,
        progress: &Progress,
    ) -> Verdict {
        let body = request.body().as_ref();
        if request.method() != Method::POST {
            let reason = format!("expected POST, found {}", request.method());
            return Verdict::refused(Code::MethodNotAllowed, reason);
        }
        if body.len() > BODY_MAX {
            let reason = format!(
                "expected a body of at most {BODY_MAX} bytes, found {}",
                body.len()
            );
            return Verdict::refused(Code::TooLarge, reason);
        }
        let verified = match self.verify(request.headers(), body, deadlines).await {
            Ok(Ok(verified)) => verified,
            Ok(Err(e @ SignatureError::Missing)) => return Verdict::refused(Code::Unsigned, e),
            Ok(Err(e)) => return Verdict::refused(Code::BadSignature, e),
            Err(fault) => {
                return Verdict::refused(Code::NotStored, format!("no signing secret: {fault}"));
            }
        };
        let (message, body) = match TopicMessage::parse(verified) {
            Ok(parsed) => parsed,
            Err(e) => return Verdict::refused(Code::Malformed, e),
        };
        let trace = self.targets.tracer.of(&message);
        telemetry::correlate(message.id.as_str(), Some(trace.id()));
        let subject = Subject { message, trace };
        let now = received_at.unwrap_or_else(self.now_ms);
        let age = i128::from(now) - i128::from(subject.message.publish_timestamp);
        if age > duration_ms(self.settings.max_age) {
            return Verdict::about(subject, Code::Stale);
        }
        if -age > duration_ms(self.settings.max_skew) {
            return Verdict::about(subject, Code::FromTheFuture);
        }
        let deadlines = deadlines.once_verified(Instant::now());
        self.dispatch(subject, body, deadlines, progress).await
    }

    /// The inner error is a refusal, the outer one a bridge that cannot tell.
    async fn verify<'b>(
        &self,
        headers: &HeaderMap,
        body: &'b [u8],
        deadlines: Deadlines,
    ) -> Result<Result<Verified<'b>, SignatureError>, Fault> {
        let verify = |secrets: &[_]| {
            let values = headers.get_all(signature::HEADER);
            signature::verify(secrets, body, values.iter().map(|value| value.as_bytes()))
        };
        if !headers.contains_key(signature::HEADER) {
            return Ok(Err(SignatureError::Missing));
        }
        let secrets = self.secrets.get(deadlines.secrets()).await?;
        let result = verify(&secrets);
        if matches!(result, Err(SignatureError::Wrong))
            && let Some(newer) = self.secrets.newer_than(&secrets, deadlines.reread()).await
        {
            return Ok(verify(&newer));
        }
        Ok(result)
    }

    async fn dispatch(
        &self,
        subject: Subject,
        body: &str,
        deadlines: Deadlines,
        progress: &Progress,
    ) -> Verdict {
        let delivered = Delivered {
            message: &subject.message,
            trace: &subject.trace,
            body,
            now_ms: (self.now_ms)(),
            progress,
        };
        let matching = self
            .routes
            .matching_within(delivered.message, MATCHING_STEPS);
        let Ok(matching) = matching else {
            let letter = Letter::undecided(delivered.message, body, delivered.now_ms);
            let kept = dispatch::store(letter, Place::Parked, &self.queues, deadlines).await;
            return Verdict::undecided(subject, kept);
        };
        if matching.is_empty() {
            let kept = self.keep_unrouted(delivered, deadlines).await;
            return Verdict::unrouted(subject, kept);
        }
        let (targets, queues) = (&self.targets, &self.queues);
        let deliveries = dispatch::deliver(delivered, matching, targets, queues, deadlines).await;
        let stored = deliveries
            .iter()
            .all(|delivery| delivery.outcome != Outcome::NotStored);
        let code = if stored {
            Code::Accepted
        } else {
            Code::NotStored
        };
        Verdict {
            deliveries,
            ..Verdict::about(subject, code)
        }
    }

    async fn keep_unrouted(
        &self,
        Delivered {
            message,
            body,
            now_ms,
            ..
        }: Delivered<'_>,
        deadlines: Deadlines,
    ) -> Result<(), Fault> {
        match self.settings.unrouted {
            Unrouted::Ignore => Ok(()),
            Unrouted::DeadLetter => {
                let letter = Letter::unrouted(message, body, now_ms);
                let place = Place::DeadLetters;
                dispatch::store(letter, place, &self.queues, deadlines)
                    .await
                    .map(drop)
            }
        }
    }
}

/// One line for each request, whatever came of it.
fn log(verdict: &Verdict, took: Duration, now_ms: i64) {
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
                    .then(|| dispatch::outcomes(&verdict.deliveries)),
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
        Code::Accepted => line!(warn, "kept a message that a target did not take"),
        Code::Unrouted => line!(warn, "no route takes this message"),
        Code::NotStored => line!(error, "could not store a message"),
        _ => line!(warn, "refused a request"),
    }
}

fn duration_ms(duration: Duration) -> i128 {
    i128::try_from(duration.as_millis()).unwrap_or(i128::MAX)
}

fn respond(status: StatusCode, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

#[cfg(test)]
mod tests;
