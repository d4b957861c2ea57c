//! `bridge relay`: reads topics by subscription and delivers them to the webhook, for accounts without Momento's webhooks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result, anyhow};
use aws_config::SdkConfig;
use axum::body::Bytes;
use axum::http::Request;
use clap::Args;
use futures_util::FutureExt as _;
use tokio::sync::OnceCell;
use workflow_bridge::adapters::aws::secrets::SecretsManager;
use workflow_bridge::adapters::aws::{self, RootsError};
use workflow_bridge::clock::now_ms;
use workflow_bridge::domain::inbound::secrets::SecretCache;
use workflow_bridge::domain::ports::Secrets;
use workflow_bridge::environment::environment;
use workflow_bridge::service::relay::destination::{Destination, Transport};
use workflow_bridge::service::relay::{Relay, health};
use workflow_bridge::service::server::{self, Limits};
use workflow_bridge::telemetry;

mod options;
mod secrets;

pub use self::options::RelayOptions;
use self::secrets::SigningOptions;
use crate::listen::{listen, raise_open_files};
use crate::{ENDS_IN_ORDER, Signals};

/// Deliver topics to the webhook by subscribing to them, where Momento delivers no webhooks
///
/// Sends each message in the same signed POST as Momento's webhooks, until a 2xx or a permanent refusal; each topic stays in order.
/// Cursors survive a restart; messages that Momento lost are reported as gaps. Runs until it is stopped.
#[derive(Args)]
#[command(
    after_help = "Example, with a webhook on AWS and the topics of its routes:\n  export MOMENTO_API_KEY=… MOMENTO_ENDPOINT=cell-us-east-1-1.prod.a.momentohq.com\n  cargo bridge relay --routes routes.json --webhook https://….lambda-url.us-east-1.on.aws/ \\\n    --secret-file signing-secret --health 127.0.0.1:8081\n\nMost options have a variable, for containers. Logs are JSON, a line each. docs/relay.md has the rest; to try it all on this machine: cargo bridge local --relay"
)]
pub struct RelayCommand {
    #[command(flatten)]
    what: RelayOptions,

    /// URL of the webhook
    #[arg(long, value_name = "URL", env = "WEBHOOK_URL")]
    webhook: String,

    #[command(flatten)]
    secret: SigningOptions,

    /// Serve /live, /ready and /metrics here
    #[arg(long, value_name = "ADDRESS:PORT", env = "HEALTH_LISTEN")]
    health: Option<String>,
}

impl RelayCommand {
    pub async fn run(self) -> Result<i32> {
        telemetry::init("relay", &environment);
        let aws = LazyAws::default();
        let destination = Destination {
            transport: Transport::http(&self.webhook).map_err(|text| anyhow!(text))?,
            secrets: SecretCache::new(self.secret.store(&aws).await?),
            watch: None,
            clock: Arc::default(),
            now_ms,
        };
        let listener = match &self.health {
            Some(address) => Some(listen(address, "--health").await?),
            None => None,
        };
        let relay = self.what.relay(destination, &aws).await?;
        let status = relay.status.clone();
        let stop = stop()?;
        let Some(listener) = listener else {
            run(relay, None, stop).await?;
            return Ok(0);
        };
        let address = listener.local_addr()?;
        let handler = move |request: Request<Bytes>, _| {
            let answer = health::answer(&request, &status);
            async { answer }
        };
        // The endpoints answer for as long as anything is under way.
        let never = std::future::pending();
        tokio::select! {
            result = run(relay, Some(address), stop) => result?,
            () = server::serve(listener, Limits::default(), handler, never) => {}
        }
        Ok(0)
    }
}

/// The first stop signal; a second one ends the command at once.
pub fn stop() -> Result<impl Future<Output = ()> + Clone> {
    let mut signals = Signals::new()?;
    ENDS_IN_ORDER.store(true, Ordering::Relaxed);
    let stop = async move {
        signals.next().await;
    };
    // Boxed and shared, since many places wait for it.
    Ok(stop.boxed().shared())
}

/// AWS's configuration, read at first use: a relay on a plain host needs none.
#[derive(Default)]
pub struct LazyAws(OnceCell<SdkConfig>);

impl LazyAws {
    pub async fn get(&self) -> Result<&SdkConfig, RootsError> {
        self.0.get_or_try_init(aws::of_machine).await
    }

    pub async fn secret(&self, id: &str) -> Result<Arc<dyn Secrets>, RootsError> {
        let secret = SecretsManager::new(self.get().await?, id.to_owned());
        Ok(Arc::new(secret))
    }
}

/// Relays until `stop`. `listening` is the address of the health endpoints, for the log.
///
/// # Errors
///
/// When the relay cannot start, or cannot save its cursors at the end.
pub async fn run(
    relay: Relay,
    listening: Option<SocketAddr>,
    stop: impl Future<Output = ()> + Clone,
) -> Result<()> {
    raise_open_files();
    let place = relay.destination.place();
    let running = tokio::select! {
        running = relay.start() => running?,
        () = stop.clone() => return Ok(()),
    };
    tracing::info!(
        topics = running.topics(),
        webhook = place,
        server.address = listening.map(tracing::field::display),
        "relaying"
    );
    let stopped = running.until(stop).await;
    stopped.context("cannot save the cursors: the next start relays messages again")
}
