use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use rustls::RootCertStore;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::adapters::aws::HttpClient;
use crate::domain::fault::FaultKind;

fn config(endpoint: Option<&str>, region: &'static str) -> SdkConfig {
    let credentials = Credentials::new("AKID", "secret", Some("token".into()), None, "test");
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static(region))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(HttpClient::new(RootCertStore::empty()));
    config.set_endpoint_url(endpoint.map(str::to_owned));
    config.build()
}

/// A server with one fixed response, and its last request.
async fn bucket(answer: &'static str) -> (String, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let received = Arc::new(Mutex::new(String::new()));
    let last = received.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = vec![0; 4096];
            let mut request = String::new();
            while !request.ends_with("the value") {
                let read = stream.read(&mut bytes).await.unwrap();
                request.push_str(&String::from_utf8_lossy(&bytes[..read]));
            }
            *last.lock().unwrap() = request;
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (endpoint, received)
}

async fn store(endpoint: &str) -> Result<String, Fault> {
    let objects = S3Objects::new(&config(Some(endpoint), "eu-west-1"), "claims".to_owned());
    let ttl = Duration::from_secs(600);
    objects.store("workflow-bridge/ab", "the value", ttl).await
}

#[tokio::test]
async fn a_value_is_put_and_its_url_is_signed() {
    let (endpoint, received) = bucket("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let url = store(&endpoint).await.unwrap();
    let request = received.lock().unwrap().to_lowercase();
    assert!(
        request.starts_with("put /claims/workflow-bridge/ab?x-id=putobject http/1.1"),
        "{request}"
    );
    for part in [
        "content-type: text/plain; charset=utf-8",
        "x-amz-security-token: token",
        "x-amz-content-sha256: eb69abcc54d8bcf9",
        "/eu-west-1/s3/aws4_request",
    ] {
        assert!(request.contains(part), "{part} in {request}");
    }
    let expected = format!("{endpoint}/claims/workflow-bridge/ab?");
    assert!(url.starts_with(&expected), "{url}");
    for part in [
        "X-Amz-Expires=600",
        "X-Amz-Security-Token=token",
        "X-Amz-SignedHeaders=host",
        "X-Amz-Signature=",
    ] {
        assert!(url.contains(part), "{part} in {url}");
    }
}

#[tokio::test]
async fn a_refusal_is_a_fault_with_its_code() {
    let (endpoint, _) = bucket("HTTP/1.1 404 Not Found\r\ncontent-length: 71\r\n\r\n<Error><Code>NoSuchBucket</Code><Message>There is none</Message></Error>").await;
    let fault = store(&endpoint).await.unwrap_err();
    assert_eq!(
        (fault.code.as_str(), fault.kind),
        ("NoSuchBucket", FaultKind::Permanent)
    );
    let (endpoint, _) = bucket(
        "HTTP/1.1 503 Slow\r\ncontent-length: 38\r\n\r\n<Error><Code>SlowDown</Code></Error>  ",
    )
    .await;
    let fault = store(&endpoint).await.unwrap_err();
    assert_eq!(
        (fault.code.as_str(), fault.kind),
        ("SlowDown", FaultKind::Transient)
    );
    let fault = store("http://127.0.0.1:1").await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Transient);
}

/// URLs of claims follow S3's endpoint rules in every partition.
#[tokio::test]
async fn a_url_has_the_host_of_its_partition() {
    for (region, fips, dual_stack, host) in [
        (
            "eu-west-1",
            false,
            false,
            "claims.s3.eu-west-1.amazonaws.com",
        ),
        (
            "us-east-1",
            true,
            false,
            "claims.s3-fips.us-east-1.amazonaws.com",
        ),
        (
            "us-east-1",
            true,
            true,
            "claims.s3-fips.dualstack.us-east-1.amazonaws.com",
        ),
        (
            "eu-west-1",
            false,
            true,
            "claims.s3.dualstack.eu-west-1.amazonaws.com",
        ),
        (
            "cn-north-1",
            false,
            false,
            "claims.s3.cn-north-1.amazonaws.com.cn",
        ),
        (
            "us-gov-west-1",
            false,
            false,
            "claims.s3.us-gov-west-1.amazonaws.com",
        ),
        (
            "us-gov-west-1",
            true,
            false,
            "claims.s3-fips.us-gov-west-1.amazonaws.com",
        ),
        (
            "us-iso-east-1",
            false,
            false,
            "claims.s3.us-iso-east-1.c2s.ic.gov",
        ),
        (
            "us-isob-east-1",
            false,
            false,
            "claims.s3.us-isob-east-1.sc2s.sgov.gov",
        ),
        (
            "eusc-de-east-1",
            false,
            false,
            "claims.s3.eusc-de-east-1.amazonaws.eu",
        ),
    ] {
        let mut config = config(None, region).into_builder();
        config
            .set_use_fips(Some(fips))
            .set_use_dual_stack(Some(dual_stack));
        let objects = S3Objects::new(&config.build(), "claims".to_owned());
        let url = objects.url("key", Duration::from_secs(60)).await.unwrap();
        assert!(url.starts_with(&format!("https://{host}/key?")), "{url}");
    }
}
