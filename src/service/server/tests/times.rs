//! Deadlines: slow peers are cut off, quick ones are not.

use super::*;

const HELLO: &str = "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nhello";

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_cut_off() {
    let world = World::new(|_| {});
    let began = Instant::now();
    assert_eq!(world.exchange(b"").await, "");
    assert_eq!(began.elapsed(), seconds(10));
}

#[tokio::test(start_paused = true)]
async fn a_slow_head_is_cut_off() {
    for head in ["POST / HTTP/1.1\r\nhost: h\r\n", "PRI * HTTP/2.0\r\n\r\nSM"] {
        let world = World::new(|_| {});
        let (mut read, mut write) = tokio::io::split(world.connect());
        let began = Instant::now();
        let dripping = async {
            write.write_all(head.as_bytes()).await.unwrap();
            loop {
                sleep(seconds(1)).await;
                if write.write_all(b"x").await.is_err() {
                    return;
                }
            }
        };
        let mut answer = Vec::new();
        let reading = read.read_to_end(&mut answer);
        let (_, _) = futures_util::join!(dripping, reading);
        assert!(began.elapsed() <= seconds(13), "{:?}", began.elapsed());
        assert_eq!(world.handled().began.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_is_answered_408() {
    for head in [
        "content-length: 6\r\n\r\nhello",
        "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0",
    ] {
        let world = World::new(|_| {});
        let began = Instant::now();
        let answer = world
            .exchange(format!("POST / HTTP/1.1\r\nhost: h\r\n{head}").as_bytes())
            .await;
        assert_eq!(parse(&answer), (408, refused("too_slow")));
        assert!(answer.contains("connection: close"), "{answer}");
        assert_eq!(began.elapsed(), seconds(2), "and the connection is closed");
        assert_eq!(world.handled().began.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_gets_the_time_of_the_head() {
    let world = World::new(|_| {});
    let mut connection = world.connect();
    sleep(seconds(3)).await;
    let (head, body) = HELLO.split_at(HELLO.len() - 5);
    let (first, second) = head.split_at(10);
    for part in [first, second, body] {
        sleep(Duration::from_millis(1500)).await;
        connection.write_all(part.as_bytes()).await.unwrap();
    }
    assert_eq!(read_answer(&mut connection).await.0, 200);
    assert_eq!(world.handled().waited_ms.load(Ordering::SeqCst), 1500);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_outlives_a_load_balancers_timeout() {
    let world = World::new(|_| {});
    let mut connection = world.connect();
    let answered = (200, json!({"method": "POST", "bytes": 5}));
    for wait in [9, 74, 74] {
        sleep(seconds(wait)).await;
        connection.write_all(HELLO.as_bytes()).await.unwrap();
        assert_eq!(read_answer(&mut connection).await, answered);
    }
    let began = Instant::now();
    let mut rest = Vec::new();
    connection.read_to_end(&mut rest).await.unwrap();
    assert_eq!((began.elapsed(), rest.len()), (seconds(75), 0));
}

#[tokio::test(start_paused = true)]
async fn a_handler_has_no_deadline() {
    let world = World::new(|_| {});
    let answering = tokio::spawn({
        let server = world.server.clone();
        async move {
            sleep(seconds(1000)).await;
            server.handler.0.go_on.notify_one();
        }
    });
    let answer = world.exchange(post("/wait", "hello").as_bytes()).await;
    assert_eq!(parse(&answer).0, 200);
    answering.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_no_answers_is_cut_off() {
    let world = World::new(|_| {});
    let (mut connection, theirs) = duplex(1024);
    let (server, stopped) = (world.server.clone(), world.stopped.clone());
    let connected = server.connections.try_admit().expect("a place");
    let serving = tokio::spawn(connection::serve(theirs, server, connected, stopped));
    // Many requests, and room for a few answers.
    let began = Instant::now();
    while connection.write_all(HELLO.as_bytes()).await.is_ok() {}
    serving.await.unwrap();
    assert!(began.elapsed() <= seconds(77), "{:?}", began.elapsed());
}
