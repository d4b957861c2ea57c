use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::credentials::Credentials;
use super::services::{SECRETS_MANAGER, SFN};
use super::*;
use crate::ports::FaultKind;

/// A server that answers every request so, and what it was asked.
async fn server(status: u16, answer: &'static str) -> (String, UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (tell, asked) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let tell = tell.clone();
            tokio::spawn(async move {
                let mut bytes = vec![0; 4096];
                while let Ok(read @ 1..) = stream.read(&mut bytes).await {
                    let _ = tell.send(String::from_utf8_lossy(&bytes[..read]).into_owned());
                    let length = answer.len();
                    let head = format!("HTTP/1.1 {status} \r\ncontent-length: {length}\r\n\r\n");
                    let _ = stream.write_all((head + answer).as_bytes()).await;
                }
            });
        }
    });
    (endpoint, asked)
}

fn aws(endpoint: &str, token: Option<&str>) -> Aws {
    Aws {
        region: Some("eu-west-1".into()),
        credentials: Source::Fixed(Some(Arc::new(Credentials {
            access_key_id: "AKID".into(),
            secret_access_key: "secret".into(),
            session_token: token.map(str::to_owned),
        }))),
        endpoints: Endpoints {
            all: Some(endpoint.to_owned()),
            ..Endpoints::default()
        },
        pool: Pool::new(rustls::RootCertStore::empty(), CONNECT_WITHIN),
    }
}

#[tokio::test]
async fn a_call_is_one_signed_post() {
    let (endpoint, mut asked) = server(200, r#"{"answer":7}"#).await;
    let client = Client::new(&aws(&endpoint, Some("token")), &SFN);
    let input = br#"{"name":"n"}"#.to_vec();
    let trace = Some("Root=1-2-3");
    let answer: Value = client
        .call_in(trace, "StartExecution", input)
        .await
        .unwrap();
    assert_eq!(answer["answer"], 7);
    let request = asked.recv().await.unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, r#"{"name":"n"}"#);
    let host = endpoint.strip_prefix("http://").unwrap();
    for part in [
        "POST / HTTP/1.1",
        "content-type: application/x-amz-json-1.0",
        &format!("host: {host}"),
        "x-amz-target: AWSStepFunctions.StartExecution",
        "x-amz-security-token: token",
        "x-amzn-trace-id: Root=1-2-3",
        "user-agent: workflow-bridge/",
        "/eu-west-1/states/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, Signature=",
    ] {
        assert!(head.contains(part), "{part} in {head}");
    }
}

#[tokio::test]
async fn without_a_session_there_is_no_token() {
    let (endpoint, mut asked) = server(200, "{}").await;
    let client = Client::new(&aws(&endpoint, None), &SECRETS_MANAGER);
    client.tell("GetSecretValue", &json!({})).await.unwrap();
    let request = asked.recv().await.unwrap();
    assert!(!request.contains("token"), "{request}");
    assert!(request.contains("application/x-amz-json-1.1"), "{request}");
}

#[tokio::test]
async fn an_answer_that_is_none_may_be_one_another_time() {
    let (endpoint, _asked) = server(200, "<html>").await;
    let client = Client::new(&aws(&endpoint, None), &SFN);
    let refusal = client.call::<Value>("X", &json!({})).await.unwrap_err();
    assert_eq!(
        (refusal.fault.code.as_str(), refusal.fault.kind),
        ("BadResponse", FaultKind::Transient)
    );
    let (endpoint, _asked) = server(200, "").await;
    let client = Client::new(&aws(&endpoint, None), &SFN);
    client.tell("X", &json!({})).await.unwrap();
}

#[tokio::test]
async fn a_refusal_comes_with_all_it_says() {
    let (endpoint, _asked) = server(400, r#"{"__type":"a#Refused","Item":{}}"#).await;
    let client = Client::new(&aws(&endpoint, None), &SFN);
    let refusal = client.tell("X", &json!({})).await.unwrap_err();
    assert_eq!(refusal.fault.code, "Refused");
    assert!(refusal.body.ends_with(br#""Item":{}}"#));
}

#[tokio::test]
async fn a_connection_that_was_opened_ahead_is_used() {
    let (endpoint, mut asked) = server(404, "").await;
    let client = Client::new(&aws(&endpoint, None), &SFN);
    client.connect().await;
    let request = asked.recv().await.unwrap();
    assert!(
        request.starts_with("GET / ") && !request.contains("authorization"),
        "{request}"
    );
}

#[tokio::test]
async fn what_is_no_endpoint_is_told_with_each_call() {
    for endpoint in ["nowhere", "ftp://host", "http://", "h p"] {
        let client = Client::new(&aws(endpoint, None), &SFN);
        client.connect().await;
        let fault = Fault::from(client.tell("X", &json!({})).await.unwrap_err());
        assert_eq!(fault.kind, FaultKind::Permanent, "{fault}");
        assert!(fault.text.contains(endpoint), "{fault}");
    }
    let mut nowhere = aws("", None);
    (nowhere.region, nowhere.endpoints.all) = (None, None);
    let refused = Client::new(&nowhere, &SFN).tell("X", &json!({})).await;
    assert_eq!(refused.unwrap_err().fault.code, "NoRegion");
}
