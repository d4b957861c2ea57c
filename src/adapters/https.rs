//! The HTTP client of a function's AWS clients: one pool of connections, and trusted roots that cost no start.
//!
//! The SDKs' own client reads the system's roots once for each AWS client and once more for its pool, even where nothing is
//! encrypted, and no request can be made before. This one trusts Mozilla's list, which is compiled in in the form it is used;
//! or, in its place, the roots in the file that `AWS_CA_BUNDLE` or `SSL_CERT_FILE` names, for networks that inspect what
//! leaves them.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::connection::{CaptureSmithyConnection, ConnectionMetadata};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{CaptureConnection, Connect, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tower::ServiceBuilder;
use tower::timeout::error::Elapsed;

use crate::config::Lookup;

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

/// One pool of connections, for any number of AWS clients: each takes a clone. A connection, its encryption included, has to
/// be there `connect_within`; nothing else is bounded.
///
/// # Errors
///
/// When the file of a variable holds no roots.
pub fn connector(
    lookup: Lookup<'_>,
    connect_within: Duration,
) -> Result<SharedHttpConnector, RootsError> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has the versions that are the defaults")
        .with_root_certificates(roots(lookup)?)
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_or_http()
        .enable_all_versions()
        .build();
    let connector = ServiceBuilder::new()
        .map_future(Box::pin)
        .timeout(connect_within)
        .service(connector);
    let client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .build(connector);
    Ok(SharedHttpConnector::new(Connections(client)))
}

fn roots(lookup: Lookup<'_>) -> Result<RootCertStore, RootsError> {
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

/// Hands the connector to each AWS client, whatever that one's settings are.
#[derive(Debug)]
pub struct Pool(pub SharedHttpConnector);

impl HttpClient for Pool {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        self.0.clone()
    }
}

struct Connections<C>(Client<C, SdkBody>);

impl<C> fmt::Debug for Connections<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connections")
    }
}

impl<C: Connect + Clone + Send + Sync + 'static> HttpConnector for Connections<C> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => {
                return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into())));
            }
        };
        let connection = capture_connection(&mut request);
        // After an error that may be this connection's, the SDK has the next request use another one.
        if let Some(capture) = request.extensions().get::<CaptureSmithyConnection>() {
            capture.set_connection_retriever(move || known(&connection));
        }
        let response = self.0.request(request);
        HttpConnectorFuture::new(async move {
            let response = response.await.map_err(|error| fault(error.into()))?;
            HttpResponse::try_from(response.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

fn known(connection: &CaptureConnection) -> Option<ConnectionMetadata> {
    let poisoned = connection.clone();
    connection.connection_metadata().as_ref()?;
    let known = ConnectionMetadata::builder()
        .proxied(false)
        .poison_fn(move || {
            if let Some(connection) = poisoned.connection_metadata().as_ref() {
                connection.poison();
            }
        });
    Some(known.build())
}

fn fault(error: BoxError) -> ConnectorError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&*error);
    while let Some(one) = cause {
        if one.is::<Elapsed>() {
            return ConnectorError::timeout(error);
        }
        if one.downcast_ref().is_some_and(hyper::Error::is_user) {
            return ConnectorError::user(error);
        }
        cause = one.source();
    }
    ConnectorError::io(error)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    const WITHIN: Duration = Duration::from_millis(200);

    fn nothing(_: &str) -> Option<String> {
        None
    }

    fn get(uri: &str) -> HttpRequest {
        let request = http::Request::builder().uri(uri).body(SdkBody::empty());
        HttpRequest::try_from(request.unwrap()).unwrap()
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
    async fn a_connection_is_used_again_until_it_is_poisoned() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/", listener.local_addr().unwrap());
        let (tell, mut connections) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                tell.send(()).unwrap();
                tokio::spawn(async move {
                    let mut request = [0; 1024];
                    while connection.read(&mut request).await.unwrap_or(0) > 0 {
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                        connection.write_all(answer).await.unwrap();
                    }
                });
            }
        });
        let connector = connector(&nothing, WITHIN).unwrap();
        let exchange = async |capture: Option<CaptureSmithyConnection>| {
            let mut request = get(&uri);
            request.add_extension(capture.clone().unwrap_or_default());
            let mut response = connector.call(request).await.unwrap();
            let body = std::mem::replace(response.body_mut(), SdkBody::taken());
            let body = aws_smithy_types::byte_stream::ByteStream::new(body);
            assert_eq!(body.collect().await.unwrap().into_bytes(), "ok");
        };
        exchange(None).await;
        let capture = CaptureSmithyConnection::new();
        exchange(Some(capture.clone())).await;
        connections.recv().await.unwrap();
        assert!(connections.try_recv().is_err(), "a second connection");
        capture.get().unwrap().poison();
        exchange(None).await;
        connections.recv().await.unwrap();
    }

    #[tokio::test]
    async fn encryption_that_does_not_begin_is_given_up_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("https://{}/", listener.local_addr().unwrap());
        let connector = connector(&nothing, WITHIN).unwrap();
        let error = connector.call(get(&uri)).await.unwrap_err();
        assert!(error.is_timeout(), "{error:?}");
    }

    #[tokio::test]
    async fn nobody_there_is_no_fault_of_the_request() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/", listener.local_addr().unwrap());
        drop(listener);
        let connector = connector(&nothing, WITHIN).unwrap();
        let error = connector.call(get(&uri)).await.unwrap_err();
        assert!(error.is_io(), "{error:?}");
    }
}
