//! A proxy on loopback that injects faults between a client and a server, for real SDKs and binaries on real sockets.
//!
//! It serves HTTP/1.1 and HTTP/2 without TLS (prior knowledge, as with gRPC) on one port and forwards each call in its own
//! version. [`Proxy::fault`] adds a fault, which ends by itself or with [`Proxy::heal`]. [`Proxy::counters`] counts seen,
//! faulted and executed calls; [`Proxy::wait_for`] waits for them.

use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use axum::body::Body;
use axum::http::Uri;
use axum::http::uri::Authority;
use hyper::service::service_fn;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

mod answers;
mod exchange;
mod faults;
mod line;
mod tests;

use answers::Call;
use faults::Rule;
pub use faults::{Counters, Fault, Span, Tally};
use line::{Line, Served};

/// The timeout of [`Proxy::wait_for`], so that no test hangs.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Connections to the upstream idle for longer are not reused, since it may be about to close them.
const IDLE: Duration = Duration::from_secs(1);

/// A running proxy. Dropping it resets its connections and aborts all calls.
pub struct Proxy {
    shared: Arc<Shared>,
}

struct Shared {
    upstream: Mutex<Authority>,
    address: SocketAddr,
    /// Also bound to the port, but never listening: reserves the port while it is closed.
    _holder: TcpSocket,
    runtime: Handle,
    http1: Client<HttpConnector, Body>,
    http2: Client<HttpConnector, Body>,
    state: Mutex<State>,
    counters: watch::Sender<Counters>,
    /// Changes with every [`Proxy::heal`].
    healed: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    /// `None` while connections are refused.
    listener: Option<TcpListener>,
    /// Wakes the accept loop, since dropping the listener does not.
    waiting: Option<Waker>,
    lines: Vec<Weak<Line>>,
    rules: Vec<Rule>,
    tasks: JoinSet<()>,
}

/// The connection of the call was cut, so no answer is possible.
#[derive(Debug, thiserror::Error)]
#[error("the connection was cut")]
struct Cut;

fn authority(upstream: &str) -> io::Result<Authority> {
    let upstream: Uri = upstream.parse().map_err(io::Error::other)?;
    let authority = upstream.authority().cloned();
    authority.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

impl Proxy {
    /// Starts a proxy for `upstream`, an `http://127.0.0.1:<port>`, on a port that the system chooses.
    pub async fn start(upstream: &str) -> io::Result<Self> {
        let upstream = authority(upstream)?;
        let holder = socket((Ipv4Addr::LOCALHOST, 0).into())?;
        let address = holder.local_addr()?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let mut client = Client::builder(TokioExecutor::new());
        client.pool_idle_timeout(IDLE);
        let shared = Arc::new(Shared {
            upstream: Mutex::new(upstream),
            address,
            _holder: holder,
            runtime: Handle::current(),
            http1: client.build(connector.clone()),
            http2: client.http2_only(true).build(connector),
            state: Mutex::default(),
            counters: watch::Sender::default(),
            healed: watch::Sender::default(),
        });
        shared.open()?;
        let accepting = Arc::clone(&shared).accept();
        shared.spawn(accepting);
        Ok(Self { shared })
    }

    /// Changes the upstream, for a server that needs the proxy's address to start.
    pub fn forward_to(&self, upstream: &str) -> io::Result<()> {
        *self.shared.upstream.lock().unwrap() = authority(upstream)?;
        Ok(())
    }

    /// `http://127.0.0.1:<port>`
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.shared.address)
    }

    /// Adds a fault for every call. A call meets the oldest matching fault.
    pub fn fault(&self, fault: Fault, span: Span) {
        let mut state = self.shared.state();
        if let (Fault::Refuse, Span::Until) = (&fault, span) {
            // In this order, no client connects in between.
            state.listener = None;
            state.reset_all();
        } else {
            state.rules.push(Rule {
                operation: None,
                fault,
                span,
            });
        }
    }

    /// Adds a fault for the calls of one operation: of AWS, such as `StartExecution`; else a path, such as
    /// `/cache_client.pubsub.Pubsub/Publish`.
    pub fn fault_of(&self, operation: &str, fault: Fault, span: Span) {
        self.shared.state().rules.push(Rule {
            operation: Some(operation.to_owned()),
            fault,
            span,
        });
    }

    /// Ends all faults, closes the connections of hung calls and reopens the port. Delayed calls stay delayed.
    ///
    /// # Errors
    ///
    /// When it cannot reopen the port.
    pub fn heal(&self) -> io::Result<()> {
        self.shared.state().rules.clear();
        self.shared.healed.send_replace(());
        self.shared.open()
    }

    /// Resets all connections, once.
    pub fn cut(&self) {
        self.shared.state().reset_all();
    }

    /// Closes all connections, once.
    pub fn close(&self) {
        for line in &self.shared.state().lines {
            if let Some(line) = line.upgrade() {
                line.close();
            }
        }
    }

    /// Silences all open connections for good.
    pub fn freeze(&self) {
        for line in &self.shared.state().lines {
            if let Some(line) = line.upgrade() {
                line.freeze();
            }
        }
    }

    pub fn counters(&self) -> Counters {
        self.shared.counters.borrow().clone()
    }

    /// Waits until `wanted` accepts the counters.
    pub async fn wait_for(&self, wanted: impl Fn(&Counters) -> bool) {
        let mut counters = self.shared.counters.subscribe();
        let waiting = counters.wait_for(|counters| wanted(counters));
        if tokio::time::timeout(TIMEOUT, waiting).await.is_err() {
            panic!("expected other counters, found {:?}", self.counters());
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.listener = None;
        state.reset_all();
        state.tasks.abort_all();
    }
}

