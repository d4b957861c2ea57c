//! The adapters behind the ports, shared by several binaries.

use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use futures_util::future::join;

use crate::adapters::aws;
use crate::adapters::aws::dynamodb::DynamoLedger;
use crate::adapters::aws::eventbridge::EventBridge;
use crate::adapters::aws::routes_table::RoutesTable;
use crate::adapters::aws::secrets::SecretsManager;
use crate::adapters::aws::sfn::StepFunctions;
use crate::adapters::aws::sqs::SqsQueue;
use crate::adapters::aws::ssm::{self, RoutesError, SsmParameter, SsmParameters};
use crate::clock;
use crate::config::{CollectConfig, RoutesConfig, RoutesSource, WebhookConfig};
use crate::domain::inbound::dispatch::Targets;
use crate::domain::inbound::live_routes::{LiveRoutes, Sources};
use crate::domain::inbound::queues::Queues;
use crate::domain::inbound::routes::{Routes, Target};
use crate::domain::inbound::secrets::SecretCache;
use crate::domain::ports::{
    Answer, NO_ROUTES, NewEvent, NewExecution, Register as _, RoutesDocument,
};
use crate::entrypoints::http::Webhook;
use crate::entrypoints::routes::Collector;
use crate::environment::environment;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::xray::Tracer;

/// The webhook on AWS. It has no signing secret yet: [`Webhook::warm_up`] fetches one ahead of the first request.
///
/// # Errors
///
/// When the routes cannot be read within 3 s, or have problems.
pub async fn webhook(config: WebhookConfig, aws: &SdkConfig) -> Result<Arc<Webhook>, RoutesError> {
    let signing = SecretsManager::new(aws, config.signing_secret_id);
    Ok(Arc::new(Webhook {
        routes: live_routes(&config.routes, aws).await?,
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

/// The routes of a function. Those of other stacks are not read yet: see [`LiveRoutes::warm_up`].
///
/// # Errors
///
/// When the document of `ROUTES` cannot be read within 3 s, or has problems.
pub async fn live_routes(
    config: &RoutesConfig,
    aws: &SdkConfig,
) -> Result<Arc<LiveRoutes>, RoutesError> {
    let base = match &config.source {
        Some(source) => ssm::load_routes(source, aws).await?,
        None => Routes::parse(NO_ROUTES)?,
    };
    let table = config.table.clone();
    Ok(LiveRoutes::new(Sources {
        base,
        parameter: match &config.source {
            Some(RoutesSource::Parameter(name)) => {
                Some(Arc::new(SsmParameter::new(aws, name.clone())))
            }
            _ => None,
        },
        collected: table.map(|table| Arc::new(RoutesTable::new(aws, table)) as _),
        ttl: config.ttl,
        now_ms: clock::now_ms,
    }))
}

/// The collection of routes.
pub fn collector(config: CollectConfig, aws: &SdkConfig) -> Collector {
    let base: Arc<dyn RoutesDocument> = match config.source {
        Some(RoutesSource::Parameter(name)) => Arc::new(SsmParameter::new(aws, name)),
        Some(RoutesSource::Inline(document)) => Arc::new(Inline(document)),
        None => Arc::new(Inline(NO_ROUTES.to_owned())),
    };
    Collector {
        base,
        parameters: Arc::new(SsmParameters::new(aws, config.path)),
        table: Arc::new(RoutesTable::new(aws, config.table)),
        metrics: Metrics::new(&environment),
    }
}

/// The document in the variable `ROUTES` itself.
struct Inline(String);

impl RoutesDocument for Inline {
    fn read(&self) -> Answer<'_, String> {
        let document = self.0.clone();
        Box::pin(async { Ok(document) })
    }
}

/// Time limit for preparing the first event during a start, while the function has a whole processor instead of its share.
/// The first event waits for unfinished preparations.
pub const WARM_UP_WITHIN: Duration = Duration::from_secs(2);

/// Opens a connection to each service that the routes lead to, which takes two or three round trips. Routes of other stacks
/// are expected to lead to workflows.
pub async fn connect_targets(targets: &Targets, routes: &LiveRoutes) {
    let known = routes.known().routes;
    let leads_to = |is_one: fn(&Target) -> bool| known.iter().any(|route| is_one(&route.to));
    let workflows = async {
        if routes.has_collected() || leads_to(|to| !matches!(to, Target::EventBus { .. })) {
            let execution = NewExecution {
                state_machine: "none",
                name: "none".to_owned(),
                input: "{}".to_owned(),
            };
            let _ = targets.workflows.start(&execution, "").await;
        }
    };
    let events = async {
        if leads_to(|to| matches!(to, Target::EventBus { .. })) {
            let event = NewEvent {
                bus: "default",
                source: "none",
                detail_type: "none".to_owned(),
                detail: "{}".to_owned(),
            };
            let _ = targets.event_bus.put(&event, None).await;
        }
    };
    aws::opening(join(workflows, events)).await;
}

/// Opens a connection to the ledger, where there is one.
pub async fn connect_ledger(ledger: Option<&DynamoLedger>) {
    if let Some(ledger) = ledger {
        let _ = aws::opening(ledger.load("none")).await;
    }
}

/// The targets of all routes.
pub fn targets(aws: &SdkConfig) -> Targets {
    let step_functions = Arc::new(StepFunctions::new(aws));
    Targets {
        workflows: step_functions.clone(),
        event_bus: Arc::new(EventBridge::new(aws)),
        tasks: step_functions.clone(),
        stopping: step_functions,
        tracer: Tracer::new(&environment),
    }
}
