//! Secrets Manager.

use serde::Deserialize;
use serde_json::json;

use super::aws::services::SECRETS_MANAGER;
use super::aws::{Aws, Client};
use crate::ports::{Answer, Secrets, Stage};

/// One secret.
pub struct SecretsManager {
    client: Client,
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SecretValue {
    secret_string: Option<String>,
}

impl SecretsManager {
    /// By its name or ARN.
    pub fn new(aws: &Aws, id: String) -> Self {
        let client = Client::new(aws, &SECRETS_MANAGER);
        Self { client, id }
    }
}

impl Secrets for SecretsManager {
    fn fetch(&self, stage: Stage) -> Answer<'_, Option<String>> {
        Box::pin(async move {
            let stage = match stage {
                Stage::Current => "AWSCURRENT",
                Stage::Previous => "AWSPREVIOUS",
            };
            let input = json!({"SecretId": self.id, "VersionStage": stage});
            match self.client.call("GetSecretValue", &input).await {
                Ok(SecretValue { secret_string }) => Ok(secret_string),
                Err(refusal) if refusal.fault.code == "ResourceNotFoundException" => Ok(None),
                Err(refusal) => Err(refusal.into()),
            }
        })
    }
}
