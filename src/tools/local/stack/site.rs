//! The account where a bridge's stacks are deployed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::workflow;
use crate::tools::local::aws::Account;
use crate::tools::local::build::Binaries;
use crate::tools::local::code::{self, Code};
use crate::tools::local::deploy::{self, Deployed};
use crate::tools::local::emulator::Emulator;
use crate::tools::local::package::{Package, Stored};
use crate::tools::template;

pub(super) struct Site {
    /// Other stacks may share it.
    pub emulator: Arc<Emulator>,
    pub account: Account,
    /// The name of the bridge's stack.
    pub bridge: String,
    /// The cache of the shipped routes.
    pub cache: String,
    /// Exchanged when functions are built again.
    binaries: Mutex<Binaries>,
    /// For code and templates.
    bucket: String,
    /// The keys of the packages in the bucket.
    uploaded: Mutex<BTreeSet<String>>,
    /// The key of each executable and of each own code that a stack runs, by its [name](running_name).
    running: Mutex<BTreeMap<String, String>>,
}

impl Site {
    /// Makes the bucket.
    pub async fn new(
        emulator: Arc<Emulator>,
        account: Account,
        bridge: String,
        cache: String,
        binaries: Binaries,
    ) -> Result<Self> {
        // Bucket names are unique across accounts.
        let bucket = format!("{}-{}", bridge.to_lowercase(), account.id());
        account.create_bucket(&bucket).await?;
        Ok(Self {
            emulator,
            account,
            bridge,
            cache,
            binaries: Mutex::new(binaries),
            bucket,
            uploaded: Mutex::default(),
            running: Mutex::default(),
        })
    }

    /// Deploys the bridge.
    pub async fn deploy_bridge(
        &self,
        template: Value,
        parameters: &BTreeMap<String, String>,
    ) -> Result<Deployed> {
        self.put(Put::New, &self.bridge, template, parameters).await
    }

    /// Updates the stack of the bridge.
    pub async fn update_bridge(
        &self,
        template: Value,
        parameters: &BTreeMap<String, String>,
    ) -> Result<Deployed> {
        let updated = self.put(Put::Update, &self.bridge, template, parameters);
        let cannot = || format!("cannot update the stack `{}`", self.bridge);
        updated.await.with_context(cannot)
    }

    /// Deploys a workflow.
    pub async fn deploy(&self, name: &str, template: &Value) -> Result<Deployed> {
        let deployed = self.put_workflow(Put::New, name, template).await;
        deployed.with_context(|| format!("cannot deploy the stack `{}`", self.stack_of(name)))
    }

    /// Updates the stack of a workflow.
    pub async fn update(&self, name: &str, template: &Value) -> Result<Deployed> {
        let updated = self.put_workflow(Put::Update, name, template).await;
        updated.with_context(|| format!("cannot update the stack `{}`", self.stack_of(name)))
    }

    async fn put_workflow(&self, put: Put, name: &str, template: &Value) -> Result<Deployed> {
        let values = [
            ("Bridge", self.bridge.as_str()),
            ("CacheName", self.cache.as_str()),
        ];
        let parameters = workflow::parameters(template, &values);
        let stack = self.stack_of(name);
        self.put(put, &stack, template.clone(), &parameters).await
    }

    /// Uploads the code of a stack and then the stack; notes the code that it runs from then on.
    async fn put(
        &self,
        put: Put,
        stack: &str,
        mut template: Value,
        parameters: &BTreeMap<String, String>,
    ) -> Result<Deployed> {
        let keys = self.upload_code(&mut template).await?;
        let (account, bucket) = (&self.account, &self.bucket);
        let deployed = match put {
            Put::New => deploy::create(account, stack, bucket, &template, parameters).await?,
            Put::Update => deploy::update(account, stack, bucket, &template, parameters).await?,
        };
        let running = self.running.lock();
        let mut running = running.unwrap_or_else(PoisonError::into_inner);
        running.extend(keys);
        Ok(deployed)
    }

