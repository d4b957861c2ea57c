//! CloudFormation stacks in the emulator: created, updated and deleted, each change awaited.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::error::{DisplayErrorContext, ProvideErrorMetadata};
use aws_sdk_cloudformation::types::{Capability, Parameter, Stack, StackStatus};
use serde_json::Value;

use super::aws::Account;

/// A deployment takes 3 to 5 s on an idle machine.
const DEPLOYED_WITHIN: Duration = Duration::from_secs(120);
const POLL_EVERY: Duration = Duration::from_millis(100);

/// A deployed stack.
#[derive(Clone, Debug, Default)]
pub struct Deployed {
    pub outputs: BTreeMap<String, String>,
    /// Logical id to physical id.
    pub resources: BTreeMap<String, String>,
}

/// Deploys `template` under `name`, from `bucket`: in the request itself a template is limited to 51,200 bytes. The error of a
/// failed deployment lists each failed resource with its reason.
pub async fn create(
    account: &Account,
    name: &str,
    bucket: &str,
    template: &Value,
    parameters: &BTreeMap<String, String>,
) -> Result<Deployed> {
    let client = Client::new(account.config());
    let created = client
        .create_stack()
        .stack_name(name)
        .template_url(upload(account, name, bucket, template).await?)
        .set_parameters(Some(listed(parameters)))
        .set_capabilities(Some(CAPABILITIES.to_vec()))
        .send()
        .await;
    created.map_err(|error| refused("CreateStack", &error))?;
    let stack = settled(&client, name, &StackStatus::CreateComplete).await?;
    deployed(&client, name, &stack).await
}

/// Updates the stack `name`, like [`create`].
pub async fn update(
    account: &Account,
    name: &str,
    bucket: &str,
    template: &Value,
    parameters: &BTreeMap<String, String>,
) -> Result<Deployed> {
    let client = Client::new(account.config());
    let updated = client
        .update_stack()
        .stack_name(name)
        .template_url(upload(account, name, bucket, template).await?)
        .set_parameters(Some(listed(parameters)))
        .set_capabilities(Some(CAPABILITIES.to_vec()))
        .send()
        .await;
    updated.map_err(|error| refused("UpdateStack", &error))?;
    let stack = settled(&client, name, &StackStatus::UpdateComplete).await?;
    deployed(&client, name, &stack).await
}

/// Deletes the stack `name`.
pub async fn delete(account: &Account, name: &str) -> Result<()> {
    let client = Client::new(account.config());
    let described = client.describe_stacks().stack_name(name).send().await;
    let described = described.map_err(|error| refused("DescribeStacks", &error))?;
    // A deleted stack has its id only.
    let id = described
        .stacks()
        .first()
        .and_then(|stack| stack.stack_id());
    let id = id.with_context(|| format!("expected the stack `{name}`, found none"))?;
    let deleted = client.delete_stack().stack_name(id).send().await;
    deleted.map_err(|error| refused("DeleteStack", &error))?;
    settled(&client, id, &StackStatus::DeleteComplete).await?;
    Ok(())
}

const CAPABILITIES: [Capability; 3] = [
    Capability::CapabilityIam,
    Capability::CapabilityNamedIam,
    Capability::CapabilityAutoExpand,
];

/// Stores the template and returns its URL.
async fn upload(account: &Account, name: &str, bucket: &str, template: &Value) -> Result<String> {
    let key = format!("{name}.json");
    let body = template.to_string().into_bytes();
    account.put_object(bucket, &key, body).await?;
    Ok(format!("{}/{bucket}/{key}", account.endpoint()))
}

fn listed(parameters: &BTreeMap<String, String>) -> Vec<Parameter> {
    let parameters = parameters.iter().map(|(key, value)| {
        Parameter::builder()
            .parameter_key(key)
            .parameter_value(value)
            .build()
    });
    parameters.collect()
}

fn refused(
    operation: &str,
    error: &(impl ProvideErrorMetadata + std::error::Error),
) -> anyhow::Error {
    match error.message() {
        Some(reason) => anyhow!("the emulator refuses {operation}: {reason}"),
        None => anyhow!(
            "the emulator does not answer {operation}: {}",
            DisplayErrorContext(error)
        ),
    }
}

/// Waits for the end of a change, `done`. `stack` is a name or an id.
async fn settled(client: &Client, stack: &str, done: &StackStatus) -> Result<Stack> {
    let wait = async {
        loop {
            let described = client.describe_stacks().stack_name(stack).send().await?;
            let found = described
                .stacks()
                .first()
                .context("the emulator lost the stack")?;
            match found.stack_status() {
                Some(status) if status == done => return Ok(found.clone()),
                Some(status) if status.as_str().ends_with("_IN_PROGRESS") => {
                    tokio::time::sleep(POLL_EVERY).await;
                }
                status => {
                    let reason = found.stack_status_reason().unwrap_or_default();
                    let reason = match reason {
                        "" => String::new(),
                        reason => format!(" ({reason})"),
                    };
                    let status = status.map_or("no status", StackStatus::as_str);
                    bail!(
                        "expected the stack to become {}, found {status}{reason}\n{}",
                        done.as_str(),
                        failures(client, stack).await
                    );
                }
            }
        }
    };
    tokio::time::timeout(DEPLOYED_WITHIN, wait)
        .await
        .with_context(|| {
            format!(
                "expected the stack `{stack}` to become {} within {} s, it did not",
                done.as_str(),
                DEPLOYED_WITHIN.as_secs()
            )
        })?
}

async fn deployed(client: &Client, name: &str, stack: &Stack) -> Result<Deployed> {
    let outputs = stack.outputs().iter().filter_map(|output| {
        Some((
            output.output_key()?.to_owned(),
            output.output_value()?.to_owned(),
        ))
    });
    let described = client
        .describe_stack_resources()
        .stack_name(name)
        .send()
        .await?;
    let resources = described.stack_resources().iter().filter_map(|resource| {
        Some((
            resource.logical_resource_id()?.to_owned(),
            resource.physical_resource_id()?.to_owned(),
        ))
    });
    Ok(Deployed {
        outputs: outputs.collect(),
        resources: resources.collect(),
    })
}

/// One line per failed resource.
async fn failures(client: &Client, stack: &str) -> String {
    let events = match client
        .describe_stack_events()
        .stack_name(stack)
        .send()
        .await
    {
        Ok(events) => events,
        Err(error) => return format!("    (no events: {})", DisplayErrorContext(error)),
    };
    let failed = events.stack_events().iter().filter(|event| {
        event
            .resource_status()
            .is_some_and(|status| status.as_str().ends_with("_FAILED"))
    });
    let lines: Vec<_> = failed
        .map(|event| {
            format!(
                "    {} ({}): {}",
                event.logical_resource_id().unwrap_or("?"),
                event.resource_type().unwrap_or("?"),
                event.resource_status_reason().unwrap_or("no reason given")
            )
        })
        .collect();
    if lines.is_empty() {
        "    (no resource reported a failure)".to_owned()
    } else {
        lines.join("\n")
    }
}
