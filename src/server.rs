//! A small HTTP server that bounds whatever its callers could use up: HTTP/1.1, and HTTP/2 with prior knowledge.
//!
//! Only POSTs bring work, so only their bodies are received and only they are counted as in flight. Every other method is handed
//! to the handler at once, with an empty body: whether the server lives can be asked when it is full, too.
//!
//! What one caller holds is taken from it when another one needs it: the connection that has been idle for the longest, whatever
//! it was used for, and the body that has been under way for the longest.
//!
//! | who | is bounded by |
//! |---|---|
//! | connects and says nothing, or sends its head slowly | [`Limits::head_within`], [`Limits::connections`] |
//! | sends no HTTP/1.1, or a head over 16 KiB | answered 400, 431 |
//! | has many requests on one HTTP/2 connection | 32 of any method, 4 large bodies, 256 KiB that are not read yet |
//! | sends its body slowly | [`Limits::body_within`], answered 408; [`Limits::connections`], answered 503 |
//! | sends a large body | [`Limits::body_max`], answered 413; [`Limits::large_bodies`] |
//! | sends more than can be handled | [`Limits::in_flight`], answered 503 |
//! | keeps a connection and has nothing to say | [`Limits::idle_within`] |
//! | does not read its answers | [`Limits::idle_within`] |

mod body;
mod connection;
mod heads;
mod health;
mod places;
mod request;

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

pub use health::health;
use places::{Bodies, Connections};

use crate::entrypoints::http::{BODY_MAX, Code, refuse};

/// HTTP/2 streams of a connection that are open at once, whatever their method.
const STREAMS: u32 = 32;

/// Bytes of a body that an HTTP/2 sender may send before they are read: of a stream, and of a connection.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;

/// The largest head, in bytes: as HTTP/2 libraries have it. Up to four of them are read, so that a larger one is answered;
/// HTTP/1.1 reads bodies with that buffer, too.
const HEAD_MAX: usize = 16 * 1024;
const BUFFER: usize = 4 * HEAD_MAX;

/// An HTTP/2 peer is asked this often whether it is still there, and has this long to say so.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_WITHIN: Duration = Duration::from_secs(10);

/// The wait after a connection could not be accepted: most likely there are no file descriptors left.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// What the callers of a server may use.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections that are open at once: 1024. One more takes the place of the one that has been idle for the longest. As
    /// many requests may be sending their bodies, which only HTTP/2 could exceed; one more takes the place of the oldest.
    pub connections: usize,
    /// POSTs that are being handled at once: 512.
    pub in_flight: u32,
    /// Bodies over 64 KiB that are held at once: 32. No topic message is that large.
    pub large_bodies: usize,
    /// The largest body, in bytes: 1 MiB.
    pub body_max: usize,
    /// From connecting to the end of the first request's head: 10 s.
    pub head_within: Duration,
    /// From the end of a request's head to the end of its body: 2 s.
    pub body_within: Duration,
    /// From an answer to the end of the next request's head: 75 s, since load balancers keep idle connections for 60 s and must
    /// be the ones who close them.
    pub idle_within: Duration,
    /// What stopping may take: 20 s.
    pub stop_within: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            in_flight: 512,
            large_bodies: 32,
            body_max: BODY_MAX,
            head_within: Duration::from_secs(10),
            body_within: Duration::from_secs(2),
            idle_within: Duration::from_secs(75),
            stop_within: Duration::from_secs(20),
        }
    }
}

/// Answers requests. It is given when the request's head had been received.
pub trait Handler: Send + Sync + 'static {
    fn answer(
        &self,
        request: Request<Bytes>,
        received: Instant,
    ) -> impl Future<Output = Response<String>> + Send;

    /// Answers a request that the server itself refuses, `took` after its head was received.
    fn refuse(&self, code: Code, reason: String, took: Duration) -> Response<String> {
        refuse(code, reason, took)
    }
}

impl<H, F> Handler for H
where
    H: Fn(Request<Bytes>, Instant) -> F + Send + Sync + 'static,
    F: Future<Output = Response<String>> + Send,
{
    fn answer(
        &self,
        request: Request<Bytes>,
        received: Instant,
    ) -> impl Future<Output = Response<String>> + Send {
        self(request, received)
    }
}

/// What all connections share.
struct Server<H> {
    handler: H,
    limits: Limits,
    protocol: auto::Builder<TokioExecutor>,
    connections: Arc<Connections>,
    receiving: Bodies,
    large_bodies: Arc<Semaphore>,
    in_flight: Arc<Semaphore>,
}

impl<H: Handler> Server<H> {
    fn new(limits: Limits, handler: H) -> Arc<Self> {
        let mut protocol = auto::Builder::new(TokioExecutor::new());
        protocol
            .http1()
            // Somebody who has sent everything and says so still gets an answer.
            .half_close(true)
            .max_buf_size(BUFFER)
            // `connection` bounds heads, since hyper's bound would end idle connections as soon.
            .header_read_timeout(None);
        protocol
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_WITHIN)
            .max_concurrent_streams(STREAMS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(BUFFER as u32);
        Arc::new(Self {
            handler,
            protocol,
            connections: Connections::new(limits.connections),
            receiving: Bodies::new(limits.connections),
            large_bodies: Arc::new(Semaphore::new(limits.large_bodies)),
            in_flight: Arc::new(Semaphore::new(limits.in_flight as usize)),
            limits,
        })
    }
}

/// Serves what connects to `listener` until `stop` is there; then finishes what is under way, for at most
/// [`Limits::stop_within`].
///
/// A request that was taken is handled to its end, even when its sender goes away meanwhile.
pub async fn serve(
    listener: TcpListener,
    limits: Limits,
    handler: impl Handler,
    stop: impl Future<Output = ()>,
) {
    let server = Server::new(limits, handler);
    let (stopping, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    tokio::select! {
        never = accept(&listener, &server, &mut connections, &stopped) => match never {},
        () = stop => {}
    }
    drop((listener, stopped, stopping));
    let until = Instant::now() + server.limits.stop_within;
    let ended = timeout_at(until, async {
        while connections.join_next().await.is_some() {}
        let _all = server.in_flight.acquire_many(server.limits.in_flight).await;
    });
    if ended.await.is_err() {
        tracing::warn!("stopped before every request was answered");
    }
}

async fn accept<H: Handler>(
    listener: &TcpListener,
    server: &Arc<Server<H>>,
    connections: &mut JoinSet<()>,
    stopped: &watch::Receiver<()>,
) -> std::convert::Infallible {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                let connected = server.connections.admit().await;
                let (server, stopped) = (server.clone(), stopped.clone());
                connections.spawn(connection::serve(stream, server, connected, stopped));
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(error.text = %error, "could not accept a connection");
                sleep(ACCEPT_AGAIN).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

/// Whether only the connection that was to be accepted is broken.
fn is_of_one_connection(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset
    )
}

#[cfg(test)]
mod tests;
