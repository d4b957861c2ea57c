//! The whole system on this machine: topics, emulator, the bridge's template, and the templates of workflows beside it.

use std::collections::{BTreeMap, BTreeSet};
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
use super::build::Binaries;
use super::deploy::Deployed;
use super::emulator::Emulator;
use super::functions;
use super::relay::Relay;
use super::topics::{TopicsServer, local_api_key};
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
use site::Site;
pub use workflow::Workflow;

/// A deployed system. Dropping it stops everything that it does not share.
pub struct Stack {
    /// Before the topics, as the next one: they end first.
    relay: Option<Relay>,
    following: JoinSet<()>,
    topics: Arc<TopicsServer>,
    site: Site,
    /// As first deployed: an update leaves the ids of resources as they are.
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

/// One stack after its last change.
#[derive(Clone, Debug)]
struct Running {
    deployed: Deployed,
    /// With the definitions of its state machines in place, and without the places of its functions' code.
    template: Value,
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

    /// Deploys a workflow's template beside the bridge. Its routes are in use once they are [collected](Self::collected).
    ///
    /// # Errors
    ///
    /// When the deployment fails: it lists each failed resource with its reason.
    pub async fn deploy(&self, name: &str, template: &Value) -> Result<Deployed> {
        let deployed = self.site.deploy(name, template).await?;
        self.keep(name, &deployed, template);
        Ok(deployed)
    }

    /// Updates the stack of a workflow.
    ///
    /// # Errors
    ///
    /// When the update fails, or changes nothing.
    pub async fn update(&self, name: &str, template: &Value) -> Result<Deployed> {
        let deployed = self.site.update(name, template).await?;
        self.keep(name, &deployed, template);
        Ok(deployed)
    }

    /// Updates the stack of the bridge to a template with the definitions of its state machines in place. Its own routes are in
    /// use at once.
    ///
    /// # Errors
    ///
    /// When the update fails: the stack is then as before. When it changes nothing. When it moved the webhook, which only a new
    /// start follows.
    pub async fn update_bridge(&self, template: &Value) -> Result<()> {
        let (cache, endpoint) = (self.cache(), self.topics.endpoint());
        let parameters = parameters(template, cache, &endpoint, &self.parameters);
        let updated = self.site.update_bridge(template.clone(), &parameters);
        let updated = updated.await?;
        let account = &self.site.account;
        for (secret, value) in [
            ("SigningSecret", &self.signing_secret),
            ("MomentoSecret", &self.functions_key),
        ] {
            if updated.resources.get(secret) != self.deployed().resources.get(secret) {
                put_secret(account, &updated, secret, value).await?;
            }
        }
        let url = webhook_url(&self.site.emulator, &updated)?;
        *self.bridge() = Running {
            deployed: updated,
            template: template.clone(),
        };
        if url != self.webhook_url {
            bail!("the update gave the webhook another URL: restart `bridge local`");
        }
        self.sources.read_own(account).await
    }

    /// The stack of the bridge after its last update.
    pub fn deployed(&self) -> Deployed {
        self.bridge().deployed.clone()
    }

    /// The template of the bridge or of a workflow after the last change of its stack.
    pub(super) fn template(&self, workflow: Option<&str>) -> Option<Value> {
        match workflow {
            None => Some(self.bridge().template.clone()),
            Some(name) => Some(self.workflows().get(name)?.template.clone()),
        }
    }

    /// The executables of the functions.
    pub fn binaries(&self) -> Binaries {
        self.site.binaries()
    }

    /// Runs these executables from the next update on.
    pub fn set_binaries(&self, built: Binaries) {
        self.site.set_binaries(built);
    }

    /// The executables whose content differs from the deployed one.
    pub(super) async fn changed_binaries(&self) -> Result<BTreeSet<String>> {
        self.site.changed_binaries().await
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
        routes::until(&self.known, &self.sources, version).await
    }

    /// Whether the bridge collects the routes of other stacks.
    pub(super) fn collects(&self) -> bool {
        self.sources.collects()
    }

    fn keep(&self, workflow: &str, deployed: &Deployed, template: &Value) {
        let running = Running {
            deployed: deployed.clone(),
            template: template.clone(),
        };
        self.workflows().insert(workflow.to_owned(), running);
    }

    fn bridge(&self) -> MutexGuard<'_, Running> {
        self.bridge.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn workflows(&self) -> MutexGuard<'_, BTreeMap<String, Running>> {
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

    /// The name of a workflow's stack.
    pub fn stack_of(&self, workflow: &str) -> String {
        self.site.stack_of(workflow)
    }

    /// The names of all stacks, the bridge's first.
    pub fn stacks(&self) -> Vec<String> {
        let workflows = self.workflows();
        let workflows = workflows.keys().map(|name| self.site.stack_of(name));
        std::iter::once(self.name().to_owned())
            .chain(workflows)
            .collect()
    }

    /// The outputs of the bridge, as first deployed.
    pub fn outputs(&self) -> &BTreeMap<String, String> {
        &self.deployed.outputs
    }

    /// The physical id of a resource of the bridge, as first deployed (for most kinds, the value of `!Ref`).
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
        let resource = deployed.deployed.resources.get(logical_id);
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

/// The parameters of the bridge's template: those that the stack sets itself, and further ones.
fn parameters(
    template: &Value,
    cache: &str,
    momento: &str,
    further: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let own = [
        ("CacheName", cache),
        ("MomentoEndpoint", momento),
        ("Architecture", architecture()),
    ];
    let mut parameters = workflow::parameters(template, &own);
    parameters.extend(further.clone());
    parameters
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
