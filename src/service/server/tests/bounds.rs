//! Bounds of sizes and numbers.

use super::*;

const MIB: usize = 1024 * 1024;

fn chunked(size: usize) -> String {
    let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    let chunks = chunk.repeat(size / 0x8000);
    format!(
        "POST / HTTP/1.1\r\nhost: h\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"
    )
}

#[tokio::test(start_paused = true)]
async fn a_body_of_the_largest_size_is_handled() {
    let world = World::new(|_| {});
    let most = (200, json!({"method": "POST", "bytes": MIB}));
    let answer = world.exchange(post("/", &"x".repeat(MIB)).as_bytes()).await;
    assert_eq!(parse(&answer), most);
    assert_eq!(parse(&world.exchange(chunked(MIB).as_bytes()).await), most);
}

#[tokio::test(start_paused = true)]
async fn a_larger_body_is_answered_413_and_its_sender_reads_the_answer() {
    let world = World::new(|_| {});
    for request in [
        post("/", &"x".repeat(MIB + 1)),
        post("/", &"x".repeat(4 * MIB)),
        chunked(MIB + 0x8000),
        chunked(4 * MIB),
    ] {
        let answer = world.exchange(request.as_bytes()).await;
        assert_eq!(parse(&answer), (413, refused("too_large")));
    }
    assert_eq!(world.handled().began.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn an_announced_larger_body_is_refused_at_once() {
    let world = World::new(|_| {});
    for length in ["1048577", "9223372036854775807"] {
        // A sender that waits for `100 Continue` has sent nothing to discard.
        for (expect, open_for) in [("", 2), ("expect: 100-continue\r\n", 0)] {
            let mut connection = world.connect();
            let began = Instant::now();
            let head =
                format!("POST / HTTP/1.1\r\nhost: h\r\n{expect}content-length: {length}\r\n\r\n");
            connection.write_all(head.as_bytes()).await.unwrap();
            let answer = read_answer(&mut connection).await;
            assert_eq!(answer, (413, refused("too_large")), "{length} {expect}");
            assert_eq!(began.elapsed(), Duration::ZERO, "{length}");
            connection.read_to_end(&mut Vec::new()).await.unwrap();
            assert_eq!(began.elapsed(), Duration::from_secs(open_for), "{expect}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_sender_may_wait_for_100_continue() {
    let world = World::new(|_| {});
    let mut connection = world.connect();
    let head = b"POST / HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";
    connection.write_all(head).await.unwrap();
    let mut go_on = [0; 25];
    connection.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    connection.write_all(b"hello").await.unwrap();
    assert_eq!(read_answer(&mut connection).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn over_the_bound_of_requests_in_flight_the_answer_is_503_at_once() {
    let world = World::new(|limits| limits.in_flight = 2);
    let waiting = post("/wait", "hello");
    let two = async {
        futures_util::join!(
            world.exchange(waiting.as_bytes()),
            world.exchange(waiting.as_bytes())
        )
    };
    let third = async {
        until(|| world.handled().began.load(Ordering::SeqCst) == 2).await;
        let began = Instant::now();
        let third = world.exchange(post("/", "hello").as_bytes()).await;
        assert_eq!(parse(&third), (503, refused("not_stored")));
        assert!(third.contains("retry-after: 1\r\n"), "{third}");
        let get = "GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
        let get = world.exchange(get.as_bytes()).await;
        assert_eq!(parse(&get).0, 200, "a GET is answered");
        assert_eq!(began.elapsed(), Duration::ZERO);
        world.handled().go_on.notify_waiters();
    };
    let ((one, two), ()) = futures_util::join!(two, third);
    assert_eq!((parse(&one).0, parse(&two).0), (200, 200));
    let again = world.exchange(post("/", "hello").as_bytes()).await;
    assert_eq!(parse(&again).0, 200);
}

#[tokio::test(start_paused = true)]
async fn hanging_senders_do_not_count_as_in_flight() {
    let world = World::new(|limits| limits.in_flight = 1);
    let mut hanging = Vec::new();
    for _ in 0..50 {
        let mut connection = world.connect();
        let head = "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\nhello";
        connection.write_all(head.as_bytes()).await.unwrap();
        hanging.push(connection);
    }
    let answer = world.exchange(post("/", "hello").as_bytes()).await;
    assert_eq!(parse(&answer).0, 200);
    for mut connection in hanging {
        assert_eq!(read_answer(&mut connection).await.0, 408);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_sending_a_body_makes_way_if_none_is_idle() {
    let world = World::new(|limits| limits.connections = 2);
    let mut idle = world.connect();
    let get = b"GET / HTTP/1.1\r\nhost: h\r\n\r\n";
    idle.write_all(get).await.unwrap();
    assert_eq!(read_answer(&mut idle).await.0, 200);
    let mut hanging = world.connect();
    let head = "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\nhello";
    hanging.write_all(head.as_bytes()).await.unwrap();
    until(|| world.server.receiving.taken() == 1).await;
    // The idle one first, then the sender; requests in their handler stay.
    let mut newer = Vec::new();
    for connection in [&mut idle, &mut hanging] {
        let mut busy = world.connect();
        busy.write_all(post("/wait", "hello").as_bytes())
            .await
            .unwrap();
        newer.push(busy);
        until(|| world.handled().began.load(Ordering::SeqCst) == 1 + newer.len()).await;
        let began = Instant::now();
        assert_eq!(connection.read_to_end(&mut Vec::new()).await.unwrap(), 0);
        assert!(began.elapsed() <= Duration::from_millis(100));
    }
    world.handled().go_on.notify_waiters();
    for mut busy in newer {
        assert_eq!(read_answer(&mut busy).await.0, 200);
    }
    let answer = world.exchange(post("/", "hello").as_bytes()).await;
    assert_eq!(parse(&answer).0, 200);
}

#[tokio::test(start_paused = true)]
async fn large_bodies_are_bounded_and_small_ones_go_past_them() {
    let world = World::new(|limits| limits.large_bodies = 1);
    let large = post("/wait", &"x".repeat(64 * 1024 + 1));
    let first = world.exchange(large.as_bytes());
    let others = async {
        until(|| world.handled().began.load(Ordering::SeqCst) == 1).await;
        let second = world.exchange(large.as_bytes()).await;
        assert_eq!(parse(&second), (503, refused("not_stored")));
        let small = post("/", &"x".repeat(64 * 1024));
        assert_eq!(parse(&world.exchange(small.as_bytes()).await).0, 200);
        world.handled().go_on.notify_waiters();
    };
    assert_eq!(parse(&futures_util::join!(first, others).0).0, 200);
    assert_eq!(world.server.large_bodies.available_permits(), 1);
}

#[tokio::test(start_paused = true)]
async fn only_the_body_of_a_post_is_received() {
    let world = World::new(|_| {});
    for method in ["GET", "PUT", "DELETE", "PATCH"] {
        let request = post("/", &"x".repeat(MIB + 1)).replace("POST", method);
        let answer = world.exchange(request.as_bytes()).await;
        assert_eq!(parse(&answer), (200, json!({"method": method, "bytes": 0})));
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_is_handled_to_its_end_without_its_sender() {
    let world = World::new(|_| {});
    let mut connection = world.connect();
    connection
        .write_all(post("/wait", "hello").as_bytes())
        .await
        .unwrap();
    until(|| world.handled().began.load(Ordering::SeqCst) == 1).await;
    drop(connection);
    sleep(Duration::from_secs(1)).await;
    world.handled().go_on.notify_one();
    until(|| world.handled().ended.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_half_closed_sender_is_answered() {
    let world = World::new(|_| {});
    let (mut read, mut write) = tokio::io::split(world.connect());
    write
        .write_all(post("/wait", "hello").as_bytes())
        .await
        .unwrap();
    write.shutdown().await.unwrap();
    until(|| world.handled().began.load(Ordering::SeqCst) == 1).await;
    sleep(Duration::from_secs(1)).await;
    world.handled().go_on.notify_one();
    let mut answer = String::new();
    read.read_to_string(&mut answer).await.unwrap();
    assert_eq!(parse(&answer).0, 200);
}

#[tokio::test(start_paused = true)]
async fn an_incomplete_body_is_not_handled() {
    let world = World::new(|_| {});
    for request in [
        "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\nhello",
        "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ] {
        let (mut read, mut write) = tokio::io::split(world.connect());
        write.write_all(request.as_bytes()).await.unwrap();
        write.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let began = Instant::now();
        let _ = read.read_to_end(&mut answer).await;
        assert_eq!((answer, began.elapsed()), (vec![], Duration::ZERO));
    }
    assert_eq!(world.handled().began.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn invalid_http_does_not_reach_the_handler() {
    let world = World::new(|_| {});
    let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(100_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(1000));
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\0\0\0\0\0\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"POST / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 18446744073709551615\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
        b"POST / HTTP/1.1\r\n\xff\xff: \xff\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        long.as_bytes(),
        many.as_bytes(),
    ] {
        let answer = {
            let (mut read, mut write) = tokio::io::split(world.connect());
            let mut answer = Vec::new();
            let sending = write.write_all(garbage);
            let (_, _) = futures_util::join!(sending, read.read_to_end(&mut answer));
            String::from_utf8_lossy(&answer).into_owned()
        };
        assert!(!answer.contains(" 200 "), "{answer}");
    }
    assert_eq!(world.handled().began.load(Ordering::SeqCst), 0);
    let answer = world.exchange(post("/", "hello").as_bytes()).await;
    assert_eq!(parse(&answer).0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_handler_is_answered_503() {
    let world = World::new(|limits| limits.in_flight = 1);
    for _ in 0..3 {
        let answer = world.exchange(post("/panic", "hello").as_bytes()).await;
        assert_eq!(parse(&answer), (503, refused("not_stored")));
    }
    let answer = world.exchange(post("/", "hello").as_bytes()).await;
    assert_eq!(parse(&answer).0, 200);
}

#[tokio::test(start_paused = true)]
async fn invalid_requests_are_answered_in_json() {
    let world = World::new(|_| {});
    let chunked = "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n";
    let large = |size| format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(size));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(101));
    let after_another = "GET / HTTP/1.1\r\nhost: h\r\n\r\nGET\r\n\r\n";
    for (request, status, code) in [
        (format!("{chunked}zz\r\nhello\r\n"), 400, "malformed"),
        (format!("{chunked}5\r\nhelloxx"), 400, "malformed"),
        (format!("{chunked}fffffffffffffffff\r\n"), 400, "malformed"),
        ("GET\r\n\r\n".to_owned(), 400, "malformed"),
        (after_another.to_owned(), 400, "malformed"),
        ("\0\0\0\0\r\n\r\n".to_owned(), 400, "malformed"),
        ("POST / HTTP/9.9\r\n\r\n".to_owned(), 400, "malformed"),
        (
            "POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n".to_owned(),
            400,
            "malformed",
        ),
        (large(20_000), 431, "head_too_large"),
        (large(100_000), 431, "head_too_large"),
        (large(100_000).replace("GET", "POST"), 431, "head_too_large"),
        (many, 431, "head_too_large"),
    ] {
        let (mut read, mut write) = tokio::io::split(world.connect());
        let shown = &request[..request.len().min(80)];
        let sending = async {
            // The server may have closed the connection.
            let _ = write.write_all(request.as_bytes()).await;
        };
        let reading = async {
            if request == after_another {
                assert_eq!(read_answer(&mut read).await.0, 200);
            }
            let answer = read_answer(&mut read).await;
            assert_eq!(answer, (status, refused(code)), "{shown:?}");
        };
        futures_util::join!(sending, reading);
    }
    assert_eq!(world.server.receiving.taken(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_head_of_16_kib_is_read() {
    let world = World::new(|_| {});
    let head = format!(
        "GET / HTTP/1.1\r\nconnection: close\r\nx: {}\r\n\r\n",
        "y".repeat(16_000)
    );
    assert_eq!(parse(&world.exchange(head.as_bytes()).await).0, 200);
}
