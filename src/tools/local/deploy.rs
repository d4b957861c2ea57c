//! Creates a CloudFormation stack in the emulator and waits for it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::error::{DisplayErrorContext, ProvideErrorMetadata};
use aws_sdk_cloudformation::types::{Capability, Parameter, StackStatus};
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
    let parameters = parameters.iter().map(|(key, value)| {
        Parameter::builder()
            .parameter_key(key)
            .parameter_value(value)
            .build()
    });
    let key = format!("{name}.json");
    account
        .put_object(bucket, &key, template.to_string().into_bytes())
        .await?;
    client
        .create_stack()
        .stack_name(name)
        .template_url(format!("{}/{bucket}/{key}", account.endpoint()))
        .set_parameters(Some(parameters.collect()))
        .capabilities(Capability::CapabilityIam)
        .capabilities(Capability::CapabilityNamedIam)
        .capabilities(Capability::CapabilityAutoExpand)
        .send()
        .await
        .map_err(|error| match error.message() {
            Some(reason) => anyhow!("the emulator refuses the template: {reason}"),
            None => anyhow!(
                "the emulator does not answer CreateStack: {}",
                DisplayErrorContext(error)
            ),
        })?;

    let wait = async {
        loop {
            let described = client.describe_stacks().stack_name(name).send().await?;
            let stack = described
                .stacks()
                .first()
                .context("the emulator lost the stack")?;
            match stack.stack_status() {
                Some(StackStatus::CreateInProgress) => tokio::time::sleep(POLL_EVERY).await,
                Some(StackStatus::CreateComplete) => return Ok(stack.clone()),
                status => {
                    let reason = stack.stack_status_reason().unwrap_or("no reason given");
                    let status = status.map_or("no status", StackStatus::as_str);
                    bail!(
                        "the template does not deploy: {status} ({reason})\n{}",
                        failures(&client, name).await
                    );
                }
            }
        }
    };
    let stack = tokio::time::timeout(DEPLOYED_WITHIN, wait)
        .await
        .with_context(|| {
            format!(
                "expected the template to be deployed within {} s, it is not",
                DEPLOYED_WITHIN.as_secs()
            )
        })??;

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
async fn failures(client: &Client, name: &str) -> String {
    let events = match client.describe_stack_events().stack_name(name).send().await {
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
