//! Stopping, and the bound of connections, on real sockets.

use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::*;

/// A whole server, its address and what stops it.
async fn start(
    limits: Limits,
) -> (
    Echo,
    std::net::SocketAddr,
    oneshot::Sender<()>,
    tokio::task::JoinHandle<()>,
) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let echo = Echo::default();
    let serving = serve(listener, limits, echo.clone(), async {
        let _ = stopped.await;
    });
    (echo, address, stop, tokio::spawn(serving))
}

#[tokio::test]
async fn what_is_under_way_is_finished_and_what_is_idle_is_not_waited_for() {
    let (echo, address, stop, serving) = start(Limits::default()).await;
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
        .await
        .unwrap();
    until(|| echo.0.ended.load(Ordering::SeqCst) == 1).await;
    let _silent = TcpStream::connect(address).await.unwrap();
    let mut half = TcpStream::connect(address).await.unwrap();
    half.write_all(b"POST / HT").await.unwrap();
    let mut busy = TcpStream::connect(address).await.unwrap();
    busy.write_all(post("/wait", "hello").as_bytes())
        .await
        .unwrap();
    until(|| echo.0.began.load(Ordering::SeqCst) == 2).await;

    stop.send(()).unwrap();
    let mut rest = String::new();
    idle.read_to_string(&mut rest).await.unwrap();
    assert!(rest.starts_with("HTTP/1.1 200"), "{rest}");
    let refused = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    refused.await;
    assert!(!serving.is_finished());
    echo.0.go_on.notify_one();
    let mut answer = String::new();
    busy.read_to_string(&mut answer).await.unwrap();
    assert_eq!(parse(&answer).0, 200);
    serving.await.unwrap();
}

#[tokio::test]
async fn a_request_without_a_sender_is_waited_for() {
    let (echo, address, stop, serving) = start(Limits::default()).await;
    let mut gone = TcpStream::connect(address).await.unwrap();
    gone.write_all(post("/wait", "hello").as_bytes())
        .await
        .unwrap();
    until(|| echo.0.began.load(Ordering::SeqCst) == 1).await;
    drop(gone);
    stop.send(()).unwrap();
    // Until the listener is closed, and then some.
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!serving.is_finished());
    echo.0.go_on.notify_one();
    serving.await.unwrap();
    assert_eq!(echo.0.ended.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn stopping_is_bounded() {
    let limits = Limits {
        stop_within: Duration::from_millis(100),
        ..Limits::default()
    };
    let (echo, address, stop, serving) = start(limits).await;
    let mut hangs = TcpStream::connect(address).await.unwrap();
    hangs
        .write_all(post("/wait", "hello").as_bytes())
        .await
        .unwrap();
    until(|| echo.0.began.load(Ordering::SeqCst) == 1).await;
    stop.send(()).unwrap();
    serving.await.unwrap();
    assert_eq!(echo.0.ended.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn over_the_bound_of_connections_none_is_accepted_until_one_ends() {
    let limits = Limits {
        connections: 2,
        ..Limits::default()
    };
    let (echo, address, _stop, _serving) = start(limits).await;
    let mut open = Vec::new();
    for n in 1..=2 {
        let mut connection = TcpStream::connect(address).await.unwrap();
        let get = b"GET / HTTP/1.1\r\nhost: h\r\n\r\n";
        connection.write_all(get).await.unwrap();
        until(|| echo.0.ended.load(Ordering::SeqCst) == n).await;
        open.push(connection);
    }
    let mut waiting = TcpStream::connect(address).await.unwrap();
    waiting
        .write_all(post("/", "hello").as_bytes())
        .await
        .unwrap();
    // Those that are open go on meanwhile.
    for _ in 0..20 {
        let n = echo.0.ended.load(Ordering::SeqCst);
        let get = b"GET / HTTP/1.1\r\nhost: h\r\n\r\n";
        open[0].write_all(get).await.unwrap();
        until(|| echo.0.ended.load(Ordering::SeqCst) > n).await;
    }
    assert_eq!(echo.0.ended.load(Ordering::SeqCst), 22);
    open.pop();
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).await.unwrap();
    assert_eq!(parse(&answer).0, 200);
}
