//! The whole system on this machine: topics, emulator, the bridge's template, and the templates of workflows beside it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, Weak};

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use momento::TopicClient;
use momento::topics::configurations::Laptop;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;

use super::aws::Account;
use super::deploy::Deployed;
use super::emulator::Emulator;
use super::functions;
use super::relay::Relay;
use super::topics::{TopicsServer, local_api_key};
use super::workspace::State;
use crate::adapters::momento::topics;
use crate::config::MomentoEndpoint;
use crate::domain::inbound::routes::Routes;
use crate::service::relay::TopicName;
use crate::service::relay::destination::Attempt;
use crate::service::relay::track::Gap;
use crate::tools::template::{self, ROUTES_ROOT};

mod deployments;
mod options;
mod routes;
mod server;
mod site;
mod workflow;

use deployments::{Running, parameters, put_secret, webhook_function, webhook_url};
pub use options::{Delivery, Edit, Options};
pub(in crate::tools) use routes::Known;
use routes::{Follower, RouteSources};
use server::RouteWebhooks;
use site::Site;
pub use workflow::Workflow;

/// A deployed system. Dropping it stops everything that it does not share.
pub struct Stack {
    /// Before the topics, as the next one: they end first.
    relay: Option<Relay>,
    following: JoinSet<()>,
    topics: Arc<TopicsServer>,
    site: Site,
    /// As first deployed; an update may replace resources.
    deployed: Deployed,
    bridge: Mutex<Running>,
    /// Further parameters of the bridge's template.
    parameters: BTreeMap<String, String>,
    /// The stacks of workflows, by the workflows' names.
    workflows: Mutex<BTreeMap<String, Running>>,
    sources: Arc<RouteSources>,
    known: watch::Receiver<Known>,
    webhook_url: String,
    signing_secret: String,
    api_key: String,
    /// The API key of the functions, which tells their publications from those of others.
    functions_key: String,
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack")
            .field("account", &self.account().id())
            .field("webhook_url", &self.webhook_url)
            .finish_non_exhaustive()
    }
}

impl Stack {
    /// Starts an emulator and everything else.
    pub async fn start(options: Options) -> Result<Self> {
        let emulator =
            Emulator::start(&options.workspace, options.aws_port, &options.progress).await?;
        Self::start_in(Arc::new(emulator), options).await
    }

    /// Starts everything else in an account of a running emulator, by default a new one.
    pub async fn start_in(emulator: Arc<Emulator>, options: Options) -> Result<Self> {
        let workflows = Workflow::read_all(&options.with)?;
        let api_key = options.api_key;
        let mut caches = options.more_caches;
        caches.insert(options.cache.clone());
        let topics = server::start(options.topics_port, &api_key, caches, options.limits).await?;
        let topics = Arc::new(topics);
        let account = options.account;
        let account =
            account.unwrap_or_else(|| Account::new(emulator.endpoint(), &Account::fresh_id()));

        let step = options.progress.step(match workflows.len() {
            0 => "deploying the template",
            _ => "deploying the templates",
        });
        let mut template = template::read(&options.template)?;
        (options.edit)(&mut template).context("cannot edit the template")?;
        let folder = options.template.parent().unwrap_or_else(|| ".".as_ref());
        template::inline_definitions(&mut template, folder)?;
        template::place_code(&mut template, folder)?;
        let signing_secret = random_secret();
        let endpoint = topics.endpoint();
        let own = parameters(&template, &options.cache, &endpoint, &options.parameters);
        let path = format!("{ROUTES_ROOT}{}/routes/", options.name);
        let (name, cache, binaries) = (options.name, options.cache, options.binaries);
        let site = Site::new(emulator, account, name, cache, binaries).await?;
        let deployed = site.deploy_bridge(template.clone(), &own).await?;
        let account = &site.account;
        put_secret(account, &deployed, "SigningSecret", &signing_secret).await?;
        let functions_key = local_api_key();
        topics.put_bridge_key(&functions_key);
        put_secret(account, &deployed, "MomentoSecret", &functions_key).await?;

        let webhook_url = webhook_url(&site.emulator, &deployed)?;
        let webhook = webhook_function(&template, &deployed)?;
        let sources = Arc::new(RouteSources::of(account, webhook, path).await?);
        let deploying = workflows.iter().map(|Workflow { name, template }| {
            let site = &site;
            let template = template.clone();
            async move {
                let deployed = site.deploy(name, &template).await?;
                anyhow::Ok((name.clone(), Running { deployed, template }))
            }
        });
        let deploying = try_join_all(deploying).await?;
        if !deploying.is_empty() {
            sources.collected().await?;
        }
        let webhooks = match options.delivery {
            Delivery::Webhooks => Some(RouteWebhooks::new(&webhook_url, &signing_secret)),
            Delivery::Relay | Delivery::Nothing => None,
        };
        let mut follower = Follower {
            sources: Arc::clone(&sources),
            topics: Arc::clone(&topics),
            webhooks,
        };
        let sender = follower.begin().await?;
        let known = sender.subscribe();
        let mut following = JoinSet::new();
        following.spawn(follower.run(sender));
        step.done(match workflows.len() {
            0 => "deployed the template",
            _ => "deployed the templates",
        });
        let relay = match options.delivery {
            Delivery::Relay => {
                let folder = site.emulator.run().path();
                let cursors = format!("relay-cursors-{}-{}.json", account.id(), site.bridge);
                let cursors = folder.join(cursors);
                let relay = Relay::start(
                    &topics,
                    sources.live(),
                    &api_key,
                    &webhook_url,
                    &signing_secret,
                    &cursors,
                );
                Some(relay.await?)
            }
            Delivery::Webhooks | Delivery::Nothing => None,
        };
        Ok(Self {
            relay,
            following,
            topics,
            site,
            bridge: Mutex::new(Running {
                deployed: deployed.clone(),
                template,
            }),
            deployed,
            parameters: options.parameters,
            workflows: Mutex::new(deploying.into_iter().collect()),
            sources,
            known,
            webhook_url,
            signing_secret,
            api_key,
            functions_key,
        })
    }

