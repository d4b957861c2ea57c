//! On real sockets: stopping, the bound of connections, and answers that a reset would lose.

use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::*;

/// A whole server, its address and its stop signal.
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
async fn a_stop_finishes_requests_and_ends_idle_connections() {
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
async fn a_stop_waits_for_a_request_without_a_sender() {
    let (echo, address, stop, serving) = start(Limits::default()).await;
    let stream = TcpStream::connect(address).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    // Only HTTP/2 notices a gone sender while its request is being handled.
    let (mut client, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::post("http://h/wait").body(String::new()).unwrap();
    let asking = tokio::spawn(client.send_request(request));
    until(|| echo.0.began.load(Ordering::SeqCst) == 1).await;
    for task in [asking.abort_handle(), connection.abort_handle()] {
        task.abort();
    }
    drop((client, asking.await, connection.await));
    stop.send(()).unwrap();
    // Idle connections have a second at most; a server still running after that waits for the request.
    sleep(Duration::from_millis(1500)).await;
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
async fn over_the_bound_the_connection_idle_for_the_longest_ends() {
    let limits = Limits {
        connections: 3,
        ..Limits::default()
    };
    let (echo, address, _stop, _serving) = start(limits).await;
    let get = b"GET / HTTP/1.1\r\nhost: h\r\n\r\n";
    let mut busy = TcpStream::connect(address).await.unwrap();
    busy.write_all(post("/wait", "hello").as_bytes())
        .await
        .unwrap();
    until(|| echo.0.began.load(Ordering::SeqCst) == 1).await;
    let mut idle = Vec::new();
    for _ in 0..2 {
        let mut connection = TcpStream::connect(address).await.unwrap();
        connection.write_all(get).await.unwrap();
        assert_eq!(read_answer(&mut connection).await.0, 200);
        idle.push(connection);
    }
    // The first one was used last.
    idle[0].write_all(get).await.unwrap();
    assert_eq!(read_answer(&mut idle[0]).await.0, 200);
    let mut newer = TcpStream::connect(address).await.unwrap();
    newer
        .write_all(post("/", "hello").as_bytes())
        .await
        .unwrap();
    let mut answer = String::new();
    newer.read_to_string(&mut answer).await.unwrap();
    assert_eq!(parse(&answer).0, 200);
    assert_eq!(idle[1].read_to_end(&mut Vec::new()).await.unwrap(), 0);
    idle[0].write_all(get).await.unwrap();
    assert_eq!(read_answer(&mut idle[0]).await.0, 200);
    echo.0.go_on.notify_one();
    let mut answer = String::new();
    busy.read_to_string(&mut answer).await.unwrap();
    assert_eq!(parse(&answer).0, 200, "a request in its handler stays");
}

#[tokio::test]
async fn a_new_connection_waits_while_all_others_handle_requests() {
    let limits = Limits {
        connections: 2,
        ..Limits::default()
    };
    let (echo, address, _stop, _serving) = start(limits).await;
    let mut busy = Vec::new();
    for began in 1..=2 {
        let mut connection = TcpStream::connect(address).await.unwrap();
        let request = post("/wait", "hello").replace("connection: close\r\n", "");
        connection.write_all(request.as_bytes()).await.unwrap();
        until(|| echo.0.began.load(Ordering::SeqCst) == began).await;
        busy.push(connection);
    }
    let mut waiting = TcpStream::connect(address).await.unwrap();
    waiting
        .write_all(post("/", "hello").as_bytes())
        .await
        .unwrap();
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert_eq!(echo.0.began.load(Ordering::SeqCst), 2);
    // Answered and idle, it makes way.
    echo.0.go_on.notify_one();
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).await.unwrap();
    assert_eq!(parse(&answer).0, 200);
}

#[tokio::test]
async fn a_refused_sender_sends_everything_and_reads_the_answer() {
    let (_echo, address, _stop, _serving) = start(Limits::default()).await;
    for size in [2, 6] {
        let mut connection = TcpStream::connect(address).await.unwrap();
        let request = post("/", &"x".repeat(size * 1024 * 1024));
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        assert_eq!(parse(&answer), (413, refused("too_large")));
    }
}
