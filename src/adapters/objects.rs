//! Objects of an S3 bucket: PUT, and URLs for GET, signed by the SDK's own signer.
//!
//! The SDK's client for S3 would make the function's binary a fifth larger (1.9 MB) for these two requests.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_types::service_config::ServiceConfigKey;
use http::{Method, Request};

use super::aws::{connector, service_fault};
use crate::ports::{Answer, Fault, Objects};

/// One bucket.
///
/// A URL carries the signature of the credentials that made it, so it ends when they do, even where `ttl` is longer: those
/// of a function's role live for some hours, which the function cannot see. Objects stay until a lifecycle rule of the
/// bucket deletes them.
pub struct S3Objects {
    /// Without a slash at the end.
    bucket_url: String,
    region: String,
    credentials: Option<SharedCredentialsProvider>,
    /// Made when first used.
    connector: OnceLock<SharedHttpConnector>,
}

impl S3Objects {
    /// With the region, credentials and endpoint of `config`.
    pub fn new(config: &SdkConfig, bucket: &str) -> Self {
        let region = config
            .region()
            .map_or("us-east-1", |region| region.as_ref());
        Self {
            bucket_url: bucket_url(endpoint(config).as_deref(), region, bucket),
            region: region.to_owned(),
            credentials: config.credentials_provider(),
            connector: OnceLock::new(),
        }
    }

    async fn store_once(&self, key: &str, value: &str, ttl: Duration) -> Result<String, Fault> {
        let url = format!("{}/{key}", self.bucket_url);
        let credentials = self.credentials().await?;
        let put = Request::builder()
            .method(Method::PUT)
            .uri(&url)
            .header("content-type", "text/plain; charset=utf-8")
            .body(SdkBody::from(value))
            .map_err(|_| unsigned())?;
        let body = SignableBody::Bytes(value.as_bytes());
        let now = SystemTime::now();
        self.send(self.signed(put, body, &credentials, now, None)?)
            .await?;
        let get = Request::get(&url).body(()).map_err(|_| unsigned())?;
        let body = SignableBody::UnsignedPayload;
        let now = SystemTime::now();
        let get = self.signed(get, body, &credentials, now, Some(ttl))?;
        Ok(get.uri().to_string())
    }

    async fn credentials(&self) -> Result<Credentials, Fault> {
        let provider = self.credentials.as_ref();
        let missing = || Fault::later("NoCredentials", "expected AWS credentials, found none");
        let credentials = provider.ok_or_else(missing)?.provide_credentials().await;
        credentials.map_err(|_| {
            Fault::transient("CredentialsNotLoaded", "the AWS credentials cannot be read")
        })
    }

    /// Signs the headers, or, with a time to live, the URL.
    fn signed<B>(
        &self,
        mut request: Request<B>,
        body: SignableBody<'_>,
        credentials: &Credentials,
        now: SystemTime,
        ttl: Option<Duration>,
    ) -> Result<Request<B>, Fault> {
        // S3 alone takes the path as it is, and wants the hash of the body.
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        match ttl {
            None => settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256,
            Some(_) => settings.signature_location = SignatureLocation::QueryParams,
        }
        settings.expires_in = ttl;
        let identity = credentials.clone().into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("s3")
            .time(now)
            .settings(settings)
            .build()
            .map_err(|_| unsigned())?
            .into();
        let headers = request.headers().iter();
        let headers =
            headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let uri = request.uri().to_string();
        let signable = SignableRequest::new(request.method().as_str(), uri, headers, body);
        let signed = signable.and_then(|signable| sign(signable, &params));
        let (instructions, _) = signed.map_err(|_| unsigned())?.into_parts();
        instructions.apply_to_request_http1x(&mut request);
        Ok(request)
    }

    async fn send(&self, request: Request<SdkBody>) -> Result<(), Fault> {
        let request = HttpRequest::try_from(request).map_err(|_| unsigned())?;
        let connector = match self.connector.get() {
            Some(connector) => connector,
            None => {
                let made = connector().map_err(|e| Fault::later("NoRoots", e.to_string()))?;
                self.connector.get_or_init(|| made)
            }
        };
        let unreachable = || Fault::transient("Unreachable", "no connection, or it broke");
        let response = connector.call(request).await.map_err(|_| unreachable())?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let body = aws_smithy_types::byte_stream::ByteStream::new(response.into_body());
        let body = body
            .collect()
            .await
            .map_err(|_| unreachable())?
            .into_bytes();
        let body = String::from_utf8_lossy(&body);
        let code = element(&body, "Code").unwrap_or("Unknown");
        let message = element(&body, "Message").unwrap_or_default();
        Err(service_fault(code, message, status.as_u16()))
    }
}

impl Objects for S3Objects {
    /// `key` goes into the URL as it is.
    fn store<'a>(&'a self, key: &'a str, value: &'a str, ttl: Duration) -> Answer<'a, String> {
        Box::pin(self.store_once(key, value, ttl))
    }
}

/// The endpoint that is set for S3, as the SDK's client reads it: `AWS_ENDPOINT_URL_S3`, or else the one for all services.
fn endpoint(config: &SdkConfig) -> Option<String> {
    let key = ServiceConfigKey::builder()
        .service_id("S3")
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build()
        .ok()?;
    let own = config.service_config().and_then(|own| own.load_config(key));
    own.or_else(|| config.endpoint_url().map(str::to_owned))
}

