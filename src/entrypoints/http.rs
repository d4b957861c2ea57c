//! A signed POST in, an answer out.
//!
//! Momento delivers once, waits 5 s and never repeats. So the answer is 2xx only if, for every matching route, the target or
//! a queue took the message. [`WebhookSettings::answer_within`] bounds all work, except for a message taken by neither:
//! attempts to store it continue until [`Times::store_by`].

mod verdict;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{OptionFuture, join};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

pub use self::verdict::{Code, not_stored, refuse};
use self::verdict::{Subject, Verdict, log, respond};
use crate::config::{Unrouted, WebhookSettings};
use crate::domain::fault::Fault;
use crate::domain::inbound::dispatch::{self, Incoming, Targets};
use crate::domain::inbound::letter::{Letter, Reason};
use crate::domain::inbound::live_routes::LiveRoutes;
use crate::domain::inbound::message::TopicMessage;
use crate::domain::inbound::outcome::{Outcome, Progress};
use crate::domain::inbound::queues::{self, Deadlines, Place, Queues};
use crate::domain::inbound::routes::MATCHING_STEPS;
use crate::domain::inbound::secrets::SecretCache;
use crate::domain::inbound::signature::{self, SignatureError, Verified};
use crate::telemetry;
use crate::telemetry::metrics::{Metric, Metrics};
use crate::telemetry::xray::Segment;

/// Largest body, in bytes.
pub const BODY_MAX: usize = 1024 * 1024;

/// Time reserved for writing the answer.
const ANSWERING: Duration = Duration::from_millis(50);

/// The maximum age of the routes when a message counts as unrouted.
const ROUTES_AGE: Duration = Duration::from_secs(3);

/// Time limit of a new read of the routes.
const ROUTES_WITHIN: Duration = Duration::from_secs(1);

/// The webhook, behind any source of requests.
pub struct Webhook {
    pub routes: Arc<LiveRoutes>,
    pub targets: Targets,
    pub queues: Queues,
    pub secrets: SecretCache,
    pub settings: WebhookSettings,
    pub metrics: Metrics,
    /// The time, in ms since the epoch.
    pub now_ms: fn() -> i64,
}

/// The times of a request and its answer.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub answer_by: Instant,
    /// End of attempts to store a message taken by neither a target nor a queue before `answer_by`.
    pub store_by: Instant,
    /// When the front end received the request, in ms since the epoch. Its clock is AWS's, while a function's clock may be
    /// wrong for a moment after a freeze.
    pub received_at: Option<i64>,
}

impl Times {
    /// Times without storing after the answer is due.
    pub fn within(budget: Duration) -> Self {
        let end = Instant::now() + budget;
        Self {
            answer_by: end,
            store_by: end,
            received_at: None,
        }
    }
}

impl Webhook {
    /// Fetches the signing secrets ahead of the first request, which tries again if they are missing by `deadline`.
    pub async fn warm_up(&self, deadline: Instant) {
        if let Err(fault) = self.secrets.get(deadline).await {
            tracing::warn!(
                error.code = fault.code,
                error.text = fault.text,
                "no signing secret yet"
            );
        }
    }

    /// Answers a request; its body has the bytes as sent, with the base64 of an event decoded.
    pub async fn answer<B: AsRef<[u8]>>(
        &self,
        request: &Request<B>,
        times: Times,
    ) -> Response<String> {
        self.answer_watched(request, times, &Progress::default())
            .await
    }

    /// As [`Webhook::answer`], with `progress` for an interim answer by [`not_stored`].
    pub async fn answer_watched<B: AsRef<[u8]>>(
        &self,
        request: &Request<B>,
        times: Times,
        progress: &Progress,
    ) -> Response<String> {
        let began = Instant::now();
        let is_get = matches!(*request.method(), Method::GET | Method::HEAD);
        if is_get && matches!(request.uri().path(), "" | "/") {
            let about =
                serde_json::json!({"name": env!("CARGO_PKG_NAME"), "version": crate::VERSION});
            return respond(StatusCode::OK, about.to_string());
        }
        let budget = times.answer_by.saturating_duration_since(began);
        let before = |end: Instant| end.checked_sub(ANSWERING).unwrap_or(began);
        let deadlines = Deadlines::within(budget, before(times.answer_by), before(times.store_by));
        let span = telemetry::message_span();
        let end = times.store_by.max(times.answer_by);
        let verdict = timeout_at(
            end,
            self.judge(request, times.received_at, deadlines, progress),
        )
        .instrument(span.clone())
        .await
        .unwrap_or_else(|_| Verdict::refused(Code::NotStored, Fault::timed_out()));
        span.in_scope(|| self.report(&verdict, began.elapsed()));
        verdict.response()
    }

