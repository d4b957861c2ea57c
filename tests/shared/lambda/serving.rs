//! Servers on loopback.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::serve::{Listener, ListenerExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

/// An address, and the server on it.
pub async fn on_loopback(router: Router) -> (String, impl Future<Output = ()>) {
    let listener = bind().await;
    let address = listener.local_addr().expect("it is bound").to_string();
    let serving = async move {
        // Answers go out at once, even if earlier data is unacknowledged.
        let listener = listener.tap_io(|connection| {
            let _ = connection.set_nodelay(true);
        });
        let _ = axum::serve(listener, router).await;
    };
    (address, serving)
}

async fn bind() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a free port")
}

/// Accepts connections over TLS.
pub struct Encrypted {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    /// The errors of failed handshakes.
    pub failures: Arc<Mutex<Vec<String>>>,
}

impl Encrypted {
    /// With a certificate of `tests/fixtures/tls`.
    pub async fn bind(certificate: &str) -> Self {
        let certificate = CertificateDer::from_pem_file(file(certificate)).expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(file("endpoint.key")).expect("its key");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions of the provider")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key);
        Self {
            listener: bind().await,
            acceptor: TlsAcceptor::from(Arc::new(config.expect("a certificate for its key"))),
            failures: Arc::default(),
        }
    }

    pub fn endpoint(&self) -> String {
        let address = self.listener.local_addr().expect("it is bound");
        format!("https://{address}")
    }
}

impl Listener for Encrypted {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (connection, from) = Listener::accept(&mut self.listener).await;
            let _ = connection.set_nodelay(true);
            match self.acceptor.accept(connection).await {
                Ok(connection) => return (connection, from),
                Err(failure) => self.failures.lock().unwrap().push(failure.to_string()),
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A file of `tests/fixtures/tls`: an authority, and certificates signed by it.
pub fn file(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls");
    folder.join(name)
}
