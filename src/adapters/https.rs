//! The HTTP client behind all AWS clients of a process: one pool of connections, and trusted roots that cost no start.
//!
//! A function trusts Mozilla's list, which is compiled in in the form it is used; or, in its place, the roots in the file that
//! `AWS_CA_BUNDLE` or `SSL_CERT_FILE` names, for networks that inspect what leaves them. To read the system's roots takes
//! longer than all else that a start does.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{HttpConnector, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tower_service::Service;

use super::aws::fault::{unreachable, unsent};
use crate::config::Lookup;
use crate::ports::Fault;

/// The variables that name a file of trusted roots; the first one that is set counts.
const FILES: [&str; 2] = ["AWS_CA_BUNDLE", "SSL_CERT_FILE"];

/// No roots to trust.
#[derive(Debug, thiserror::Error)]
#[error(
    "expected trusted roots as PEM in the file `{file}` that `{variable}` names, found {found}"
)]
pub struct RootsError {
    variable: &'static str,
    file: String,
    found: String,
}

/// One pool of connections, for any number of clients: each takes a clone.
#[derive(Clone)]
pub struct Pool(Client<InTime, Full<Bytes>>);

impl Pool {
    /// A connection, its encryption included, has to be there `connect_within`; nothing else is bounded.
    pub fn new(trusted: RootCertStore, connect_within: Duration) -> Self {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has the versions that are the defaults")
            .with_root_certificates(trusted)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let connector = InTime {
            https,
            within: connect_within,
        };
        let mut client = Client::builder(TokioExecutor::new());
        Self(client.pool_timer(TokioTimer::new()).build(connector))
    }

    /// The whole answer.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub async fn call(&self, mut request: Request<Full<Bytes>>) -> Result<Response<Bytes>, Fault> {
        let connection = capture_connection(&mut request);
        let response = self.0.request(request).await.map_err(|e| fault(&e))?;
        if response.status().is_server_error()
            && let Some(connection) = connection.connection_metadata().as_ref()
        {
            // It may be this host that is ill: the next call gets another one.
            connection.poison();
        }
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|e| fault(&e))?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pool")
    }
}

/// Connections that are there in time.
#[derive(Clone)]
struct InTime {
    https: HttpsConnector<HttpConnector>,
    within: Duration,
}

impl Service<Uri> for InTime {
    type Response = <HttpsConnector<HttpConnector> as Service<Uri>>::Response;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.https.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(timeout(self.within, self.https.call(uri)).map(|connected| connected?))
    }
}

/// Why there is no answer, without anything of the request.
fn fault(error: &(dyn Error + 'static)) -> Fault {
    let mut cause = Some(error);
    while let Some(one) = cause {
        if one.is::<Elapsed>() {
            return Fault::timed_out();
        }
        if one.downcast_ref().is_some_and(hyper::Error::is_user) {
            return unsent();
        }
        cause = one.source();
    }
    unreachable()
}

/// What a function trusts: the roots of the file that a variable names, or those that are compiled in.
///
/// # Errors
///
/// When that file holds no roots.
pub fn roots(lookup: Lookup<'_>) -> Result<RootCertStore, RootsError> {
    let named = FILES.iter().find_map(|&variable| {
        let file = lookup(variable).filter(|file| !file.is_empty())?;
        Some((variable, file))
    });
    let Some((variable, file)) = named else {
        return Ok(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect());
    };
    let error = |found| RootsError {
        variable,
        file: file.clone(),
        found,
    };
    let certificates = CertificateDer::pem_file_iter(&file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| error(e.to_string()))?;
    let mut roots = RootCertStore::empty();
    // A list holds some that can be read by nobody any more.
    let (read, _) = roots.add_parsable_certificates(certificates);
    match read {
        0 => Err(error("none".to_owned())),
        _ => Ok(roots),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::ports::FaultKind;

    const WITHIN: Duration = Duration::from_millis(200);

    fn nothing(_: &str) -> Option<String> {
        None
    }

    async fn get(pool: &Pool, uri: &str) -> Result<Response<Bytes>, Fault> {
        let request = Request::builder().uri(uri).body(Full::default());
        pool.call(request.unwrap()).await
    }

    fn pool() -> Pool {
        Pool::new(roots(&nothing).unwrap(), WITHIN)
    }

    #[test]
    fn roots_are_compiled_in_or_read_from_the_file_that_is_named() {
        let compiled_in = roots(&nothing).unwrap();
        assert_eq!(compiled_in.len(), webpki_roots::TLS_SERVER_ROOTS.len());
        let empty = |_: &str| Some(String::new());
        assert_eq!(roots(&empty).unwrap().len(), compiled_in.len());

        let file = std::env::temp_dir().join(format!("roots-{}.pem", std::process::id()));
        for text in [
            "",
            "no PEM",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            std::fs::write(&file, text).unwrap();
            for variable in FILES {
                let set = |name: &str| (name == variable).then(|| file.display().to_string());
                let error = roots(&set).unwrap_err().to_string();
                assert!(
                    error.contains(variable) && error.ends_with("found none"),
                    "{error}"
                );
            }
        }
        std::fs::remove_file(&file).unwrap();
        let set = |name: &str| (name == "AWS_CA_BUNDLE").then(|| file.display().to_string());
        let error = roots(&set).unwrap_err().to_string();
        assert!(error.contains(&file.display().to_string()), "{error}");
    }

    #[tokio::test]
    async fn a_connection_is_used_again_until_it_answers_with_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap());
        let (tell, mut connections) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                tell.send(()).unwrap();
                tokio::spawn(async move {
                    let mut request = [0; 1024];
                    while connection.read(&mut request).await.unwrap_or(0) > 0 {
                        let status = if request.starts_with(b"GET /ill ") {
                            503
                        } else {
                            200
                        };
                        let answer = format!("HTTP/1.1 {status} \r\ncontent-length: 2\r\n\r\nok");
                        connection.write_all(answer.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        let pool = pool();
        for path in ["/", "/", "/ill"] {
            let response = get(&pool, &format!("{uri}{path}")).await.unwrap();
            assert_eq!(response.body(), "ok");
        }
        connections.recv().await.unwrap();
        assert!(connections.try_recv().is_err(), "a second connection");
        get(&pool, &uri).await.unwrap();
        connections.recv().await.unwrap();
    }

    #[tokio::test]
    async fn encryption_that_does_not_begin_is_given_up_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("https://{}/", listener.local_addr().unwrap());
        assert_eq!(get(&pool(), &uri).await.unwrap_err(), Fault::timed_out());
    }

    #[tokio::test]
    async fn nobody_there_is_no_fault_of_the_request() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/", listener.local_addr().unwrap());
        drop(listener);
        let fault = get(&pool(), &uri).await.unwrap_err();
        assert_eq!(fault.code, "Unreachable");
        assert_eq!(fault.kind, FaultKind::Transient);
    }
}
