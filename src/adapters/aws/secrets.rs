//! Secrets Manager.

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;

use super::fault::fault;
use crate::domain::ports::{Answer, Secrets, Stage};

/// One secret.
pub struct SecretsManager {
    client: Client,
    id: String,
}

impl SecretsManager {
    /// By its name or ARN.
    pub fn new(aws: &SdkConfig, id: String) -> Self {
        let client = Client::new(aws);
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
            let call = self
                .client
                .get_secret_value()
                .secret_id(&self.id)
                .version_stage(stage);
            match call.send().await {
                Ok(output) => Ok(output.secret_string),
                Err(e)
                    if e.as_service_error()
                        .is_some_and(|e| e.is_resource_not_found_exception()) =>
                {
                    Ok(None)
                }
                Err(e) => Err(fault(&e)),
            }
        })
    }
}
