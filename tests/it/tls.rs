//! TLS to AWS: a function calls only trusted endpoints.
//!
//! `tests/fixtures/tls` has an authority and two certificates signed by it, both for the key beside them: one for
//! `127.0.0.1`, where the tests serve, and one for another host. They come from `openssl req -newkey ec -pkeyopt
//! ec_paramgen_curve:P-256` and `openssl ca`, and are valid from 2020 to 2099; the authority's own key is deleted.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::lambda::serving::{self, file};
use crate::lambda::{Aws, AwsStub, SECRET};
use crate::webhook::{answer, body, signed, webhook};

const WITHIN: (&str, &str) = ("ANSWER_WITHIN_MS", "1200");

/// AWS behind a certificate.
struct Encrypted {
    aws: Arc<AwsStub>,
    endpoint: String,
    /// The errors of failed handshakes.
    failures: Arc<Mutex<Vec<String>>>,
}

impl Encrypted {
    async fn start(certificate: &str) -> Self {
        let listener = serving::Encrypted::bind(certificate).await;
        let (endpoint, failures) = (listener.endpoint(), listener.failures.clone());
        let aws = Arc::new(AwsStub::new(SECRET, Aws::Answers));
        let router = aws.clone().router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            aws,
            endpoint,
            failures,
        }
    }

    /// Asserts that a handshake failed with this alert of the function and that no call was made. A handshake cut off by the
    /// deadline has no alert.
    fn was_refused(&self, alert: &str) {
        let failures = self.failures.lock().unwrap();
        let refused = failures.iter().any(|failure| failure.contains(alert));
        assert!(refused, "expected {alert}, found {failures:?}");
        assert_eq!(self.aws.bodies(""), Vec::<Value>::new());
    }
}

#[tokio::test]
async fn a_configured_authority_is_trusted() {
    let encrypted = Encrypted::start("here.pem").await;
    let authority = file("authority.pem").display().to_string();
    let variables = [
        ("AWS_ENDPOINT_URL", encrypted.endpoint.as_str()),
        ("AWS_CA_BUNDLE", &authority),
    ];
    let function = webhook(&variables, Aws::Answers).await;
    let (status, reply) = answer(&function.invoke(signed(&body("x"))).await);
    let outcome = &reply["targets"][0]["outcome"];
    assert_eq!((status, outcome), (200, &json!("started")), "{reply}");
    assert_eq!(encrypted.aws.bodies("StartExecution").len(), 1);
    assert!(encrypted.failures.lock().unwrap().is_empty());
}

#[tokio::test]
async fn no_secret_is_requested_from_an_untrusted_endpoint() {
    let authority = file("authority.pem").display().to_string();
    for (certificate, bundle, alert) in [
        // Signed by a private authority.
        ("here.pem", None, "UnknownCA"),
        // Signed by the configured authority, but for another host.
        ("elsewhere.pem", Some(authority.as_str()), "BadCertificate"),
    ] {
        let encrypted = Encrypted::start(certificate).await;
        let mut variables = vec![("AWS_ENDPOINT_URL", encrypted.endpoint.as_str()), WITHIN];
        variables.extend(bundle.map(|bundle| ("AWS_CA_BUNDLE", bundle)));
        let function = webhook(&variables, Aws::Answers).await;
        let event = signed(&body("x"));
        let began = Instant::now();
        let (status, reply) = answer(&function.invoke(event).await);
        // A generous bound that only proves a deadline. Without a secret the message is not stored, so the function retries
        // until shortly before its timeout.
        let took = began.elapsed();
        assert!(took < Duration::from_secs(10), "{certificate}: {took:?}");
        let found = (status, &reply["code"], &reply["targets"]);
        let expected = (503, &json!("not_stored"), &Value::Null);
        assert_eq!(found, expected, "{certificate}: {reply}");
        encrypted.was_refused(alert);
    }
}

#[tokio::test]
async fn no_execution_is_started_at_an_untrusted_endpoint() {
    let encrypted = Encrypted::start("here.pem").await;
    let variables = [
        ("AWS_ENDPOINT_URL_SFN", encrypted.endpoint.as_str()),
        WITHIN,
    ];
    let function = webhook(&variables, Aws::Answers).await;
    let (status, reply) = answer(&function.invoke(signed(&body("x"))).await);
    // As with an unreachable endpoint, the message is parked.
    let outcome = &reply["targets"][0]["outcome"];
    assert_eq!((status, outcome), (200, &json!("parked")), "{reply}");
    assert_eq!(function.aws().bodies("SendMessage").len(), 1);
    encrypted.was_refused("UnknownCA");
}
