//! Secrets Manager.

use aws_sdk_secretsmanager::Client;

use super::aws::fault;
use crate::ports::{Answer, Secrets, Stage};

/// One secret.
pub struct SecretsManager {
    pub client: Client,
    /// Name or ARN.
    pub id: String,
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
