//! The same over HTTP/2, where one connection has many requests.

use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::TokioIo;

use super::*;

type Sent = http_body_util::combinators::BoxBody<Bytes, std::convert::Infallible>;

async fn client(world: &World) -> SendRequest<Sent> {
    let io = TokioIo::new(world.connect());
    let (sender, connection) = handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn whole(size: usize) -> Sent {
    Full::new(Bytes::from(vec![b'x'; size])).boxed()
}

/// A body that hangs after one piece.
fn hanging() -> Sent {
    use futures_util::{StreamExt, stream};
    let piece = stream::once(async { Ok(Frame::data(Bytes::from_static(b"hello"))) });
    let body = StreamBody::new(Box::pin(piece.chain(stream::pending())));
    BodyExt::boxed(body)
}

async fn ask(client: &SendRequest<Sent>, path: &str, body: Sent) -> (u16, Value) {
    let request = Request::post(format!("http://h{path}")).body(body).unwrap();
    let response = client.clone().send_request(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test(start_paused = true)]
async fn answers_are_the_same() {
    let world = World::new(|_| {});
    let client = client(&world).await;
    let mib = 1024 * 1024;
    let most = (200, json!({"method": "POST", "bytes": mib}));
    assert_eq!(ask(&client, "/", whole(mib)).await, most);
    let large = ask(&client, "/", whole(mib + 1)).await;
    assert_eq!(large, (413, refused("too_large")));
    let large = ask(&client, "/", whole(4 * mib)).await;
    assert_eq!(large, (413, refused("too_large")));
    let began = Instant::now();
    let slow = ask(&client, "/", hanging()).await;
    assert_eq!(slow, (408, refused("too_slow")));
    assert_eq!(began.elapsed(), Duration::from_secs(2));
    let after = ask(&client, "/", whole(5)).await;
    assert_eq!(after.0, 200, "the connection goes on");
}

#[tokio::test(start_paused = true)]
async fn the_bounds_hold_within_one_connection() {
    let world = World::new(|limits| {
        limits.in_flight = 2;
        limits.connections = 3;
    });
    let client = client(&world).await;
    let three = async {
        let waiting = || ask(&client, "/wait", whole(5));
        futures_util::join!(waiting(), waiting(), async {
            until(|| world.handled().began.load(Ordering::SeqCst) == 2).await;
            let third = ask(&client, "/", whole(5)).await;
            world.handled().go_on.notify_waiters();
            third
        })
    };
    let (one, two, third) = three.await;
    assert_eq!((one.0, two.0), (200, 200));
    assert_eq!(third, (503, refused("not_stored")));

    let hangs = || ask(&client, "/", hanging());
    let (a, b, c, d) = futures_util::join!(hangs(), hangs(), hangs(), hangs());
    let mut statuses = [a.0, b.0, c.0, d.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [408, 408, 408, 503]);

    // Bodies in all places keep out no other.
    let began = Instant::now();
    let hanging = async { futures_util::join!(hangs(), hangs(), hangs()) };
    let whole = async {
        until(|| world.server.receiving.taken() == 3).await;
        let answer = ask(&client, "/", whole(5)).await;
        assert_eq!((answer.0, began.elapsed()), (200, Duration::ZERO));
    };
    let ((oldest, ..), ()) = futures_util::join!(hanging, whole);
    assert_eq!(oldest, (503, refused("not_stored")));
    assert_eq!(world.server.receiving.taken(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_connection_holds_32_requests_and_4_large_bodies() {
    let world = World::new(|limits| limits.large_bodies = 8);
    let client = client(&world).await;
    let asking = (0..100).map(|_| ask(&client, "/", hanging()));
    let asking = futures_util::future::join_all(asking);
    let others = async {
        until(|| world.server.receiving.taken() == 32).await;
        sleep(Duration::from_secs(1)).await;
        assert_eq!(world.server.receiving.taken(), 32);
    };
    futures_util::join!(asking, others);

    let large = || whole(64 * 1024 + 1);
    let (one, other) = (&client, &super::http2::client(&world).await);
    let waiting = |client| async move {
        let four = (0..4).map(|_| ask(client, "/wait", large()));
        futures_util::future::join_all(four).await
    };
    let fifth = async {
        until(|| world.handled().began.load(Ordering::SeqCst) == 8).await;
        let fifth = ask(one, "/", large()).await;
        assert_eq!(fifth, (503, refused("not_stored")));
        assert_eq!(ask(one, "/", whole(5)).await.0, 200);
        world.handled().go_on.notify_waiters();
    };
    let (four, others, ()) = futures_util::join!(waiting(one), waiting(other), fifth);
    assert!(four.iter().chain(&others).all(|answer| answer.0 == 200));
}

#[tokio::test(start_paused = true)]
async fn a_head_over_16_kib_is_answered() {
    let world = World::new(|_| {});
    let client = client(&world).await;
    for (size, status) in [(16_000, 200), (17_000, 431), (60_000, 431)] {
        let request = Request::post("http://h/").header("x", "y".repeat(size));
        let request = request.body(whole(5)).unwrap();
        let response = client.clone().send_request(request).await.unwrap();
        assert_eq!(response.status(), status, "{size}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body == refused("head_too_large"), status == 431);
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_ends() {
    let world = World::new(|_| {});
    let client = client(&world).await;
    assert_eq!(ask(&client, "/", whole(5)).await.0, 200);
    sleep(Duration::from_secs(74)).await;
    assert!(!client.is_closed());
    sleep(Duration::from_secs(3)).await;
    assert!(client.is_closed());
}

#[tokio::test(start_paused = true)]
async fn an_ending_connection_finishes_its_streams() {
    let mut world = World::new(|_| {});
    let client = client(&world).await;
    let stopping = world.stopping.take();
    let stop = async {
        until(|| world.handled().began.load(Ordering::SeqCst) == 1).await;
        drop(stopping);
        sleep(Duration::from_secs(15)).await;
        world.handled().go_on.notify_waiters();
    };
    let (answer, ()) = futures_util::join!(ask(&client, "/wait", whole(5)), stop);
    assert_eq!(answer.0, 200);
    until(|| client.is_closed()).await;
}
