//! The whole system on this machine: topics, emulator, the bridge's template, and the templates of workflows beside it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use anyhow::{Context, Result, bail};
use futures_util::future::try_join_all;
use momento::TopicClient;
use momento::topics::configurations::Laptop;
use serde_json::Value;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;

use super::aws::Account;
use super::deploy::Deployed;
use super::emulator::Emulator;
use super::functions;
use super::relay::Relay;
use super::topics::TopicsServer;
use super::workspace::State;
use crate::adapters::momento::topics;
use crate::config::MomentoEndpoint;
use crate::domain::inbound::routes::Routes;
use crate::service::relay::destination::Attempt;
use crate::tools::template::{self, ROUTES_ROOT};

mod options;
mod routes;
mod server;
mod site;
mod workflow;

pub use options::{Delivery, Edit, Options};
pub(in crate::tools) use routes::Known;
use routes::{Follower, RouteSources};
use server::RouteWebhooks;
pub use server::TopicsPort;
use site::Site;
pub use workflow::Workflow;

/// A deployed system. Dropping it stops everything that it does not share.
pub struct Stack {
    /// Before the topics, as the next one: they end first.
    relay: Option<Relay>,
    following: JoinSet<()>,
    topics: Arc<TopicsServer>,
    site: Site,
    deployed: Deployed,
    /// The stacks of workflows, by the workflows' names.
    workflows: Mutex<BTreeMap<String, Deployed>>,
    sources: Arc<RouteSources>,
    known: watch::Receiver<Known>,
    webhook_url: String,
    signing_secret: String,
    api_key: String,
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
        let signing_secret = random_secret();
        let endpoint = topics.endpoint();
        let own = [
            ("CacheName", options.cache.as_str()),
            ("MomentoEndpoint", endpoint.as_str()),
            ("Architecture", architecture()),
        ];
        let mut parameters = workflow::parameters(&template, &own);
        parameters.extend(options.parameters);
        let path = format!("{ROUTES_ROOT}{}/routes/", options.name);
        let (name, cache, binaries) = (options.name, options.cache, options.binaries);
        let site = Site::new(emulator, account, name, cache, binaries).await?;
        let deployed = site.deploy_bridge(template.clone(), &parameters).await?;
        let account = &site.account;
        put_secret(account, &deployed, "SigningSecret", &signing_secret).await?;
        put_secret(account, &deployed, "MomentoSecret", &api_key).await?;

