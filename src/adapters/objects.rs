//! Objects of an S3 bucket: PUT, and URLs for GET.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;

use super::aws::Aws;
use super::aws::fault::service_fault;
use super::aws::services::S3;
use super::aws::signature::{self, Signable, Signer};
use crate::ports::{Answer, Fault, Objects};

const CONTENT_TYPE: &str = "text/plain; charset=utf-8";

/// One bucket.
///
/// A URL carries the signature of the credentials that made it, so it ends when they do, even where `ttl` is longer: those
/// of a function's role live for some hours, which the function cannot see. Objects stay until a lifecycle rule of the
/// bucket deletes them.
pub struct S3Objects {
    /// Without a slash at the end.
    bucket_url: String,
    signer: Signer,
    aws: Aws,
}

impl S3Objects {
    /// With the region, credentials and endpoint of `aws`.
    pub fn new(aws: &Aws, bucket: &str) -> Self {
        let region = aws.region.as_deref().unwrap_or("us-east-1");
        Self {
            bucket_url: bucket_url(aws.endpoints.set(S3.id), region, bucket),
            signer: Signer::new(region, S3.name),
            aws: aws.clone(),
        }
    }

    async fn store_once(&self, key: &str, value: &str, ttl: Duration) -> Result<String, Fault> {
        let url = format!("{}/{key}", self.bucket_url);
        let uri: http::Uri = url.parse().map_err(|_| unsigned())?;
        let host = uri.authority().ok_or_else(unsigned)?.as_str();
        let credentials = self.aws.credentials.get().await?;
        let time = signature::time(SystemTime::now());
        let hash = signature::sha256(value.as_bytes());
        let mut headers = vec![
            ("content-type", CONTENT_TYPE),
            ("host", host),
            ("x-amz-content-sha256", &hash),
            ("x-amz-date", &time),
        ];
        if let Some(token) = &credentials.session_token {
            headers.push(("x-amz-security-token", token));
        }
        let put = Signable {
            method: "PUT",
            path: uri.path(),
            query: "",
            headers: &headers,
            payload: &hash,
        };
        let authorization = self.signer.authorization(&credentials, &time, put);
        let mut request = Request::put(&uri).header(header::AUTHORIZATION, authorization);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let body = Full::from(Bytes::copy_from_slice(value.as_bytes()));
        self.send(request.body(body).map_err(|_| unsigned())?)
            .await?;
        let time = signature::time(SystemTime::now());
        let place = (host, uri.path());
        let query = self
            .signer
            .presigned_query(&credentials, &time, place, ttl.as_secs());
        Ok(format!("{url}?{query}"))
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<(), Fault> {
        let response = self.aws.pool.call(request).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let body = String::from_utf8_lossy(response.body());
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
    use crate::adapters::aws::Endpoints;
    use crate::adapters::aws::credentials::{Credentials, Source};
    use crate::adapters::https::Pool;
    use crate::ports::FaultKind;
    use std::sync::{Arc, Mutex};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    fn aws(endpoint: &str) -> Aws {
        Aws {
            region: Some("eu-west-1".into()),
            credentials: Source::Fixed(Some(Arc::new(Credentials {
                access_key_id: "AKID".into(),
                secret_access_key: "secret".into(),
                session_token: Some("token".into()),
            }))),
            endpoints: Endpoints {
                own: vec![(S3.id, endpoint.to_owned())],
                ..Endpoints::default()
            },
            pool: Pool::new(rustls::RootCertStore::empty(), Duration::from_secs(1)),
        }
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

    async fn store(endpoint: &str) -> Result<String, Fault> {
        let objects = S3Objects::new(&aws(endpoint), "claims");
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