    /// The Topics server, for its events and webhooks.
    pub fn topics(&self) -> &TopicsServer {
        &self.topics
    }

    /// The Topics server without a share in it.
    pub(in crate::tools) fn topics_weak(&self) -> Weak<TopicsServer> {
        Arc::downgrade(&self.topics)
    }

    /// The relay's attempts from now on; `None` without a relay.
    pub fn relayed(&self) -> Option<broadcast::Receiver<Attempt>> {
        self.relay.as_ref().map(Relay::attempts)
    }

    /// The gaps that the relay sees from now on; `None` without a relay.
    pub fn gaps(&self) -> Option<broadcast::Receiver<(TopicName, Gap)>> {
        self.relay.as_ref().map(Relay::gaps)
    }

    /// The emulator, which other stacks may share.
    pub fn emulator(&self) -> &Arc<Emulator> {
        &self.site.emulator
    }

    /// The stack's account, with the configuration for AWS clients.
    pub fn account(&self) -> &Account {
        &self.site.account
    }

    /// A client of the official SDK, connected to the local Topics server.
    pub fn momento_client(&self) -> Result<TopicClient> {
        let endpoint = MomentoEndpoint::Local(self.topics.endpoint());
        Ok(topics::connect(&self.api_key, &endpoint, Laptop::latest())?)
    }

    /// The cache of the shipped routes.
    pub fn cache(&self) -> &str {
        &self.site.cache
    }

    /// The name of the bridge's stack.
    pub fn name(&self) -> &str {
        &self.site.bridge
    }

    /// The routes at present, with real ARNs: those of the bridge, then those collected from workflows.
    pub fn routes(&self) -> Arc<Routes> {
        Arc::clone(&self.known.borrow().routes)
    }

    /// The routes, as they change.
    pub(in crate::tools) fn known(&self) -> watch::Receiver<Known> {
        self.known.clone()
    }

    /// The webhook's URL, as a plain HTTP address on this machine.
    pub fn webhook_url(&self) -> &str {
        &self.webhook_url
    }

    pub fn signing_secret(&self) -> &str {
        &self.signing_secret
    }

    /// The Momento API key of the functions.
    pub fn functions_key(&self) -> &str {
        &self.functions_key
    }

    /// The key of the Topics server.
    pub fn api_key(&self) -> &str {
        &self.api_key
    }

    /// The logs of functions and workflows so far, one event a line.
    pub async fn logs(&self) -> Result<String> {
        self.account().logs().await
    }

    /// Kills (SIGKILL) the processes of a function of the template, during an invocation or between two; returns their number,
    /// which is 0 before the first invocation. The next invocation starts a new process.
    pub fn kill_functions(&self, logical_id: &str) -> Result<usize> {
        let name = self.resource(logical_id)?;
        functions::kill(self.emulator().endpoint(), self.account().id(), name)
    }

    /// The stack's addresses and secrets, for other commands.
    pub fn state(&self, started_at: u64) -> State {
        State {
            pid: std::process::id(),
            started_at,
            topics_endpoint: self.topics.endpoint(),
            api_key: self.api_key.clone(),
            cache: self.cache().to_owned(),
            aws_endpoint: self.emulator().endpoint().to_owned(),
            account: self.account().id().to_owned(),
            webhook_url: self.webhook_url.clone(),
            signing_secret: self.signing_secret.clone(),
            console: None,
            relay: self.relay.is_some(),
            outputs: self.deployed().outputs,
        }
    }

    /// Stops the Topics server, and the emulator unless another stack uses it.
    pub async fn stop(mut self) {
        drop(self.relay);
        self.following.shutdown().await;
        // No other owner is left.
        if let Some(topics) = Arc::into_inner(self.topics) {
            topics.shutdown().await;
        }
    }
}

/// 256 bits in hex.
fn random_secret() -> String {
    let bytes: [u8; 32] = rand::random();
    hex::encode(bytes)
}
