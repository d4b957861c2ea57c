use std::sync::atomic::{AtomicUsize, Ordering};

use aws_smithy_runtime_api::client::http::HttpConnector as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

const WITHIN: Duration = Duration::from_millis(200);

fn client() -> HttpClient {
    HttpClient::connecting_within(RootCertStore::empty(), WITHIN)
}

async fn get(client: &HttpClient, uri: &str) -> Result<(), ConnectorError> {
    exchange(client, uri, None).await
}

async fn exchange(
    client: &HttpClient,
    uri: &str,
    capture: Option<CaptureSmithyConnection>,
) -> Result<(), ConnectorError> {
    let request = http::Request::builder().uri(uri).body(SdkBody::empty());
    let mut request = HttpRequest::try_from(request.unwrap()).unwrap();
    if let Some(capture) = capture {
        request.add_extension(capture);
    }
    let body = client.0.call(request).await?.into_body();
    body.collect().await.unwrap();
    Ok(())
}

/// A server on its own port: answers `answers` requests per connection, then stays silent. Counts connections.
async fn server(answers: usize) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let (mut request, mut answered) = ([0; 1024], 0);
                while connection.read(&mut request).await.unwrap_or(0) > 0 {
                    if answered < answers {
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                        connection.write_all(answer).await.unwrap();
                    }
                    answered += 1;
                }
            });
        }
    });
    (uri, connections)
}

/// The call itself, with its signature and its body, stays here.
#[tokio::test]
async fn an_opening_call_leaves_a_connection_and_sends_nothing_of_itself() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/a/path", listener.local_addr().unwrap());
    let serving = async {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut requests = Vec::new();
        for _ in 0..2 {
            let mut request = vec![0; 1024];
            let read = connection.read(&mut request).await.unwrap();
            requests.push(String::from_utf8(request[..read].to_vec()).unwrap());
            let answer = b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno";
            connection.write_all(answer).await.unwrap();
        }
        requests
    };
    let client = client();
    let calls = async {
        let call = || {
            let request = http::Request::post(&uri).header("authorization", "AWS4");
            let request = request.body(SdkBody::from("secret")).unwrap();
            client.0.call(request.try_into().unwrap())
        };
        let opened = crate::adapters::aws::opening(async { call().await }).await;
        assert!(opened.is_err());
        call().await.unwrap()
    };
    let (requests, response) = tokio::join!(serving, calls);
    assert_eq!(response.status().as_u16(), 404);
    assert!(
        requests[0].starts_with("GET / HTTP/1.1\r\n"),
        "{requests:?}"
    );
    assert!(!requests[0].contains("authorization"), "{requests:?}");
    assert!(requests[1].starts_with("POST /a/path "), "{requests:?}");
}

#[tokio::test]
async fn a_connection_is_used_again_until_it_is_poisoned() {
    let (uri, connections) = server(usize::MAX).await;
    let client = client();
    get(&client, &uri).await.unwrap();
    let capture = CaptureSmithyConnection::new();
    exchange(&client, &uri, Some(capture.clone()))
        .await
        .unwrap();
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    capture.get().unwrap().poison();
    get(&client, &uri).await.unwrap();
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

/// Each connection dies after one response, as after a freeze: one call fails, not one per connection.
#[tokio::test]
async fn an_unanswered_call_discards_the_idle_connections() {
    let (uri, connections) = server(1).await;
    let client = client();
    let calls = (0..8).map(|_| get(&client, &uri));
    futures_util::future::try_join_all(calls).await.unwrap();
    assert_eq!(connections.load(Ordering::SeqCst), 8);
    let call = timeout(Duration::from_millis(50), get(&client, &uri));
    assert!(call.await.is_err(), "the connection answered twice");
    get(&client, &uri).await.unwrap();
    assert_eq!(connections.load(Ordering::SeqCst), 9);
}

#[tokio::test]
async fn calls_that_fail_together_replace_the_pool_once() {
    let (uri, connections) = server(usize::MAX).await;
    let client = client();
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refusing = format!("http://{}/", dead.local_addr().unwrap());
    drop(dead);
    assert!(get(&client, &refusing).await.is_err());
    get(&client, &uri).await.unwrap();
    assert!(get(&client, &refusing).await.is_err());
    get(&client, &uri).await.unwrap();
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_hanging_tls_handshake_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("https://{}/", listener.local_addr().unwrap());
    let error = get(&client(), &uri).await.unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
}

#[tokio::test]
async fn a_refused_connection_is_an_io_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let error = get(&client(), &uri).await.unwrap_err();
    assert!(error.is_io(), "{error:?}");
}

#[tokio::test]
async fn a_host_may_be_an_ipv6_address() {
    let Ok(listener) = TcpListener::bind("[::1]:0").await else {
        return eprintln!("not tested: this machine has no IPv6");
    };
    let uri = format!("http://{}/", listener.local_addr().unwrap());
    let serve = async {
        let (mut connection, _) = listener.accept().await.unwrap();
        let _ = connection.read(&mut [0; 1024]).await;
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        connection.write_all(answer).await.unwrap();
    };
    let client = client();
    let (answered, ()) = tokio::join!(get(&client, &uri), serve);
    answered.unwrap();
}
