//! The whole system on this machine: topics, emulator and the deployed template.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use momento::TopicClient;
use momento::topics::configurations::Laptop;
use serde_json::Value;
use tokio::sync::broadcast;

use super::aws::Account;
use super::build::Binaries;
use super::deploy::{self, Deployed};
use super::emulator::Emulator;
use super::functions;
use super::relay::Relay;
use super::topics::{Limits, STABLE_API_KEY, TopicsServer};
use super::workspace::{State, Workspace};
use crate::adapters::aws::ssm;
use crate::adapters::momento::topics;
use crate::config::{MomentoEndpoint, RoutesSource};
use crate::domain::inbound::routes::Routes;
use crate::service::relay::destination::Attempt;
use crate::tools::console::Progress;
use crate::tools::template;

mod server;

pub use server::TopicsPort;

/// The stack's name in its account of the emulator.
const NAME: &str = "workflow-bridge";

/// A change to the template before it is deployed.
pub type Edit = Box<dyn FnOnce(&mut Value) -> Result<()> + Send>;

/// How messages get from topics to the webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The Topics server delivers webhooks.
    Webhooks,
    /// A relay in this process subscribes to the routes' topics.
    Relay,
    /// No delivery: the stack's owner provides it.
    Nothing,
}

/// Options of a stack. [`Options::new`] has the defaults of `bridge local`.
pub struct Options {
    pub workspace: Workspace,
    /// The template; its state machines are found relative to it.
    pub template: PathBuf,
    /// An executable for every binary of the template's functions.
    pub binaries: Binaries,
    /// The cache of the shipped routes.
    pub cache: String,
    /// Further caches, besides `cache` and those named in the routes.
    pub more_caches: BTreeSet<String>,
    /// The key of Momento's SDKs and of the HTTP API, in the form of a v2 key.
    pub api_key: String,
    pub delivery: Delivery,
    /// Limits of the Topics server.
    pub limits: Limits,
    pub topics_port: TopicsPort,
    /// 0 takes a free port.
    pub aws_port: u16,
    /// Template parameters beyond those the stack sets itself.
    pub parameters: BTreeMap<String, String>,
    pub edit: Edit,
    pub progress: Progress,
}

impl Options {
    /// The shipped template with these binaries, on free ports, without progress output.
    pub fn new(binaries: Binaries) -> Result<Self> {
        let workspace = Workspace::find()?;
        Ok(Self {
            template: workspace.root().join("template.yaml"),
            workspace,
            binaries,
            cache: "demo".to_owned(),
            more_caches: BTreeSet::new(),
            api_key: STABLE_API_KEY.to_owned(),
            delivery: Delivery::Webhooks,
            limits: Limits::default(),
            topics_port: TopicsPort::Free,
            aws_port: 0,
            parameters: BTreeMap::new(),
            edit: Box::new(|_| Ok(())),
            progress: Progress::silent(),
        })
    }
}

/// A deployed system. Dropping it stops everything that it does not share.
pub struct Stack {
    /// Before the topics: it ends first.
    relay: Option<Relay>,
    topics: TopicsServer,
    account: Account,
    deployed: Deployed,
    routes: Routes,
    cache: String,
    webhook_url: String,
    signing_secret: String,
    api_key: String,
    emulator: Arc<Emulator>,
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack")
            .field("account", &self.account.id())
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

