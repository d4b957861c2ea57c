//! A deployed stack: the local one, or one on AWS.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow, bail};
use aws_config::SdkConfig;
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::error::ProvideErrorMetadata;
use aws_sdk_sqs::config::ProvideCredentials;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;

use crate::adapters::aws;
use crate::tools::letters::DeadQueue;
use crate::tools::local::Account;
use crate::tools::local::workspace::State;
use crate::tools::replay::sqs::Sqs;

/// Deadline of one call; a long poll is far below.
const CALL_WITHIN: Duration = Duration::from_secs(20);

/// A stack with its outputs.
#[derive(Clone)]
pub struct Place {
    pub config: SdkConfig,
    pub outputs: BTreeMap<String, String>,
    /// For people.
    pub name: String,
    /// `None` for the local stack.
    pub stack_name: Option<String>,
    /// The address of the local stack's console.
    pub console: Option<String>,
}

impl Place {
    /// A local stack in this account of the emulator.
    pub fn local(account: &Account, outputs: BTreeMap<String, String>) -> Self {
        Self {
            config: account.config().clone(),
            outputs,
            name: "the local stack".to_owned(),
            stack_name: None,
            console: None,
        }
    }

    /// The running local stack with this state.
    pub fn running(state: &State) -> Self {
        let account = Account::new(&state.aws_endpoint, &state.account);
        Self::local(&account, state.outputs.clone())
    }

    pub fn is_local(&self) -> bool {
        self.stack_name.is_none()
    }

    /// A stack on AWS, with the region and credentials of the environment.
    ///
    /// # Errors
    ///
    /// When region, credentials or stack are missing: expected, found, remedy.
    pub async fn on_aws(name: &str) -> Result<Self> {
        let config = configuration().await?;
        let region = config.region().map(ToString::to_string).unwrap_or_default();
        let outputs = outputs(&config, name, &region).await?;
        Ok(Self {
            outputs: outputs.with_context(|| format!(
                "expected a stack `{name}` in {region}, found none: is it another name, another AWS_REGION or another account?"
            ))?,
            config,
            name: format!("stack `{name}` in {region}"),
            stack_name: Some(name.to_owned()),
            console: None,
        })
    }

    /// The stack of the relay, by the name that the output `DeployRelay` gives it; `None` without one.
    ///
    /// # Errors
    ///
    /// When it cannot be described.
    pub async fn relay(&self) -> Result<Option<Self>> {
        let Some(name) = &self.stack_name else {
            return Ok(None);
        };
        let found = outputs(&self.config, &format!("{name}-relay"), self.region()).await?;
        Ok(found.map(|outputs| Self {
            outputs,
            ..self.clone()
        }))
    }

    pub fn region(&self) -> &str {
        self.config.region().map_or("", |region| region.as_ref())
    }

    /// The option that selects it in `bridge replay`: ` --stack NAME`, or nothing for the local stack.
    pub fn option(&self) -> String {
        let name = self.stack_name.as_ref();
        name.map_or(String::new(), |name| format!(" --stack {name}"))
    }

    /// An output.
    ///
    /// # Errors
    ///
    /// When the stack has none of this name.
    pub fn output(&self, name: &str) -> Result<String> {
        self.outputs.get(name).cloned().with_context(|| {
            format!(
                "expected an output `{name}` at {}, found none: deploy this version's template.yaml, or one with that output",
                self.name
            )
        })
    }

    /// The dead-letter queue of this kind, with the queue to replay into.
    ///
    /// # Errors
    ///
    /// As [`Place::output`].
    pub fn queues(&self, kind: DeadQueue) -> Result<Sqs> {
        let (from, to) = match kind {
            DeadQueue::Messages => ("DeadLetterQueueUrl", "ParkedQueueUrl"),
            DeadQueue::Results => ("CompletionsDeadLetterQueueUrl", "CompletionsQueueUrl"),
        };
        Ok(Sqs::new(&self.config, self.output(from)?, self.output(to)?))
    }
}

/// Region and credentials from the environment, checked before any call.
async fn configuration() -> Result<SdkConfig> {
    let config = aws::of_machine().await?;
    if config.region().is_none() {
        bail!(
            "expected the stack's region in AWS_REGION or in the profile, found none: `export AWS_REGION=eu-west-1`, for example"
        );
    }
    let credentials = config.credentials_provider();
    let credentials = credentials.context("no provider of AWS credentials")?;
    credentials.provide_credentials().await.map_err(|error| {
        anyhow!(
            "expected AWS credentials in the environment or in a profile with plain keys, found none ({}): for every other way to sign in, hand them over with\n  eval \"$(aws configure export-credentials --format env)\"",
            Error::from(error).root_cause()
        )
    })?;
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .operation_attempt_timeout(CALL_WITHIN)
        .build();
    let config = config.into_builder();
    // No deadline of seconds here, so the SDK's own retries suffice.
    let config = config.retry_config(RetryConfig::standard().with_max_attempts(5));
    Ok(config.timeout_config(timeouts).build())
}

/// The outputs of a stack; `None` without that stack.
async fn outputs(
    config: &SdkConfig,
    name: &str,
    region: &str,
) -> Result<Option<BTreeMap<String, String>>> {
    let described = Client::new(config)
        .describe_stacks()
        .stack_name(name)
        .send()
        .await;
    let described = match described {
        Ok(described) => described,
        Err(error) => match (error.code(), error.message()) {
            (Some("ValidationError"), Some(message)) if message.contains("does not exist") => {
                return Ok(None);
            }
            (_, Some(message)) => {
                bail!("cannot describe the stack `{name}` in {region}: {message}")
            }
            _ => bail!(
                "cannot describe the stack `{name}` in {region}: {}: can this machine reach AWS?",
                Error::from(error).root_cause()
            ),
        },
    };
    let stack = described
        .stacks()
        .first()
        .context("the answer names no stack")?;
    let outputs = stack.outputs().iter();
    let pairs = outputs
        .filter_map(|output| Some((output.output_key()?.into(), output.output_value()?.into())));
    Ok(Some(pairs.collect()))
}
