//! The options of a stack.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::Result;
use serde_json::Value;

use crate::tools::local::aws::Account;
use crate::tools::local::build::Binaries;
use crate::tools::local::port::Port;
use crate::tools::local::topics::{Limits, STABLE_API_KEY};
use crate::tools::local::workspace::Workspace;
use crate::tools::terminal::Progress;

/// The default name of the bridge's stack.
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
    /// The name of the bridge's stack.
    pub name: String,
    /// The account in the emulator; by default a new one, isolated from other stacks there.
    pub account: Option<Account>,
    /// The template; its state machines are found relative to it.
    pub template: PathBuf,
    /// Directories of [workflows](super::Workflow), deployed after the bridge, each as the stack `<name>-<directory name>`.
    pub with: Vec<PathBuf>,
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
    pub topics_port: Port,
    pub aws_port: Port,
    /// Template parameters beyond those the stack sets itself.
    pub parameters: BTreeMap<String, String>,
    pub edit: Edit,
    pub progress: Progress,
}

impl Options {
    /// The shipped template with these binaries, on free ports, without progress output; in a project, with its workflow.
    pub fn new(binaries: Binaries) -> Result<Self> {
        let workspace = Workspace::find()?;
        Ok(Self {
            name: NAME.to_owned(),
            account: None,
            template: workspace.root().join("template.yaml"),
            with: Vec::from_iter(workspace.project().map(PathBuf::from)),
            workspace,
            binaries,
            cache: "demo".to_owned(),
            more_caches: BTreeSet::new(),
            api_key: STABLE_API_KEY.to_owned(),
            delivery: Delivery::Webhooks,
            limits: Limits::default(),
            topics_port: Port::Free,
            aws_port: Port::Free,
            parameters: BTreeMap::new(),
            edit: Box::new(|_| Ok(())),
            progress: Progress::silent(),
        })
    }
}