    /// Starts everything else in an account of its own of a running emulator, isolated from other stacks there.
    pub async fn start_in(emulator: Arc<Emulator>, options: Options) -> Result<Self> {
        let api_key = options.api_key;
        let mut caches = options.more_caches;
        caches.insert(options.cache.clone());
        let topics = server::start(options.topics_port, &api_key, caches, options.limits).await?;
        let account = Account::new(emulator.endpoint(), &Account::fresh_id());

        let step = options.progress.step("deploying the template");
        let mut template = template::read(&options.template)?;
        (options.edit)(&mut template).context("cannot edit the template")?;
        let folder = options.template.parent().unwrap_or_else(|| ".".as_ref());
        template::inline_definitions(&mut template, folder)?;
        let bucket = upload_code(&emulator, &account, &mut template, &options.binaries).await?;

        let signing_secret = random_secret();
        let mut parameters = options.parameters;
        for (name, value) in [
            ("CacheName", options.cache.as_str()),
            ("MomentoEndpoint", topics.endpoint().as_str()),
            ("Architecture", architecture()),
        ] {
            if template.pointer(&format!("/Parameters/{name}")).is_some() {
                parameters
                    .entry(name.to_owned())
                    .or_insert_with(|| value.to_owned());
            }
        }
        let deployed = deploy::create(&account, NAME, &bucket, &template, &parameters).await?;
        put_secret(&account, &deployed, "SigningSecret", &signing_secret).await?;
        put_secret(&account, &deployed, "MomentoSecret", &api_key).await?;

        let webhook_url = webhook_url(&emulator, &deployed)?;
        let routes = deployed_routes(&account, &template, &deployed).await?;
        server::create_caches(&topics, &routes)?;
        match options.delivery {
            Delivery::Webhooks => {
                server::put_webhooks(&topics, &routes, &webhook_url, &signing_secret)?
            }
            Delivery::Relay | Delivery::Nothing => {}
        }
        step.done("deployed the template");
        let relay = match options.delivery {
            Delivery::Relay => {
                let folder = emulator.run().path();
                let cursors = folder.join(format!("relay-cursors-{}.json", account.id()));
                let relay = Relay::start(
                    &topics,
                    &routes,
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
            topics,
            account,
            deployed,
            routes,
            cache: options.cache,
            webhook_url,
            signing_secret,
            api_key,
            emulator,
        })
    }

    /// The Topics server, for its events and webhooks.
    pub fn topics(&self) -> &TopicsServer {
        &self.topics
    }

    /// The relay's attempts from now on; `None` without a relay.
    pub fn relayed(&self) -> Option<broadcast::Receiver<Attempt>> {
        self.relay.as_ref().map(Relay::attempts)
    }

    /// The emulator, which other stacks may share.
    pub fn emulator(&self) -> &Arc<Emulator> {
        &self.emulator
    }

    /// The stack's account, with the configuration for AWS clients.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// A client of the official SDK, connected to the local Topics server.
    pub fn momento_client(&self) -> Result<TopicClient> {
        let endpoint = MomentoEndpoint::Local(self.topics.endpoint());
        Ok(topics::connect(&self.api_key, &endpoint, Laptop::latest())?)
    }

    /// The cache of the shipped routes.
    pub fn cache(&self) -> &str {
        &self.cache
    }

    pub fn outputs(&self) -> &BTreeMap<String, String> {
        &self.deployed.outputs
    }

    /// The physical id of a resource (for most kinds, the value of `!Ref`).
    pub fn resource(&self, logical_id: &str) -> Result<&str> {
        self.deployed
            .resources
            .get(logical_id)
            .map(String::as_str)
            .with_context(|| {
                format!("expected a resource `{logical_id}` in the deployed template, found none")
            })
    }

    /// The deployed routes, with real ARNs.
    pub fn routes(&self) -> &Routes {
        &self.routes
    }

    /// The webhook's URL, as a plain HTTP address on this machine.
    pub fn webhook_url(&self) -> &str {
        &self.webhook_url
    }

    pub fn signing_secret(&self) -> &str {
        &self.signing_secret
    }

    /// The logs of functions and workflows so far, one event a line.
    pub async fn logs(&self) -> Result<String> {
        self.account.logs().await
    }

    /// Kills (SIGKILL) the processes of a function of the template, during an invocation or between two; returns their number,
    /// which is 0 before the first invocation. The next invocation starts a new process.
    pub fn kill_functions(&self, logical_id: &str) -> Result<usize> {
        let name = self.resource(logical_id)?;
        functions::kill(self.emulator.endpoint(), self.account.id(), name)
    }

    /// The stack's addresses and secrets, for other commands.
    pub fn state(&self, started_at: u64) -> State {
        State {
            pid: std::process::id(),
            started_at,
            topics_endpoint: self.topics.endpoint(),
            api_key: self.api_key.clone(),
            cache: self.cache.clone(),
            aws_endpoint: self.emulator.endpoint().to_owned(),
            account: self.account.id().to_owned(),
            webhook_url: self.webhook_url.clone(),
            signing_secret: self.signing_secret.clone(),
            outputs: self.deployed.outputs.clone(),
        }
    }

    /// Stops the Topics server, and the emulator unless another stack uses it.
    pub async fn stop(self) {
        drop(self.relay);
        self.topics.shutdown().await;
    }
}

/// Packs and uploads each function's binary and points the template to it; returns the bucket.
async fn upload_code(
    emulator: &Emulator,
    account: &Account,
    template: &mut Value,
    binaries: &Binaries,
) -> Result<String> {
    // Bucket names are unique across accounts.
    let bucket = format!("workflow-bridge-{}", account.id());
    account.create_bucket(&bucket).await?;
    let mut uploaded = Vec::new();
    for (function, binary) in template::functions(template)? {
        let Some(program) = binaries.get(&binary) else {
            let known: Vec<_> = binaries.keys().map(|name| format!("`{name}`")).collect();
            bail!(
                "function `{function}` of the template runs the binary `{binary}`: expected one of {}",
                known.join(", ")
            );
        };
        let package = emulator.package(program).await?;
        if !uploaded.contains(&package.key) {
            account
                .put_object(&bucket, &package.key, package.zip.clone())
                .await?;
            uploaded.push(package.key.clone());
        }
        template::set_code(template, &function, &bucket, &package.key);
    }
    Ok(bucket)
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

/// The routes as the deployed webhook sees them.
async fn deployed_routes(
    account: &Account,
    template: &Value,
    deployed: &Deployed,
) -> Result<Routes> {
    let functions = template::functions(template)?;
    let function = functions
        .iter()
        .find(|(_, binary)| binary == "webhook")
        .and_then(|(id, _)| deployed.resources.get(id))
        .context("expected a function with the binary `webhook` in the template, found none")?;
    let variables = account.function_variables(function).await?;
    let text = variables["ROUTES"]
        .as_str()
        .context("expected the variable `ROUTES` at the webhook function, found none")?;
    Ok(ssm::load_routes(&RoutesSource::of(text), account.config()).await?)
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
