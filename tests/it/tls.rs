//! Encrypted connections to AWS: a function calls whom it trusts, and nobody else.
//!
//! `tests/fixtures/tls` holds an authority and two certificates that it signed, both for the key beside them: one for
//! `127.0.0.1`, where the tests serve, and one for another host. They were made once with `openssl req -newkey ec -pkeyopt
//! ec_paramgen_curve:P-256` and `openssl ca`, for the years 2020 to 2099; the authority's own key was thrown away.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::serve::Listener;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

use crate::lambda::{Aws, AwsStub, SECRET};
use crate::webhook::{answer, body, signed, webhook};

const WITHIN: (&str, &str) = ("ANSWER_WITHIN_MS", "1200");

/// AWS behind a certificate.
struct Encrypted {
    aws: Arc<AwsStub>,
    endpoint: String,
    /// Why connections were not made.
    failures: Arc<Mutex<Vec<String>>>,
}

struct Encrypting {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    failures: Arc<Mutex<Vec<String>>>,
}

impl Encrypted {
    async fn start(certificate: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("https://{}", listener.local_addr().unwrap());
        let aws = Arc::new(AwsStub::new(SECRET, Aws::Answers));
        let failures = Arc::default();
        let encrypting = Encrypting {
            listener,
            acceptor: acceptor(certificate),
            failures: Arc::clone(&failures),
        };
        let router = aws.clone().router();
        tokio::spawn(async move { axum::serve(encrypting, router).await });
        Self {
            aws,
            endpoint,
            failures,
        }
    }

    /// A connection was tried and ended with this alert of the function, and no call was made. At the end of a budget, one more
    /// can end without.
    fn was_refused(&self, alert: &str) {
        let failures = self.failures.lock().unwrap();
        let refused = failures.iter().any(|failure| failure.contains(alert));
        assert!(refused, "expected {alert}, found {failures:?}");
        assert_eq!(self.aws.bodies(""), Vec::<Value>::new());
    }
}

impl Listener for Encrypting {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (connection, from) = self.listener.accept().await.expect("it is bound");
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

fn file(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls");
    folder.join(name)
}

fn acceptor(certificate: &str) -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_file(file(certificate)).unwrap();
    let key = PrivateKeyDer::from_pem_file(file("endpoint.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

#[tokio::test]
async fn an_authority_that_is_named_is_trusted() {
    let encrypted = Encrypted::start("here.pem").await;
    let authority = file("authority.pem").display().to_string();
    let variables = [
        ("AWS_ENDPOINT_URL", encrypted.endpoint.as_str()),
        ("AWS_CA_BUNDLE", &authority),
    ];
    let function = webhook(&variables, Aws::Answers).await;
    let (status, said) = answer(&function.invoke(signed(&body("x"))).await);
    let outcome = &said["targets"][0]["outcome"];
    assert_eq!((status, outcome), (200, &json!("started")), "{said}");
    assert_eq!(encrypted.aws.bodies("StartExecution").len(), 1);
    assert!(encrypted.failures.lock().unwrap().is_empty());
}

#[tokio::test]
async fn no_secret_is_asked_of_an_endpoint_that_is_not_trusted() {
    let authority = file("authority.pem").display().to_string();
    for (certificate, bundle, alert) in [
        // Of an authority that is not among the public ones.
        ("here.pem", None, "UnknownCA"),
        // Of the authority that is named, but for another host.
        ("elsewhere.pem", Some(authority.as_str()), "BadCertificate"),
    ] {
        let encrypted = Encrypted::start(certificate).await;
        let mut variables = vec![("AWS_ENDPOINT_URL", encrypted.endpoint.as_str()), WITHIN];
        variables.extend(bundle.map(|bundle| ("AWS_CA_BUNDLE", bundle)));
        let function = webhook(&variables, Aws::Answers).await;
        let event = signed(&body("x"));
        let began = Instant::now();
        let (status, said) = answer(&function.invoke(event).await);
        // A generous bound: it tells a budget from none, not a fast machine from a slow one. Without a secret the message is nowhere,
        // so the function tries until shortly before its time-out.
        let took = began.elapsed();
        assert!(took < Duration::from_secs(10), "{certificate}: {took:?}");
        let found = (status, &said["code"], &said["targets"]);
        let expected = (503, &json!("not_stored"), &Value::Null);
        assert_eq!(found, expected, "{certificate}: {said}");
        encrypted.was_refused(alert);
    }
}

#[tokio::test]
async fn no_execution_is_started_at_an_endpoint_that_is_not_trusted() {
    let encrypted = Encrypted::start("here.pem").await;
    let variables = [
        ("AWS_ENDPOINT_URL_SFN", encrypted.endpoint.as_str()),
        WITHIN,
    ];
    let function = webhook(&variables, Aws::Answers).await;
    let (status, said) = answer(&function.invoke(signed(&body("x"))).await);
    // As when nobody is there: what cannot be started is kept.
    let outcome = &said["targets"][0]["outcome"];
    assert_eq!((status, outcome), (200, &json!("parked")), "{said}");
    assert_eq!(function.aws().bodies("SendMessage").len(), 1);
    encrypted.was_refused("UnknownCA");
}
