//! The emulator's AWS interface as one account sees it.

use anyhow::{Context, Result, bail};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sfn::config::{Credentials, SharedCredentialsProvider};
use rustls::RootCertStore;
use serde_json::{Value, json};

use crate::adapters::aws::HttpClient;

/// The emulator's only region.
pub const REGION: &str = "us-east-1";

/// One account of the emulator. Accounts are isolated from each other, so stacks can share an emulator.
#[derive(Clone, Debug)]
pub struct Account {
    id: String,
    endpoint: String,
    config: SdkConfig,
    http: reqwest::Client,
}

impl Account {
    /// The account `id` (12 digits) of the emulator at `endpoint`.
    pub fn new(endpoint: &str, id: &str) -> Self {
        // The emulator takes the account from the access key id. It checks the signatures of URLs only, with this secret.
        let credentials = Credentials::new(id, "test", None, None, "local");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static(REGION))
            .endpoint_url(endpoint)
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            // Plain HTTP: nothing to trust.
            .http_client(HttpClient::new(RootCertStore::empty()))
            .build();
        Self {
            id: id.to_owned(),
            endpoint: endpoint.to_owned(),
            config,
            http: reqwest::Client::new(),
        }
    }

    /// The account of unknown access keys, such as `test`: that of `bridge local`, where tools for AWS find its stacks.
    pub const DEFAULT_ID: &'static str = "000000000000";

    /// A random account id, for an account of its own.
    pub fn fresh_id() -> String {
        rand::random_range(100_000_000_000_u64..1_000_000_000_000).to_string()
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// For the clients of the AWS SDK: `aws_sdk_sqs::Client::new(account.config())`.
    pub fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// Creates a bucket; no other account may have one of that name.
    pub async fn create_bucket(&self, bucket: &str) -> Result<()> {
        self.put(bucket, Vec::new()).await
    }

    /// Stores an object.
    pub async fn put_object(&self, bucket: &str, key: &str, body: Vec<u8>) -> Result<()> {
        self.put(&format!("{bucket}/{key}"), body).await
    }

    async fn put(&self, path: &str, body: Vec<u8>) -> Result<()> {
        let request = self
            .http
            .put(format!("{}/{path}", self.endpoint))
            .body(body);
        self.send("s3", request).await.map(drop)
    }

    /// Calls an AWS JSON 1.1 operation without an SDK client.
    pub async fn call(&self, service: &str, target: &str, body: &Value) -> Result<Value> {
        let request = self
            .http
            .post(&self.endpoint)
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", target)
            .body(body.to_string());
        let answer = self.send(service, request).await?;
        serde_json::from_str(&answer)
            .with_context(|| format!("expected JSON from `{target}`, found `{answer}`"))
    }

    /// A function's environment variables, as deployed.
    pub async fn function_variables(&self, function: &str) -> Result<Value> {
        let url = format!(
            "{}/2015-03-31/functions/{function}/configuration",
            self.endpoint
        );
        let answer = self.send("lambda", self.http.get(url)).await?;
        let mut configuration: Value = serde_json::from_str(&answer)?;
        Ok(configuration["Environment"]["Variables"].take())
    }

    /// This account's logs: one line per event as `<log group>: <message>`, group by group.
    pub async fn logs(&self) -> Result<String> {
        let groups = self
            .call("logs", "Logs_20140328.DescribeLogGroups", &json!({}))
            .await?;
        let mut text = String::new();
        for group in groups["logGroups"].as_array().into_iter().flatten() {
            let Some(name) = group["logGroupName"].as_str() else {
                continue;
            };
            let mut query = json!({ "logGroupName": name });
            loop {
                let page = self
                    .call("logs", "Logs_20140328.FilterLogEvents", &query)
                    .await?;
                let events = page["events"].as_array().into_iter().flatten();
                for message in events.filter_map(|event| event["message"].as_str()) {
                    text.push_str(&format!("{name}: {}\n", message.trim_end()));
                }
                if page["nextToken"].is_null() || page["nextToken"] == query["nextToken"] {
                    break;
                }
                query["nextToken"] = page["nextToken"].clone();
            }
        }
        Ok(text)
    }

    async fn send(&self, service: &str, request: reqwest::RequestBuilder) -> Result<String> {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/20260101/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=0",
            self.id
        );
        let response = request
            .header("authorization", authorization)
            .send()
            .await
            .with_context(|| format!("cannot reach the emulator's {service}"))?;
        let status = response.status();
        let text = response.text().await.unwrap_or_default();
        if !status.is_success() {
            bail!("the emulator's {service} answered {status}: {text}");
        }
        Ok(text)
    }
}
