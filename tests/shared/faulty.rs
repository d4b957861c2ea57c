//! The deployed template with a proxy before each dependency of its functions.

use std::sync::Arc;

use anyhow::Result;
use serde_json::{Value, json};
use workflow_bridge::tools::local::{Emulator, Options, Stack};

use super::proxy::Proxy;
use super::{binaries, example};

/// A dependency of the functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dependency {
    StepFunctions,
    EventBridge,
    Sqs,
    SecretsManager,
    DynamoDb,
    Momento,
    /// Off the way of a message: only the collection of routes calls it.
    ParameterStore,
}

impl Dependency {
    /// On the way of a message.
    pub const ALL: [Self; 6] = [
        Self::StepFunctions,
        Self::EventBridge,
        Self::Sqs,
        Self::SecretsManager,
        Self::DynamoDb,
        Self::Momento,
    ];

    /// Those with a proxy, in the order of the proxies.
    fn proxied() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().chain([Self::ParameterStore])
    }

    /// The variable with the service's endpoint for the AWS SDK; `None` for Momento.
    fn variable(self) -> Option<&'static str> {
        match self {
            Self::StepFunctions => Some("AWS_ENDPOINT_URL_SFN"),
            Self::EventBridge => Some("AWS_ENDPOINT_URL_EVENTBRIDGE"),
            Self::Sqs => Some("AWS_ENDPOINT_URL_SQS"),
            Self::SecretsManager => Some("AWS_ENDPOINT_URL_SECRETS_MANAGER"),
            Self::DynamoDb => Some("AWS_ENDPOINT_URL_DYNAMODB"),
            Self::Momento => None,
            Self::ParameterStore => Some("AWS_ENDPOINT_URL_SSM"),
        }
    }
}

/// A stack in an account of its own, and the proxies before its dependencies.
pub struct FaultyStack {
    pub stack: Stack,
    proxies: Vec<Proxy>,
}

impl FaultyStack {
    /// Deploys the template, changed by `edit`; `variables` override those of every function.
    pub async fn start(
        emulator: Arc<Emulator>,
        variables: &[(&str, &str)],
        edit: impl FnOnce(&mut Value) -> Result<()> + Send + 'static,
    ) -> Result<Self> {
        Self::start_with(emulator, &[], variables, edit).await
    }

    /// Deploys examples beside the template.
    pub async fn start_with(
        emulator: Arc<Emulator>,
        examples: &[&str],
        variables: &[(&str, &str)],
        edit: impl FnOnce(&mut Value) -> Result<()> + Send + 'static,
    ) -> Result<Self> {
        let mut proxies = Vec::new();
        for _ in Dependency::proxied() {
            proxies.push(Proxy::start(emulator.endpoint()).await?);
        }
        let mut all: Vec<(String, String)> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        for (dependency, proxy) in Dependency::proxied().zip(&proxies) {
            if let Some(variable) = dependency.variable() {
                all.push((variable.to_owned(), proxy.endpoint()));
            }
        }
        let momento = &proxies[Dependency::Momento as usize];
        let mut options = Options::new(binaries())?;
        options.with = examples.iter().map(|name| example(name)).collect();
        let parameter = ("MomentoEndpoint".to_owned(), momento.endpoint());
        options.parameters.extend([parameter]);
        options.edit = Box::new(move |template| {
            edit(template)?;
            set_variables(template, &all);
            Ok(())
        });
        let stack = Stack::start_in(emulator, options).await?;
        momento.forward_to(&stack.topics().endpoint())?;
        Ok(Self { stack, proxies })
    }

    pub fn proxy(&self, dependency: Dependency) -> &Proxy {
        &self.proxies[dependency as usize]
    }

    pub fn heal(&self) -> Result<()> {
        Ok(self.proxies.iter().try_for_each(Proxy::heal)?)
    }
}

/// Sets variables of every function.
fn set_variables(template: &mut Value, variables: &[(String, String)]) {
    let resources = template["Resources"].as_object_mut().into_iter().flatten();
    for (_, resource) in resources {
        if resource["Type"] == "AWS::Serverless::Function" {
            for (name, value) in variables {
                resource["Properties"]["Environment"]["Variables"][name] = json!(value);
            }
        }
    }
}
