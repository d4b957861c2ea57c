//! The HTTP client of the AWS SDKs.
//!
//! It adds three features to the SDKs' own client: compiled-in trust anchors (parsing them takes 2 ms of a start), the next
//! address of a host while the first one is silent (the SDKs give all of them one time-out), and a new pool after one of its
//! connections died (a frozen sandbox may leave eight dead ones).

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use aws_smithy_runtime_api::client::connection::{CaptureSmithyConnection, ConnectionMetadata};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use http::Uri;
use http_body_util::BodyExt as _;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout};
use tower::{Service, service_fn};

use super::opener::{is_opening, root};
use super::race::{self, BoxError};

/// Time limit of a connection's set-up: DNS, TCP and TLS.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);

/// Minimum time between replacements of the pool: its other connections are usually sound.
const REPLACE_EVERY: Duration = Duration::from_secs(1);

/// One connection pool, shared by all AWS clients.
#[derive(Clone, Debug)]
pub struct HttpClient(SharedHttpConnector);

impl HttpClient {
    pub fn new(trusted: RootCertStore) -> Self {
        Self::connecting_within(trusted, CONNECT_WITHIN)
    }

    fn connecting_within(trusted: RootCertStore, within: Duration) -> Self {
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has the default versions")
            .with_root_certificates(trusted)
            .with_no_client_auth();
        let connect = Connect {
            tls: Arc::new(tls),
            within,
        };
        let pool = Mutex::new(Pool {
            client: connect.pool(),
            replaced_at: None,
        });
        Self(SharedHttpConnector::new(Connections(Arc::new(Shared {
            connect,
            pool,
        }))))
    }
}

impl aws_smithy_runtime_api::client::http::HttpClient for HttpClient {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        self.0.clone()
    }
}

struct Connections(Arc<Shared>);

struct Shared {
    connect: Connect,
    pool: Mutex<Pool>,
}

struct Pool {
    client: Client<Connect, SdkBody>,
    replaced_at: Option<Instant>,
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connections")
    }
}

impl Shared {
    fn client(&self) -> Client<Connect, SdkBody> {
        let pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        pool.client.clone()
    }

    fn replace_pool(&self) {
        let now = Instant::now();
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.replaced_at.is_none_or(|at| now >= at + REPLACE_EVERY) {
            *pool = Pool {
                client: self.connect.pool(),
                replaced_at: Some(now),
            };
        }
    }
}

impl HttpConnector for Connections {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        match is_opening() {
            true => self.open(&request),
            false => self.send(request),
        }
    }
}

impl Connections {
    fn open(&self, request: &HttpRequest) -> HttpConnectorFuture {
        let opened = root(request.uri()).map(|request| self.send(request));
        HttpConnectorFuture::new(async move {
            if let Some(response) = opened {
                // The connection returns to the pool once the response is read to its end.
                let _ = response.await?.into_body().collect().await;
            }
            Err(ConnectorError::other("a connection only".into(), None))
        })
    }

    fn send(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => {
                return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into())));
            }
        };
        let connection = capture_connection(&mut request);
        // After a connection error, the SDK's next request uses another connection.
        if let Some(capture) = request.extensions().get::<CaptureSmithyConnection>() {
            capture.set_connection_retriever(move || known(&connection));
        }
        let response = self.0.client().request(request);
        let mut unanswered = Unanswered(Some(self.0.clone()));
        HttpConnectorFuture::new(async move {
            let response = response.await.map_err(|error| fault(error.into()))?;
            unanswered.disarm();
            HttpResponse::try_from(response.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// A request without a response yet. Dropped, it replaces the pool: the idle connections may be dead, too.
struct Unanswered(Option<Arc<Shared>>);

impl Unanswered {
    fn disarm(&mut self) {
        self.0 = None;
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if let Some(shared) = &self.0 {
            shared.replace_pool();
        }
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

/// Connects to the first responding address of a host, within a time limit.
#[derive(Clone)]
struct Connect {
    tls: Arc<ClientConfig>,
    within: Duration,
}

type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

impl Connect {
    fn pool(&self) -> Client<Self, SdkBody> {
        Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build(self.clone())
    }

    async fn to(tls: Arc<ClientConfig>, uri: Uri) -> Result<Stream, BoxError> {
        let host = uri.host().ok_or("expected a URL with a host")?;
        let usual = if uri.scheme_str() == Some("https") {
            443
        } else {
            80
        };
        let address = (
            host.trim_matches(['[', ']']),
            uri.port_u16().unwrap_or(usual),
        );
        let addresses = race::order(lookup_host(address).await?.collect());
        race::connect(addresses, |address| {
            let tcp = service_fn(move |_| tcp(address));
            HttpsConnector::from((tcp, tls.clone())).call(uri.clone())
        })
        .await
    }
}

async fn tcp(address: SocketAddr) -> std::io::Result<TokioIo<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(TokioIo::new(stream))
}

impl Service<Uri> for Connect {
    type Response = Stream;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connected = timeout(self.within, Self::to(self.tls.clone(), uri));
        Box::pin(async move { connected.await? })
    }
}

#[cfg(test)]
mod tests;