    /// As [`refuse`], with measurements.
    pub fn refuse(&self, code: Code, reason: impl ToString, took: Duration) -> Response<String> {
        let verdict = Verdict::refused(code, reason);
        self.report(&verdict, took);
        verdict.response()
    }

    /// Logs, measures and traces an answer.
    fn report(&self, verdict: &Verdict, took: Duration) {
        let now_ms = (self.now_ms)();
        log(verdict, took, now_ms);
        let mut measured = verdict.measurements(now_ms);
        if (verdict.code, self.settings.unrouted) == (Code::Unrouted, Unrouted::DeadLetter) {
            let reason = Some(Reason::Unrouted.name());
            measured.add(Metric::DeadLettered, 1, None, reason);
        }
        let rereads = self.secrets.take_rereads();
        if rereads > 0 {
            measured.add(Metric::SecretReread, rereads.into(), None, None);
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

    /// Checks method, size, signature, JSON and freshness, in this order; then routes the message.
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
                return Verdict::refused(
                    Code::NotStored,
                    format!("the signing secret is not known: {fault}"),
                );
            }
        };
        let (message, body) = match TopicMessage::parse(verified) {
            Ok(parsed) => parsed,
            Err(e) => return Verdict::refused(Code::Malformed, e),
        };
        let trace = self.targets.trace(&message);
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

    /// The inner error is a refusal; the outer one is a failure to fetch the secrets.
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
            && let Some(newer) = self
                .secrets
                .newer_than(&secrets, deadlines.reread())
                .await?
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
        let incoming = Incoming {
            message: &subject.message,
            trace: &subject.trace,
            body,
            now_ms: (self.now_ms)(),
            progress,
        };
        let known = self.routes.current().await;
        let matching = known
            .routes
            .matching_within(incoming.message, MATCHING_STEPS);
        // A route may have come since the last read.
        let is_unrouted = matching.as_ref().is_ok_and(Vec::is_empty);
        let fresh;
        let (snapshot, matching) = if self.routes.is_live() && (!known.complete || is_unrouted) {
            let deadline = Instant::now() + ROUTES_WITHIN;
            fresh = self.routes.fresh(deadline, ROUTES_AGE).await;
            let matching = fresh
                .routes
                .matching_within(incoming.message, MATCHING_STEPS);
            (&fresh, matching)
        } else {
            (&known, matching)
        };
        let Ok(matching) = matching else {
            let letter = Letter::undecided(incoming.message, body, incoming.now_ms);
            let kept = queues::store(letter, Place::Parked, &self.queues, deadlines).await;
            return Verdict::parked_whole(subject, Reason::Undecided, kept);
        };
        if matching.is_empty() && snapshot.is_current() {
            let kept = self.keep_unrouted(incoming, deadlines).await;
            return Verdict::unrouted(subject, kept);
        }
        // A further route may match among those that could not be read: the redrive delivers to it.
        let whole = (matching.is_empty() || !snapshot.complete).then(|| {
            let delivered_to = matching.iter().map(|route| route.name.clone()).collect();
            let (message, now_ms) = (incoming.message, incoming.now_ms);
            let letter = Letter::routes_unavailable(message, body, delivered_to, now_ms);
            queues::store(letter, Place::Parked, &self.queues, deadlines)
        });
        let (targets, queues) = (&self.targets, &self.queues);
        let deliveries = dispatch::deliver(incoming, matching, targets, queues, deadlines);
        let (deliveries, whole) = join(deliveries, OptionFuture::from(whole)).await;
        let stored = deliveries
            .iter()
            .all(|delivery| delivery.outcome != Outcome::NotStored);
        let verdict = match whole {
            Some(kept) => Verdict::parked_whole(subject, Reason::RoutesUnavailable, kept),
            None => Verdict::about(subject, Code::Accepted),
        };
        Verdict {
            code: if stored {
                verdict.code
            } else {
                Code::NotStored
            },
            deliveries,
            ..verdict
        }
    }

    async fn keep_unrouted(
        &self,
        Incoming {
            message,
            body,
            now_ms,
            ..
        }: Incoming<'_>,
        deadlines: Deadlines,
    ) -> Result<(), Fault> {
        match self.settings.unrouted {
            Unrouted::Ignore => Ok(()),
            Unrouted::DeadLetter => {
                let letter = Letter::unrouted(message, body, now_ms);
                let place = Place::DeadLetters;
                queues::store(letter, place, &self.queues, deadlines)
                    .await
                    .map(drop)
            }
        }
    }
}

fn duration_ms(duration: Duration) -> i128 {
    i128::try_from(duration.as_millis()).unwrap_or(i128::MAX)
}

#[cfg(test)]
mod tests;
