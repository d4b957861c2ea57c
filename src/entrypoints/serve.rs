//! The webhook behind its own HTTP server: the same answers as behind Lambda's triggers, and `/live` and `/ready`.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Bytes;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use super::http::{Code, Webhook};
use crate::backoff::Backoff;
use crate::relay::health::metrics;
use crate::relay::status::Status;
use crate::server::{self, Handler, Limits, health};

/// The waits between two attempts to fetch the signing secret.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// Serves the webhook on `listener` until `stop` is there, and then finishes what is under way.
///
/// A body has half of the budget to arrive, so that the other half is left for targets and queues. Where a relay runs in the same
/// process, `/ready` waits for it, too, and `/metrics` has its numbers.
///
/// # Errors
///
/// When the listener does not know its own address.
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
    let handler = Served {
        webhook: webhook.clone(),
        relay,
    };
    let stop = async {
        stop.await;
        tracing::info!("stopping: what is under way is finished");
    };
    tracing::info!(server.address = %address, "listening on http://{address}");
    tokio::select! {
        () = server::serve(listener, limits, handler, stop) => {}
        never = fetch_secrets(&webhook) => match never {},
    }
    tracing::info!("stopped");
    Ok(())
}

/// What the server hands requests to.
struct Served {
    webhook: Arc<Webhook>,
    relay: Option<Arc<Status>>,
}

impl Handler for Served {
    async fn answer(&self, request: Request<Bytes>, received: Instant) -> Response<String> {
        answer(&self.webhook, &request, received, self.relay.as_deref()).await
    }

    fn refuse(&self, code: Code, reason: String, took: Duration) -> Response<String> {
        self.webhook.refuse(code, reason, took)
    }
}

/// Answers a request whose head had been `received` then: the budget began there.
pub async fn answer<B: AsRef<[u8]>>(
    webhook: &Webhook,
    request: &Request<B>,
    received: Instant,
    relay: Option<&Status>,
) -> Response<String> {
    let missing = || {
        let mut missing = relay.map(Status::missing).unwrap_or_default();
        if !webhook.secrets.is_filled() {
            missing.insert(0, "signing secret");
        }
        missing
    };
    if let Some(response) = health(request, missing) {
        return response;
    }
    if let Some(response) = relay.and_then(|status| metrics(request, status)) {
        return response;
    }
    let budget = webhook.settings.answer_within;
    let left = budget.saturating_sub(received.elapsed());
    webhook.answer(request, left).await
}

/// Fetches the signing secrets, for as long as that takes: before `/ready` says so no requests may come that would do it. Never
/// ends, so that it can run beside what does.
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
