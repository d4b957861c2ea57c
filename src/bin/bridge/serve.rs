//! `bridge serve`: the webhook as an HTTP server, for a container or a plain host.

use std::sync::Arc;

use anyhow::{Result, bail};
use aws_config::SdkConfig;
use clap::Args;
use workflow_bridge::clock::now_ms;
use workflow_bridge::config::WebhookConfig;
use workflow_bridge::domain::inbound::secrets::SecretCache;
use workflow_bridge::entrypoints::http::Webhook;
use workflow_bridge::environment::environment;
use workflow_bridge::service::relay::destination::{Destination, Transport};
use workflow_bridge::service::serve;
use workflow_bridge::service::server::Limits;
use workflow_bridge::{telemetry, wiring};

use crate::listen::{listen, raise_open_files};
use crate::relay::{self, LazyAws, RelayOptions};

/// Serve the webhook over HTTP, without Lambda
///
/// The same code, answers and limits as the Lambda function, over HTTP/1.1 and HTTP/2 (with prior knowledge); TLS is left to
/// the load balancer. GET /live answers 200; GET /ready answers 200 once the signing secret is there, else 503.
#[derive(Args)]
#[command(
    after_help = "Example:\n  export ROUTES=ssm:/bridge/routes SIGNING_SECRET_ID=…\n  export PARKING_QUEUE_URL=https://… DEAD_LETTER_QUEUE_URL=https://…\n  cargo bridge serve --listen 0.0.0.0:8080\n  cargo bridge health http://127.0.0.1:8080/ready\n\nWith `--relay`, one process does both: it subscribes to the topics and answers POSTs.\n\nNeeds the variables ROUTES or ROUTES_TABLE, SIGNING_SECRET_ID, PARKING_QUEUE_URL and DEAD_LETTER_QUEUE_URL. Also read: ROUTES_TTL_SECONDS, MAX_AGE_SECONDS, MAX_SKEW_SECONDS, ANSWER_WITHIN_MS, UNROUTED, TRACE_SAMPLE_RATE, POWERTOOLS_LOG_LEVEL and POWERTOOLS_METRICS_NAMESPACE, as the Lambda function does. Region and credentials are the environment's, the ECS task's or the EC2 instance's.\n\nSIGTERM, Ctrl-C and a hang-up stop it in order: it finishes requests under way, for at most 20 s, and exits with 0."
)]
pub struct Serve {
    /// Address and port to listen on; port 0 is a free one
    #[arg(
        long,
        env = "LISTEN",
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:8080"
    )]
    listen: String,

    /// Requests handled at once; further ones are answered 503
    #[arg(
        long,
        env = "MAX_IN_FLIGHT",
        value_name = "N",
        default_value_t = Limits::default().in_flight,
        value_parser = clap::value_parser!(u32).range(1..=100_000)
    )]
    max_in_flight: u32,

    /// Relay topics to this very webhook, too, in one process and without HTTP between
    #[arg(long)]
    relay: bool,

    #[command(flatten, next_help_heading = "Options of --relay")]
    relay_options: RelayOptions,
}

impl Serve {
    pub async fn run(self) -> Result<i32> {
        telemetry::init("serve", &environment);
        let config = WebhookConfig::read(&environment)?;
        let signing_secret_id = config.signing_secret_id.clone();
        let listener = listen(&self.listen, "--listen").await?;
        let aws = LazyAws::default();
        let webhook = webhook(config, aws.get().await?).await?;
        raise_open_files();
        let limits = limits(self.max_in_flight);
        if !self.relay {
            serve::run(listener, webhook, limits, None, relay::stop()?).await?;
            return Ok(0);
        }
        let destination = Destination {
            transport: Transport::InProcess(webhook.clone()),
            secrets: SecretCache::new(aws.secret(&signing_secret_id).await?),
            watch: None,
            clock: Arc::default(),
            now_ms,
        };
        let relay = self.relay_options.relay(destination, &aws).await?;
        let status = Some(relay.status.clone());
        let stop = relay::stop()?;
        let serving = async {
            let served = serve::run(listener, webhook, limits, status, stop.clone()).await;
            served.map_err(anyhow::Error::from)
        };
        tokio::try_join!(serving, relay::run(relay, None, stop.clone()))?;
        Ok(0)
    }
}

/// At least two connections for each request in flight: many are idle.
fn limits(max_in_flight: u32) -> Limits {
    let usual = Limits::default();
    Limits {
        connections: usual.connections.max(2 * max_in_flight as usize),
        in_flight: max_in_flight,
        ..usual
    }
}

/// The webhook of the environment's configuration.
async fn webhook(config: WebhookConfig, aws: &SdkConfig) -> Result<Arc<Webhook>> {
    if aws.region().is_none() {
        bail!("expected an AWS region, found none: set AWS_REGION");
    }
    Ok(wiring::webhook(config, aws).await?)
}
