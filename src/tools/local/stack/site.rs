//! The account where a bridge's stacks are deployed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

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
    binaries: Binaries,
    /// For code and templates.
    bucket: String,
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
            binaries,
            bucket,
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

    /// Updates the bridge.
    pub async fn update_bridge(
        &self,
        mut template: Value,
        parameters: &BTreeMap<String, String>,
    ) -> Result<Deployed> {
        self.upload_code(&mut template).await?;
        let (account, bridge) = (&self.account, &self.bridge);
        deploy::update(account, bridge, &self.bucket, &template, parameters).await
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

    /// Packs and uploads the code of each function and points the template to it.
    async fn upload_code(&self, template: &mut Value) -> Result<()> {
        let mut uploaded = Vec::new();
        for (id, code) in code::functions(template, Path::new(""))? {
            let package = self.package(&code).await;
            let package = package.with_context(|| format!("function `{id}`"))?;
            if !uploaded.contains(&package.key) {
                self.account
                    .put_object(&self.bucket, &package.key, package.zip.clone())
                    .await?;
                uploaded.push(package.key.clone());
            }
            template::set_code(template, &id, &self.bucket, &package.key);
        }
        Ok(())
    }

    async fn package(&self, code: &Code) -> Result<Arc<Package>> {
        let Code::Bridge(binary) = code else {
            return Ok(Arc::new(self.emulator.workshop().package(code).await?));
        };
        let Some(program) = self.binaries.get(binary) else {
            let known = self.binaries.keys().map(|name| format!("`{name}`"));
            let known: Vec<_> = known.collect();
            bail!(
                "its binary is `{binary}`: expected one of {}",
                known.join(", ")
            );
        };
        self.emulator.package(program).await
    }
}
