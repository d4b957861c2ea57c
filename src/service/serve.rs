//! The webhook behind its own HTTP server: the same answers as behind Lambda's triggers, and `/live` and `/ready`.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Bytes;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::domain::inbound::outcome::Progress;
use crate::entrypoints::http::{Code, Times, Webhook, not_stored};
use crate::service::backoff::Backoff;
use crate::service::relay::health::metrics;
use crate::service::relay::status::Status;
use crate::service::server::{self, Handler, Limits, health};

/// The waits between two attempts to fetch the signing secret.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// How long an untaken message is tried after its answer.
const STORE_WITHIN: Duration = Duration::from_secs(30);

/// Such messages at once; further ones are given up with their answer.
const STORED_LATE: u32 = 256;

/// Unverified requests held in the same way, at once, while there is no signing secret: forged ones must not keep verified
/// messages out.
const UNVERIFIED_LATE: u32 = 32;

/// Serves the webhook on `listener` until `stop`, then finishes requests under way.
///
/// The answer always comes within the budget: 503 for an untaken message, and storing goes on after it.
///
/// A body has half of the budget to arrive; the other half is left for targets and queues. With a relay in the same process,
/// `/ready` waits for it, too, and `/metrics` has its numbers.
///
/// # Errors
///
/// When the listener has no local address.
pub async fn run(
    listener: TcpListener,
    webhook: Arc<Webhook>,
    limits: Limits,
    relay: Option<Arc<Status>>,
    stop: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let address = listener.local_addr()?;
    let limits = Limits {
        body_within: limits.body_within.min(webhook.settings.answer_within / 2),
        ..limits
    };
    let handler = Served::new(webhook.clone(), relay);
    let (late, unverified) = (handler.late.clone(), handler.unverified.clone());
    let stop_within = limits.stop_within;
    let stop = async {
        stop.await;
        tracing::info!("stopping: finishing requests under way");
    };
    tracing::info!(server.address = %address, "listening on http://{address}");
    tokio::select! {
        () = server::serve(listener, limits, handler, stop) => {}
        never = fetch_secrets(&webhook) => match never {},
    }
    let stored = async {
        let _ = late.acquire_many(STORED_LATE).await;
        let _ = unverified.acquire_many(UNVERIFIED_LATE).await;
    };
    if timeout(stop_within, stored).await.is_err() {
        tracing::error!("stopped before every message was stored");
    }
    tracing::info!("stopped");
    Ok(())
}

/// Handles the server's requests.
pub struct Served {
    webhook: Arc<Webhook>,
    relay: Option<Arc<Status>>,
    late: Arc<Semaphore>,
    unverified: Arc<Semaphore>,
}

impl Served {
    pub fn new(webhook: Arc<Webhook>, relay: Option<Arc<Status>>) -> Self {
        Self {
            webhook,
            relay,
            late: Arc::new(Semaphore::new(STORED_LATE as usize)),
            unverified: Arc::new(Semaphore::new(UNVERIFIED_LATE as usize)),
        }
    }

    /// `/live`, `/ready` and `/metrics`.
    fn about_itself<B>(&self, request: &Request<B>) -> Option<Response<String>> {
        let relay = self.relay.as_deref();
        let missing = || {
            let mut missing = relay.map(Status::missing).unwrap_or_default();
            if !self.webhook.secrets.is_filled() {
                missing.insert(0, "signing secret");
            }
            missing
        };
        health(request, missing).or_else(|| metrics(request, relay?))
    }
}

impl Handler for Served {
    async fn answer(&self, request: Request<Bytes>, received: Instant) -> Response<String> {
        if let Some(response) = self.about_itself(&request) {
            return response;
        }
        let answer_by = received + self.webhook.settings.answer_within;
        let times = Times {
            answer_by,
            store_by: answer_by + STORE_WITHIN,
            received_at: None,
        };
        let (webhook, progress) = (self.webhook.clone(), Arc::new(Progress::default()));
        let so_far = progress.clone();
        let mut answering =
            tokio::spawn(async move { webhook.answer_watched(&request, times, &progress).await });
        match timeout_at(answer_by, &mut answering).await {
            Ok(Ok(response)) => return response,
            // A panic's text may quote the message.
            Ok(Err(_)) => {
                let reason = "the handler ended early".to_owned();
                return self.refuse(Code::NotStored, reason, received.elapsed());
            }
            Err(_) => {}
        }
        let places = match so_far.now() {
            Some(_) => &self.late,
            None => &self.unverified,
        };
        let Ok(permit) = places.clone().try_acquire_owned() else {
            answering.abort();
            self.webhook.refuse(
                Code::NotStored,
                "too many messages wait for a queue",
                received.elapsed(),
            );
            return not_stored(&so_far);
        };
        tokio::spawn(async move {
            let _ = answering.await;
            drop(permit);
        });
        tracing::warn!("answered 503 for a message not stored yet; storing goes on");
        not_stored(&so_far)
    }

    fn refuse(&self, code: Code, reason: String, took: Duration) -> Response<String> {
        self.webhook.refuse(code, reason, took)
    }
}

/// Fetches the signing secrets, with attempts without a limit: before `/ready` there may be no request to fetch them. Never
/// ends, so that it can run beside the server.
async fn fetch_secrets(webhook: &Webhook) -> std::convert::Infallible {
    let mut waits = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
    loop {
        let deadline = Instant::now() + webhook.settings.answer_within;
        match webhook.secrets.get(deadline).await {
            Ok(_) => return std::future::pending().await,
            Err(fault) => tracing::warn!(
                error.code = fault.code,
                error.text = fault.text,
                "no signing secret yet"
            ),
        }
        sleep(waits.pause()).await;
    }
}

#[cfg(test)]
mod tests;