        let webhook_url = webhook_url(&site.emulator, &deployed)?;
        let webhook = webhook_function(&template, &deployed)?;
        let sources = Arc::new(RouteSources::of(account, webhook, path).await?);
        let deploying = workflows.iter().map(|Workflow { name, template }| {
            let site = &site;
            async move { anyhow::Ok((name.clone(), site.deploy(name, template).await?)) }
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
            deployed,
            workflows: Mutex::new(deploying.into_iter().collect()),
            sources,
            known,
            webhook_url,
            signing_secret,
            api_key,
        })
    }

    /// Deploys a workflow's template beside the bridge. Its routes are in use once they are [collected](Self::collected).
    ///
    /// # Errors
    ///
    /// When the deployment fails: it lists each failed resource with its reason.
    pub async fn deploy(&self, name: &str, template: &Value) -> Result<Deployed> {
        let deployed = self.site.deploy(name, template).await?;
        self.workflows().insert(name.to_owned(), deployed.clone());
        Ok(deployed)
    }

    /// Updates the stack of a workflow.
    ///
    /// # Errors
    ///
    /// When the update fails, or changes nothing.
    pub async fn update(&self, name: &str, template: &Value) -> Result<Deployed> {
        let deployed = self.site.update(name, template).await?;
        self.workflows().insert(name.to_owned(), deployed.clone());
        Ok(deployed)
    }

    /// Deletes the stack of a workflow.
    ///
    /// # Errors
    ///
    /// When there is none, or it cannot be deleted.
    pub async fn delete(&self, name: &str) -> Result<()> {
        self.site.delete(name).await?;
        self.workflows().remove(name);
        Ok(())
    }

    /// Waits until the bridge has collected the present routes of all stacks, and the Topics server follows them.
    ///
    /// # Errors
    ///
    /// When a parameter is refused: it has the problem. When the routes are not collected in time: it names the missing ones.
    pub async fn collected(&self) -> Result<()> {
        let version = self.sources.collected().await?;
        routes::until(&self.known, version).await
    }

    fn workflows(&self) -> MutexGuard<'_, BTreeMap<String, Deployed>> {
        let workflows = self.workflows.lock();
        workflows.unwrap_or_else(PoisonError::into_inner)
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

    /// The names of all stacks, the bridge's first.
    pub fn stacks(&self) -> Vec<String> {
        let workflows = self.workflows();
        let workflows = workflows.keys().map(|name| self.site.stack_of(name));
        std::iter::once(self.name().to_owned())
            .chain(workflows)
            .collect()
    }

    /// The outputs of the bridge.
    pub fn outputs(&self) -> &BTreeMap<String, String> {
        &self.deployed.outputs
    }

    /// The physical id of a resource of the bridge (for most kinds, the value of `!Ref`).
    pub fn resource(&self, logical_id: &str) -> Result<&str> {
        self.deployed
            .resources
            .get(logical_id)
            .map(String::as_str)
            .with_context(|| {
                format!("expected a resource `{logical_id}` in the deployed template, found none")
            })
    }

    /// The physical id of a resource of a workflow.
    pub fn resource_of(&self, workflow: &str, logical_id: &str) -> Result<String> {
        let workflows = self.workflows();
        let deployed = workflows.get(workflow).with_context(|| {
            let known: Vec<_> = workflows.keys().map(|name| format!("`{name}`")).collect();
            format!(
                "expected a deployed workflow `{workflow}`, found {}",
                match known.is_empty() {
                    true => "none".to_owned(),
                    false => known.join(", "),
                }
            )
        })?;
        let resource = deployed.resources.get(logical_id);
        resource.cloned().with_context(|| {
            format!(
                "expected a resource `{logical_id}` in the template of the workflow `{workflow}`, found none"
            )
        })
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
            outputs: self.deployed.outputs.clone(),
            console: None,
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

/// The emulator's address of the Function URL `https://<id>.lambda-url.<region>.on.aws/`.
fn webhook_url(emulator: &Emulator, deployed: &Deployed) -> Result<String> {
    let url = deployed
        .outputs
        .get("WebhookUrl")
        .context("expected an output `WebhookUrl` in the template, found none")?;
    let id = url
        .strip_prefix("https://")
        .and_then(|rest| rest.split_once(".lambda-url."))
        .map(|(id, _)| id)
        .with_context(|| {
            format!("expected a Function URL in the output `WebhookUrl`, found `{url}`")
        })?;
    Ok(format!("{}/_aws/lambda-url/{id}/", emulator.endpoint()))
}

/// The name of the deployed function with the binary `webhook`.
fn webhook_function<'a>(template: &Value, deployed: &'a Deployed) -> Result<&'a str> {
    let functions = template::functions(template)?;
    let webhook = functions.iter().find(|(_, binary)| binary == "webhook");
    let function = webhook.and_then(|(id, _)| deployed.resources.get(id));
    let function = function
        .context("expected a function with the binary `webhook` in the template, found none")?;
    Ok(function)
}

/// Puts a value into a secret that the template created.
async fn put_secret(
    account: &Account,
    deployed: &Deployed,
    logical_id: &str,
    value: &str,
) -> Result<()> {
    let Some(arn) = deployed.resources.get(logical_id) else {
        bail!("expected a secret `{logical_id}` in the template, found none");
    };
    aws_sdk_secretsmanager::Client::new(account.config())
        .put_secret_value()
        .secret_id(arn)
        .secret_string(value)
        .send()
        .await
        .with_context(|| format!("cannot fill the secret `{logical_id}`"))?;
    Ok(())
}

/// 256 bits in hex.
fn random_secret() -> String {
    let bytes: [u8; 32] = rand::random();
    hex::encode(bytes)
}

/// This machine's architecture, as Lambda names it.
fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "x86_64"
    }
}