/// A socket bound to `address`, which other such sockets may share.
fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

impl State {
    fn reset_all(&mut self) {
        for line in self.lines.drain(..) {
            if let Some(line) = line.upgrade() {
                line.reset();
            }
        }
    }

    /// The fault that a call meets.
    fn meet(&mut self, call: &Call) -> Option<Fault> {
        let index = self.rules.iter().position(|rule| rule.meets(call))?;
        Some(match self.rules[index].span {
            Span::Once => self.rules.remove(index).fault,
            Span::Until => self.rules[index].fault.clone(),
        })
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut state = self.state();
        while state.tasks.try_join_next().is_some() {}
        state.tasks.spawn_on(task, &self.runtime);
    }

    fn count(&self, call: &Call, change: impl Fn(&mut Tally)) {
        self.counters
            .send_modify(|counters| change(counters.entry(&call.operation)));
    }

    /// Opens the port if it is closed.
    fn open(&self) -> io::Result<()> {
        let mut state = self.state();
        if state.listener.is_none() {
            let _runtime = self.runtime.enter();
            state.listener = Some(socket(self.address)?.listen(1024)?);
        }
        if let Some(waiting) = state.waiting.take() {
            waiting.wake();
        }
        Ok(())
    }

    async fn accept(self: Arc<Self>) {
        loop {
            let line = poll_fn(|context| self.poll_accept(context)).await;
            self.spawn(Arc::clone(&self).serve(line));
        }
    }

    /// Accepts and registers a connection in one step, so that closing the port finds every connection.
    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<Arc<Line>> {
        let mut state = self.state();
        state.waiting = Some(context.waker().clone());
        let Some(listener) = &state.listener else {
            return Poll::Pending;
        };
        let Ok((stream, _)) = ready!(listener.poll_accept(context)) else {
            context.waker().wake_by_ref();
            return Poll::Pending;
        };
        let line = Line::new(stream);
        state.lines.retain(|line| line.strong_count() > 0);
        state.lines.push(Arc::downgrade(&line));
        Poll::Ready(line)
    }

    async fn serve(self: Arc<Self>, line: Arc<Line>) {
        let service = service_fn(|request| Arc::clone(&self).answer(Arc::clone(&line), request));
        let server = auto::Builder::new(TokioExecutor::new());
        // Fails whenever the client disconnects or the connection is cut.
        let _ = server
            .serve_connection(TokioIo::new(Served(Arc::clone(&line))), service)
            .await;
    }
}
