//! The routes of a running stack: those of the bridge, and those collected from the stacks of workflows.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::sleep;

use super::server::{self, RouteWebhooks};
use crate::adapters::aws::routes_table::RoutesTable;
use crate::adapters::aws::ssm::{self, SsmParameters};
use crate::clock::now_ms;
use crate::config::RoutesSource;
use crate::domain::inbound::collect::collect;
use crate::domain::inbound::live_routes::{LiveRoutes, Sources};
use crate::domain::inbound::routes::Routes;
use crate::domain::ports::{
    Answer, Compiled, CompiledRoutes, NO_ROUTES, Parameter, RouteParameters, RoutesDocument,
};
use crate::tools::local::aws::Account;
use crate::tools::local::topics::TopicsServer;

/// A change of a parameter is collected within a second on an idle machine.
const COLLECTED_WITHIN: Duration = Duration::from_secs(60);
const POLL_EVERY: Duration = Duration::from_millis(100);
/// The interval between two reads of the collected routes.
const READ_EVERY: Duration = Duration::from_millis(500);
/// The age after which the relay reads the routes again.
const RELAY_TTL: Duration = Duration::from_secs(1);

/// Where the routes of a deployed bridge come from.
pub(super) struct RouteSources {
    /// The function with the variables.
    function: String,
    own: RwLock<Arc<Own>>,
    /// `None` for a bridge that collects no routes.
    collection: Option<Collection>,
}

/// The routes of the bridge itself.
struct Own {
    /// How often they were read before.
    reads: u64,
    /// The document of `ROUTES`.
    document: String,
    routes: Routes,
}

struct Collection {
    table: Arc<RoutesTable>,
    parameters: SsmParameters,
}

/// The routes at one moment.
#[derive(Clone)]
pub(in crate::tools) struct Known {
    /// Of the collected ones.
    version: u64,
    /// Of the bridge's own.
    reads: u64,
    pub routes: Arc<Routes>,
}

impl RouteSources {
    /// The sources that a function's variables name. `path` has the parameters of the stacks of workflows.
    pub async fn of(account: &Account, function: &str, path: String) -> Result<Self> {
        let variables = account.function_variables(function).await?;
        let own = Own::read(account, &variables, 0).await?;
        let collection = variables["ROUTES_TABLE"].as_str().map(|table| Collection {
            table: Arc::new(RoutesTable::new(account.config(), table.to_owned())),
            parameters: SsmParameters::new(account.config(), path),
        });
        Ok(Self {
            function: function.to_owned(),
            own: RwLock::new(Arc::new(own)),
            collection,
        })
    }

    /// Reads the bridge's own routes again, after an update of its stack.
    pub async fn read_own(&self, account: &Account) -> Result<()> {
        let variables = account.function_variables(&self.function).await?;
        let own = Own::read(account, &variables, self.own().reads + 1).await?;
        *self.own.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(own);
        Ok(())
    }

    pub fn collects(&self) -> bool {
        self.collection.is_some()
    }

    fn own(&self) -> Arc<Own> {
        Arc::clone(&self.own.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The routes for a relay, which reads them by itself.
    pub fn live(self: &Arc<Self>) -> Arc<LiveRoutes> {
        let table = self.collection.as_ref().map(|collection| &collection.table);
        LiveRoutes::new(Sources {
            base: self.own().routes.clone(),
            parameter: Some(Arc::clone(self) as Arc<dyn RoutesDocument>),
            collected: table.map(|table| Arc::clone(table) as Arc<dyn CompiledRoutes>),
            ttl: RELAY_TTL,
            now_ms,
        })
    }

    /// Waits until the collection has the present version of each parameter; returns its version.
    ///
    /// # Errors
    ///
    /// When a parameter is refused, or the collection does not come.
    pub async fn collected(&self) -> Result<u64> {
        let collection = self.collection.as_ref();
        let collection = collection.context(
            "expected the variable `ROUTES_TABLE` at the webhook function, found none: without it, no routes of other stacks are used",
        )?;
        let mut open = Vec::new();
        let wait = async {
            loop {
                match collection.state(&self.own().document).await? {
                    Ok(version) => return anyhow::Ok(version),
                    Err(differing) => open = differing,
                }
                sleep(POLL_EVERY).await;
            }
        };
        if let Ok(version) = tokio::time::timeout(COLLECTED_WITHIN, wait).await {
            return version;
        }
        bail!(
            "expected the routes of all stacks in the table within {} s, found these parameters missing or outdated there: {}; the log of the function `routes` has the reason",
            COLLECTED_WITHIN.as_secs(),
            open.join(", ")
        )
    }

    /// The routes now.
    async fn read(&self) -> Result<Known> {
        let compiled = match &self.collection {
            Some(collection) => collection.compiled().await?,
            None => Compiled::default(),
        };
        let collected = Routes::parse(&compiled.document)?;
        let own = self.own();
        Ok(Known {
            version: compiled.version,
            reads: own.reads,
            routes: Arc::new(own.routes.and(&collected)),
        })
    }

    /// Whether these are the routes of the last read and of this version, or later ones.
    fn are_in(&self, known: &Known, version: u64) -> bool {
        known.version >= version && known.reads >= self.own().reads
    }
}

/// For the relay, in place of the parameter of `ROUTES=ssm:…`.
impl RoutesDocument for RouteSources {
    fn read(&self) -> Answer<'_, String> {
        Box::pin(async { Ok(self.own().document.clone()) })
    }
}

impl Own {
    /// Reads the routes that a function's variables name.
    async fn read(account: &Account, variables: &Value, reads: u64) -> Result<Self> {
        let text = |name: &str| variables[name].as_str();
        let document = match (text("ROUTES"), text("ROUTES_TABLE")) {
            (Some(text), _) => ssm::document(&RoutesSource::of(text), account.config()).await?,
            (None, Some(_)) => NO_ROUTES.to_owned(),
            (None, None) => bail!(
                "expected the variable `ROUTES` or `ROUTES_TABLE` at the webhook function, found neither"
            ),
        };
        let routes = Routes::parse(&document)?;
        Ok(Self {
            reads,
            document,
            routes,
        })
    }
}

impl Collection {
    async fn compiled(&self) -> Result<Compiled> {
        let compiled = self.table.load(true).await;
        let compiled = compiled.context("cannot read the collected routes from the table")?;
        Ok(compiled.unwrap_or_default())
    }

