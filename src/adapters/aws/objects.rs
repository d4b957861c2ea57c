//! Objects of an S3 bucket.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Builder, RequestChecksumCalculation, ResponseChecksumValidation};
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;

use super::fault::fault;
use super::{OnDemand, on_demand};
use crate::domain::fault::Fault;
use crate::domain::ports::{Answer, Objects};

const CONTENT_TYPE: &str = "text/plain; charset=utf-8";

/// One bucket.
///
/// A URL expires with the credentials that signed it, even before `ttl`: a role's credentials live for some hours, and the
/// function cannot see their end. A lifecycle rule of the bucket deletes the objects.
pub struct S3Objects {
    client: OnDemand<Client>,
    bucket: String,
}

impl S3Objects {
    pub fn new(aws: &SdkConfig, bucket: String) -> Self {
        let client = on_demand(aws, |aws| {
            // TLS and the signature protect the value already.
            let config = Builder::from(aws)
                .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
                .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
            Client::from_conf(config.build())
        });
        Self { client, bucket }
    }

    async fn store_once(&self, key: &str, value: &str, ttl: Duration) -> Result<String, Fault> {
        let put = self.client.put_object().bucket(&self.bucket).key(key);
        let put = put.content_type(CONTENT_TYPE);
        let body = ByteStream::from(value.as_bytes().to_vec());
        put.body(body).send().await.map_err(|e| fault(&e))?;
        self.url(key, ttl).await
    }

    async fn url(&self, key: &str, ttl: Duration) -> Result<String, Fault> {
        let expires = PresigningConfig::expires_in(ttl)
            .map_err(|e| Fault::permanent("BadRequest", e.to_string()))?;
        let get = self.client.get_object().bucket(&self.bucket).key(key);
        let get = get.presigned(expires).await.map_err(|e| fault(&e))?;
        Ok(get.uri().to_owned())
    }
}

impl Objects for S3Objects {
    fn store<'a>(&'a self, key: &'a str, value: &'a str, ttl: Duration) -> Answer<'a, String> {
        Box::pin(self.store_once(key, value, ttl))
    }
}

#[cfg(test)]
mod tests;
