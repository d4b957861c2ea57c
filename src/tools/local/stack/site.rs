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
use crate::tools::local::package::Package;
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
    /// The key of each executable that a stack runs.
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
        mut template: Value,
        parameters: &BTreeMap<String, String>,
    ) -> Result<Deployed> {
        self.upload_code(&mut template).await?;
        let (account, bridge) = (&self.account, &self.bridge);
        deploy::create(account, bridge, &self.bucket, &template, parameters).await
    }

    /// Updates the stack of the bridge.
    pub async fn update_bridge(
        &self,
        mut template: Value,
        parameters: &BTreeMap<String, String>,
    ) -> Result<Deployed> {
        self.upload_code(&mut template).await?;
        let (account, bridge) = (&self.account, &self.bridge);
        deploy::update(account, bridge, &self.bucket, &template, parameters)
            .await
            .with_context(|| format!("cannot update the stack `{bridge}`"))
    }

    /// Deploys a workflow.
    pub async fn deploy(&self, name: &str, template: &Value) -> Result<Deployed> {
        let (stack, template, parameters) = self.prepare(name, template).await?;
        deploy::create(&self.account, &stack, &self.bucket, &template, &parameters)
            .await
            .with_context(|| format!("cannot deploy the stack `{stack}`"))
    }

    /// Updates the stack of a workflow.
    pub async fn update(&self, name: &str, template: &Value) -> Result<Deployed> {
        let (stack, template, parameters) = self.prepare(name, template).await?;
        deploy::update(&self.account, &stack, &self.bucket, &template, &parameters)
            .await
            .with_context(|| format!("cannot update the stack `{stack}`"))
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

    /// The stack, the template and the parameters of a workflow.
    async fn prepare(
        &self,
        name: &str,
        template: &Value,
    ) -> Result<(String, Value, BTreeMap<String, String>)> {
        let mut template = template.clone();
        self.upload_code(&mut template).await?;
        let values = [
            ("Bridge", self.bridge.as_str()),
            ("CacheName", self.cache.as_str()),
        ];
        let parameters = workflow::parameters(&template, &values);
        Ok((self.stack_of(name), template, parameters))
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

    /// The executables whose content differs from the last uploaded one.
    pub async fn changed_binaries(&self) -> Result<BTreeSet<String>> {
        let mut changed = BTreeSet::new();
        for (name, program) in self.binaries() {
            let package = self.emulator.package(&program).await?;
            let running = self.running.lock();
            let running = running.unwrap_or_else(PoisonError::into_inner);
            if running.get(&name).is_some_and(|key| *key != package.key) {
                changed.insert(name);
            }
        }
        Ok(changed)
    }

    /// Packs and uploads the code of each function and points the template to it.
    async fn upload_code(&self, template: &mut Value) -> Result<()> {
        for (id, code) in code::functions(template, Path::new(""))? {
            let package = self.package(&code).await;
            let package = package.with_context(|| format!("function `{id}`"))?;
            let uploaded = || self.uploaded.lock().unwrap_or_else(PoisonError::into_inner);
            let is_there = uploaded().contains(&package.key);
            if !is_there {
                self.account
                    .put_object(&self.bucket, &package.key, package.zip.clone())
                    .await?;
                uploaded().insert(package.key.clone());
            }
            if let Code::Bridge(binary) = code {
                let running = self.running.lock();
                let mut running = running.unwrap_or_else(PoisonError::into_inner);
                running.insert(binary, package.key.clone());
            }
            template::set_code(template, &id, &self.bucket, &package.key);
        }
        Ok(())
    }

    async fn package(&self, code: &Code) -> Result<Arc<Package>> {
        let Code::Bridge(binary) = code else {
            return Ok(Arc::new(self.emulator.workshop().package(code).await?));
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
        self.emulator.package(program).await
    }
}
