//! The adapters behind the ports, for what more than one binary runs.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use crate::adapters::aws::services::{EVENTBRIDGE, SFN, Service};
use crate::adapters::aws::{Aws, Client};
use crate::adapters::eventbridge::EventBridge;
use crate::adapters::secrets::SecretsManager;
use crate::adapters::sfn::StepFunctions;
use crate::adapters::sqs::SqsQueue;
use crate::adapters::ssm::{self, RoutesError};
use crate::clock;
use crate::config::{WebhookConfig, environment};
use crate::dispatch::{Queues, Targets};
use crate::entrypoints::http::Webhook;
use crate::metrics::Metrics;
use crate::routes::{Routes, Target};
use crate::secrets::SecretCache;
use crate::xray::Tracer;

/// The webhook on AWS. It has no signing secret yet: [`Webhook::warm_up`] fetches one ahead of the first request.
///
/// # Errors
///
/// When the routes cannot be read within 3 s, or have problems.
pub async fn webhook(config: WebhookConfig, aws: &Aws) -> Result<Arc<Webhook>, RoutesError> {
    let signing = SecretsManager::new(aws, config.signing_secret_id);
    Ok(Arc::new(Webhook {
        routes: ssm::load_routes(&config.routes, aws).await?,
        targets: targets(aws),
        queues: Queues {
            parked: Arc::new(SqsQueue::new(aws, config.parking_queue_url)),
            dead_letters: Arc::new(SqsQueue::new(aws, config.dead_letter_queue_url)),
        },
        secrets: SecretCache::new(Arc::new(signing)),
        settings: config.settings,
        metrics: Metrics::new(&environment),
        now_ms: clock::now_ms,
    }))
}

/// How long a start waits for what the first event needs, while it has a whole processor: a function that works has its share
/// of one. What was not there in time, the first event waits for.
pub const WARM_UP_WITHIN: Duration = Duration::from_secs(2);

/// Opens a connection to each service, which takes two or three round trips.
pub async fn connect(aws: &Aws, services: impl IntoIterator<Item = &'static Service>) {
    let clients = services
        .into_iter()
        .map(|service| Client::new(aws, service));
    join_all(clients.map(async |client| client.connect().await)).await;
}

/// The services that the routes lead to.
pub fn services(routes: &Routes) -> impl Iterator<Item = &'static Service> {
    let leads_to = |service: &Service| {
        routes.iter().any(|route| match route.to {
            Target::EventBus { .. } => service.id == EVENTBRIDGE.id,
            Target::StateMachine { .. } | Target::Resume(_) => service.id == SFN.id,
        })
    };
    [&SFN, &EVENTBRIDGE]
        .into_iter()
        .filter(move |service| leads_to(service))
}

/// Everything that a route can name.
pub fn targets(aws: &Aws) -> Targets {
    let step_functions = Arc::new(StepFunctions::new(aws));
    Targets {
        workflows: step_functions.clone(),
        event_bus: Arc::new(EventBridge::new(aws)),
        tasks: step_functions,
        tracer: Tracer::new(&environment),
    }
}