/// Where a bucket is: under an endpoint that is set, as a local one is, or at its own host name. A name with dots has none
/// that S3's certificate covers.
fn bucket_url(endpoint: Option<&str>, region: &str, bucket: &str) -> String {
    if let Some(endpoint) = endpoint {
        return format!("{}/{bucket}", endpoint.trim_end_matches('/'));
    }
    let china = if region.starts_with("cn-") { ".cn" } else { "" };
    let host = format!("s3.{region}.amazonaws.com{china}");
    match bucket.contains('.') {
        true => format!("https://{host}/{bucket}"),
        false => format!("https://{bucket}.{host}"),
    }
}

/// The text of an error's element; S3 answers with `<Error><Code>…</Code><Message>…</Message>…</Error>`.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(text)
}

fn unsigned() -> Fault {
    Fault::permanent(
        "BadRequest",
        "the request could not be built; look at the bucket's name and the endpoint's URL",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::FaultKind;
    use aws_config::{BehaviorVersion, Region};
    use std::sync::{Arc, Mutex};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    fn config(endpoint: &str) -> SdkConfig {
        let credentials = Credentials::new("AKID", "secret", Some("token".into()), None, "test");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("eu-west-1"))
            .endpoint_url(endpoint)
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build()
    }

    /// A server that answers every request so, and what it was asked.
    async fn bucket(answer: &'static str) -> (String, Arc<Mutex<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(String::new()));
        let seen = asked.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut bytes = vec![0; 4096];
                let mut request = String::new();
                while !request.ends_with("the value") {
                    let read = stream.read(&mut bytes).await.unwrap();
                    request.push_str(&String::from_utf8_lossy(&bytes[..read]));
                }
                *seen.lock().unwrap() = request;
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        (endpoint, asked)
    }

    #[test]
    fn an_endpoint_of_its_own_goes_before_that_of_all_services() {
        #[derive(Debug)]
        struct Environment;
        impl aws_types::service_config::LoadServiceConfig for Environment {
            fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
                let names = (key.env(), key.service_id(), key.profile());
                (names == ("AWS_ENDPOINT_URL", "S3", "endpoint_url"))
                    .then(|| "http://own".to_owned())
            }
        }
        let all = config("http://all");
        assert_eq!(endpoint(&all).as_deref(), Some("http://all"));
        let own = all.into_builder().service_config(Environment).build();
        assert_eq!(endpoint(&own).as_deref(), Some("http://own"));
    }

    async fn store(endpoint: &str) -> Result<String, Fault> {
        let objects = S3Objects::new(&config(endpoint), "claims");
        let ttl = Duration::from_secs(600);
        objects.store("workflow-bridge/ab", "the value", ttl).await
    }

    #[tokio::test]
    async fn a_value_is_put_and_its_url_is_signed() {
        let (endpoint, asked) = bucket("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        let url = store(&endpoint).await.unwrap();
        let request = asked.lock().unwrap().to_lowercase();
        assert!(
            request.starts_with("put /claims/workflow-bridge/ab http/1.1"),
            "{request}"
        );
        for part in [
            "content-type: text/plain; charset=utf-8",
            "x-amz-security-token: token",
            "x-amz-content-sha256: eb69abcc54d8bcf9",
            "signedheaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token",
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

    /// The examples of the S3 API reference, "Signature calculations for the Authorization header" and "Authenticating
    /// requests: using query parameters".
    #[test]
    fn signatures_are_those_of_the_reference() {
        let objects = S3Objects {
            bucket_url: "https://examplebucket.s3.amazonaws.com".into(),
            region: "us-east-1".into(),
            credentials: None,
            connector: OnceLock::new(),
        };
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        let credentials = Credentials::new("AKIAIOSFODNN7EXAMPLE", secret, None, None, "test");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_369_353_600);
        let sign = |request, body, ttl| objects.signed(request, body, &credentials, now, ttl);

        let get = Request::get(format!("{}/test.txt", objects.bucket_url));
        let get = get.header("range", "bytes=0-9").body(()).unwrap();
        let signed = sign(get, SignableBody::Bytes(b""), None).unwrap();
        let authorization = signed.headers()["authorization"].to_str().unwrap();
        let signature = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";
        assert!(authorization.ends_with(signature), "{authorization}");

        let get = Request::get(format!("{}/test.txt", objects.bucket_url));
        let ttl = Some(Duration::from_secs(86_400));
        let signed = sign(get.body(()).unwrap(), SignableBody::UnsignedPayload, ttl).unwrap();
        let url = signed.uri().to_string();
        let signature = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
        assert!(
            url.contains(&format!("X-Amz-Signature={signature}")),
            "{url}"
        );
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

    #[test]
    fn a_bucket_has_its_own_host_on_aws() {
        for (endpoint, region, bucket, url) in [
            (
                None,
                "eu-west-1",
                "claims",
                "https://claims.s3.eu-west-1.amazonaws.com",
            ),
            (
                None,
                "cn-north-1",
                "claims",
                "https://claims.s3.cn-north-1.amazonaws.com.cn",
            ),
            (
                None,
                "us-east-1",
                "a.b",
                "https://s3.us-east-1.amazonaws.com/a.b",
            ),
            (
                Some("http://127.0.0.1:1/"),
                "us-east-1",
                "claims",
                "http://127.0.0.1:1/claims",
            ),
        ] {
            assert_eq!(bucket_url(endpoint, region, bucket), url);
        }
    }
}
