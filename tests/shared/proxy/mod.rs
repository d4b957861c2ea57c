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

use axum::body::{Body, Bytes, to_bytes};
use axum::http::uri::{Authority, Scheme};
use axum::http::{Request, Response, Uri, Version};
use futures_util::{StreamExt as _, stream};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

mod answers;
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

    async fn answer(
        self: Arc<Self>,
        line: Arc<Line>,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Cut> {
        let call = Call::of(&request);
        let (fault, mut healed) = {
            let mut state = self.state();
            (state.meet(&call), self.healed.subscribe())
        };
        self.count(&call, |tally| {
            tally.seen += 1;
            tally.faulted += usize::from(fault.is_some());
        });
        let answer = match fault {
            None => self.forward(&call, request.map(Body::new)).await,
            Some(Fault::Hang) => {
                let _ = read(request).await;
                // Cannot fail: the sender is in `self`.
                let _ = healed.changed().await;
                line.close();
                Err(Cut)
            }
            Some(Fault::ResetStream) => {
                let _ = read(request).await;
                // The HTTP server resets the stream, or closes a connection of HTTP/1.1.
                return Err(Cut);
            }
            Some(fault) => self.fail(&call, fault, &line, request).await,
        };
        answer.inspect_err(|Cut| line.reset())
    }

    async fn fail(
        self: Arc<Self>,
        call: &Call,
        fault: Fault,
        line: &Arc<Line>,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Cut> {
        let request = read(request).await?;
        match fault {
            Fault::Refuse | Fault::Hang | Fault::ResetStream => Err(Cut),
            Fault::Status(status) => Ok(answers::status(call, status)),
            Fault::LoseReply => {
                self.execute(call, request, Duration::ZERO).await?;
                Err(Cut)
            }
            Fault::Delay(time) => self.execute(call, request, time).await,
            Fault::ResetMidBody => {
                let answer = self.execute(call, request, Duration::ZERO).await?;
                half(line, answer).await
            }
            Fault::PartialFailure => Ok(answers::all_entries_failed(call, request.body())),
            Fault::Refusal { status, body } => Ok(answers::aws(call, status, body)),
            Fault::Grpc(code) => Ok(answers::grpc(code)),
        }
    }

    /// Forwards after `delay`, even if the client disconnects.
    async fn execute(
        self: Arc<Self>,
        call: &Call,
        request: Request<Bytes>,
        delay: Duration,
    ) -> Result<Response<Body>, Cut> {
        let (answer, answered) = oneshot::channel();
        let (shared, call) = (Arc::clone(&self), call.clone());
        self.spawn(async move {
            tokio::time::sleep(delay).await;
            // The client may have disconnected.
            let _ = answer.send(shared.forward(&call, request.map(Body::from)).await);
        });
        answered.await.map_err(|_| Cut)?
    }

    async fn forward(
        &self,
        call: &Call,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, Cut> {
        let mut uri = request.uri().clone().into_parts();
        let upstream = self.upstream.lock().unwrap().clone();
        (uri.scheme, uri.authority) = (Some(Scheme::HTTP), Some(upstream));
        *request.uri_mut() = Uri::from_parts(uri).map_err(|_| Cut)?;
        let client = match request.version() {
            Version::HTTP_2 => &self.http2,
            _ => &self.http1,
        };
        answers::remove_hop_by_hop(request.headers_mut());
        // To the client, a missing upstream is a broken connection.
        let mut response = client.request(request).await.map_err(|_| Cut)?;
        self.count(call, |tally| tally.reached += 1);
        answers::remove_hop_by_hop(response.headers_mut());
        Ok(response.map(Body::new))
    }
}

async fn read(request: Request<Incoming>) -> Result<Request<Bytes>, Cut> {
    let (head, body) = request.into_parts();
    let body = to_bytes(Body::new(body), usize::MAX).await;
    Ok(Request::from_parts(head, body.map_err(|_| Cut)?))
}

/// The header and half of the body, then a reset.
async fn half(line: &Arc<Line>, response: Response<Body>) -> Result<Response<Body>, Cut> {
    let (head, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.map_err(|_| Cut)?;
    let half: Bytes = line.reset_after(body.slice(..body.len() / 2));
    let never_ending = stream::iter([Ok::<_, Cut>(half)]).chain(stream::pending());
    Ok(Response::from_parts(head, Body::from_stream(never_ending)))
}
