//! The deployments of a stack: of the bridge, and of workflows beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{MutexGuard, PoisonError};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::super::aws::Account;
use super::super::build::Binaries;
use super::super::deploy::Deployed;
use super::super::emulator::Emulator;
use super::{Stack, routes, workflow};
use crate::tools::template;

/// One stack after its last change.
#[derive(Clone, Debug)]
pub(super) struct Running {
    pub deployed: Deployed,
    /// With the definitions of its state machines in place, and without the places of its functions' code.
    pub template: Value,
}

impl Stack {
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
    pub(in crate::tools::local) fn template(&self, workflow: Option<&str>) -> Option<Value> {
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
    pub(in crate::tools::local) async fn changed_binaries(&self) -> Result<BTreeSet<String>> {
        self.site.changed_binaries().await
    }

    /// The functions of a template whose own code differs from the deployed one, by their logical ids.
    pub(in crate::tools::local) async fn changed_own(
        &self,
        template: &Value,
    ) -> Result<Vec<String>> {
        self.site.changed_own(template).await
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
    pub(in crate::tools::local) fn collects(&self) -> bool {
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
}

/// The parameters of the bridge's template: those that the stack sets itself, and further ones.
pub(super) fn parameters(
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
pub(super) fn webhook_url(emulator: &Emulator, deployed: &Deployed) -> Result<String> {
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
pub(super) fn webhook_function<'a>(template: &Value, deployed: &'a Deployed) -> Result<&'a str> {
    let functions = template::functions(template)?;
    let webhook = functions.iter().find(|(_, binary)| binary == "webhook");
    let function = webhook.and_then(|(id, _)| deployed.resources.get(id));
    let function = function
        .context("expected a function with the binary `webhook` in the template, found none")?;
    Ok(function)
}

/// Puts a value into a secret that the template created.
pub(super) async fn put_secret(
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

/// This machine's architecture, as Lambda names it.
fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "x86_64"
    }
}
