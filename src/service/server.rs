//! A small HTTP server that bounds its callers' use of every resource: HTTP/1.1, and HTTP/2 with prior knowledge.
//!
//! Only POSTs bring work, so only their bodies are received and only they count as in flight. The handler gets every other
//! method at once, with an empty body: health checks work on a full server, too.
//!
//! A full server makes room for a new caller: it ends the connection idle for the longest, whatever its use, and the body
//! under way for the longest.
//!
//! | a caller that | is bounded by |
//! |---|---|
//! | connects and stays silent, or sends its head slowly | [`Limits::head_within`], [`Limits::connections`] |
//! | sends invalid HTTP/1.1, or a head over 16 KiB | answered 400, 431 |
//! | has many requests on one HTTP/2 connection | 32 of any method, 4 large bodies, 256 KiB unread |
//! | sends its body slowly | [`Limits::body_within`], answered 408; [`Limits::connections`], answered 503 |
//! | sends a large body | [`Limits::body_max`], answered 413; [`Limits::large_bodies`] |
//! | sends too many requests at once | [`Limits::in_flight`], answered 503 |
//! | keeps an idle connection | [`Limits::idle_within`] |
//! | does not read its answers | [`Limits::idle_within`] |

mod activity;
mod body;
mod connection;
mod health;
mod places;
mod refusals;
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

/// Open HTTP/2 streams per connection, of any method.
const STREAMS: u32 = 32;

/// HTTP/2 flow-control windows in bytes: of a stream, and of a connection.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;

/// The largest head in bytes, as in HTTP/2 libraries. The buffer holds four of them, so that a larger head gets an answer;
/// HTTP/1.1 reads bodies with it, too.
const HEAD_MAX: usize = 16 * 1024;
const BUFFER: usize = 4 * HEAD_MAX;

/// The interval of HTTP/2 pings, and the deadline for their answers.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_WITHIN: Duration = Duration::from_secs(10);

/// The wait after a failed accept, most likely for lack of file descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// Bounds for a server's callers.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Open connections: 1024. A further one evicts the one idle for the longest. It also limits bodies under way, of which
    /// HTTP/2 could have more; a further one evicts the oldest.
    pub connections: usize,
    /// POSTs handled at once: 512.
    pub in_flight: u32,
    /// Bodies over 64 KiB held at once: 32. No topic message is that large.
    pub large_bodies: usize,
    /// The largest body, in bytes: 1 MiB.
    pub body_max: usize,
    /// From connecting to the end of the first request's head: 10 s.
    pub head_within: Duration,
    /// From the end of a request's head to the end of its body: 2 s.
    pub body_within: Duration,
    /// From an answer to the end of the next request's head: 75 s. Load balancers keep idle connections for 60 s and must be
    /// the first to close them.
    pub idle_within: Duration,
    /// Deadline for stopping: 20 s.
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

/// Answers requests. `received` is the time at which the request's head was complete.
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

/// The state shared by all connections.
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
            // A half-closed sender still gets an answer.
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

/// Serves connections of `listener` until `stop`, then finishes requests under way, for at most [`Limits::stop_within`].
///
/// A received request is handled to its end, even if its sender goes away.
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

/// Whether the error concerns only the connection to be accepted.
fn is_of_one_connection(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset
    )
}

#[cfg(test)]
mod tests;