    /// Deletes the stack of a workflow.
    pub async fn delete(&self, name: &str) -> Result<()> {
        let stack = self.stack_of(name);
        let deleted = deploy::delete(&self.account, &stack).await;
        deleted.with_context(|| format!("cannot delete the stack `{stack}`"))
    }

    /// The name of a workflow's stack.
    pub fn stack_of(&self, workflow: &str) -> String {
        format!("{}-{workflow}", self.bridge)
    }

    /// The executables of the functions.
    pub fn binaries(&self) -> Binaries {
        let binaries = self.binaries.lock();
        binaries.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Uses these executables from the next update on.
    pub fn set_binaries(&self, built: Binaries) {
        let binaries = self.binaries.lock();
        *binaries.unwrap_or_else(PoisonError::into_inner) = built;
    }

    /// The executables whose content differs from the running one.
    pub async fn changed_binaries(&self) -> Result<BTreeSet<String>> {
        let mut changed = BTreeSet::new();
        for (name, program) in self.binaries() {
            let package = self.emulator.package(&program).await?;
            if self.differs(&name, &package.key) {
                changed.insert(name);
            }
        }
        Ok(changed)
    }

    /// The functions and layers of a deployed template whose own code differs from the running one, by their logical ids.
    pub async fn changed_own(&self, template: &Value) -> Result<Vec<String>> {
        let mut changed = Vec::new();
        for (id, code) in code::functions(template, Path::new(""))? {
            if matches!(code, Code::Bridge(_)) {
                continue;
            }
            let package = self.package(&code).await;
            let package = package.with_context(|| format!("function `{id}`"))?;
            if self.differs(&running_name(&code), package.key()) {
                changed.push(id);
            }
        }
        Ok(changed)
    }

    /// Whether a stack runs another package of this name.
    fn differs(&self, name: &str, package: &str) -> bool {
        let running = self.running.lock();
        let running = running.unwrap_or_else(PoisonError::into_inner);
        running.get(name).is_some_and(|key| key != package)
    }

    /// Packs and uploads the code of each function and points the template to it. Returns the name and the key of each package.
    async fn upload_code(&self, template: &mut Value) -> Result<Vec<(String, String)>> {
        let mut keys = Vec::new();
        for (id, code) in code::functions(template, Path::new(""))? {
            let package = self.package(&code).await;
            let package = package.with_context(|| format!("function `{id}`"))?;
            let uploaded = || self.uploaded.lock().unwrap_or_else(PoisonError::into_inner);
            let key = package.key().to_owned();
            let is_there = uploaded().contains(&key);
            if !is_there {
                let zip = package.zip().await?;
                self.account.put_object(&self.bucket, &key, zip).await?;
                uploaded().insert(key.clone());
            }
            template::set_code(template, &id, &self.bucket, &key);
            keys.push((running_name(&code), key));
        }
        Ok(keys)
    }

    async fn package(&self, code: &Code) -> Result<Packed> {
        let Code::Bridge(binary) = code else {
            let package = self.emulator.workshop().package(code).await?;
            return Ok(Packed::Own(package));
        };
        let binaries = self.binaries();
        let Some(program) = binaries.get(binary) else {
            let known = binaries.keys().map(|name| format!("`{name}`"));
            let known: Vec<_> = known.collect();
            bail!(
                "its binary is `{binary}`: expected one of {}",
                known.join(", ")
            );
        };
        Ok(Packed::Binary(self.emulator.package(program).await?))
    }
}

/// How a stack is deployed.
#[derive(Clone, Copy)]
enum Put {
    New,
    Update,
}

/// The package of a function.
enum Packed {
    Binary(Stored),
    Own(Package),
}

impl Packed {
    fn key(&self) -> &str {
        match self {
            Self::Binary(stored) => &stored.key,
            Self::Own(package) => &package.key,
        }
    }

    async fn zip(self) -> Result<Vec<u8>> {
        match self {
            Self::Binary(stored) => stored.zip().await,
            Self::Own(package) => Ok(package.zip),
        }
    }
}

/// The name of a binary of the bridge, or of an own code by its place.
fn running_name(code: &Code) -> String {
    match code {
        Code::Bridge(binary) => binary.clone(),
        own => format!("{own:?}"),
    }
}