    async fn parameters(&self) -> Result<Vec<Parameter>> {
        let mut parameters = Vec::new();
        let mut token = None;
        loop {
            let page = self.parameters.page(token).await;
            let page = page.context("cannot read the parameters with routes")?;
            parameters.extend(page.parameters);
            token = page.next_token;
            if token.is_none() {
                return Ok(parameters);
            }
        }
    }

    /// The version of the collection if it is current, or else the names of the parameters that differ.
    async fn state(&self, base: &str) -> Result<Result<u64, Vec<String>>> {
        let compiled = self.compiled().await?;
        let parameters = self.parameters().await?;
        let wanted = collect(base, Some(&compiled), &parameters)?;
        if wanted.changed {
            let wanted = &wanted.compiled.parameters;
            let names = wanted.keys().chain(compiled.parameters.keys());
            let differing = names
                .filter(|name| wanted.get(*name) != compiled.parameters.get(*name))
                .map(|name| format!("`{name}`"));
            let differing: BTreeSet<_> = differing.collect();
            return Ok(Err(differing.into_iter().collect()));
        }
        let refused = compiled.parameters.iter();
        let refused = refused.filter_map(|(name, state)| {
            let refusal = state.refused.as_ref()?;
            Some(format!("- `{name}`: {}", refusal.problem))
        });
        let refused: Vec<_> = refused.collect();
        if !refused.is_empty() {
            bail!(
                "expected routes without problems in all parameters, found refused ones:\n{}",
                refused.join("\n")
            );
        }
        Ok(Ok(compiled.version))
    }
}

/// Keeps the Topics server and observers up to date while routes come and go.
pub(super) struct Follower {
    pub sources: Arc<RouteSources>,
    pub topics: Arc<TopicsServer>,
    /// `None` where no webhooks are delivered.
    pub webhooks: Option<RouteWebhooks>,
}

impl Follower {
    /// Reads the routes for the first time.
    pub async fn begin(&mut self) -> Result<watch::Sender<Known>> {
        let known = self.sources.read().await?;
        self.apply(&known.routes)?;
        Ok(watch::Sender::new(known))
    }

    /// Reads the routes again and again, for ever.
    pub async fn run(mut self, known: watch::Sender<Known>) {
        let mut logged = None;
        loop {
            sleep(READ_EVERY).await;
            let failure = self.refresh(&known).await.err();
            let failure = failure.map(|error| format!("{error:#}"));
            if let Some(text) = &failure
                && logged != failure
            {
                tracing::warn!(
                    error.text = text,
                    "the Topics server does not follow the routes"
                );
            }
            logged = failure;
        }
    }

    async fn refresh(&mut self, known: &watch::Sender<Known>) -> Result<()> {
        let now = self.sources.read().await?;
        let is_known = {
            let known = known.borrow();
            (known.version, known.reads) == (now.version, now.reads)
        };
        if !is_known {
            self.apply(&now.routes)?;
            known.send_replace(now);
        }
        Ok(())
    }

    fn apply(&mut self, routes: &Routes) -> Result<()> {
        server::create_caches(&self.topics, routes)?;
        if let Some(webhooks) = &mut self.webhooks {
            webhooks.follow(&self.topics, routes)?;
        }
        Ok(())
    }
}

/// Waits until the known routes are those of the last read, and at least of a version.
pub(super) async fn until(
    known: &watch::Receiver<Known>,
    sources: &RouteSources,
    version: u64,
) -> Result<()> {
    let mut known = known.clone();
    let wait = known.wait_for(|known| sources.are_in(known, version));
    let waited = tokio::time::timeout(COLLECTED_WITHIN, wait).await;
    let waited = waited.context("expected the Topics server to follow the routes, it does not")?;
    waited
        .map(drop)
        .context("expected a running stack, found a stopped one")
}
