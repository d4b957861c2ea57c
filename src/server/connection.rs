//! One connection, from its first byte to its end.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::heads::Worded;
use super::places::Connected;
use super::{Handler, Server, request};

/// How long a connection that is being closed may say nothing.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// How long a connection that makes way for another one has to say goodbye.
const END_WITHIN: Duration = Duration::from_millis(100);

/// Large bodies of one connection that are held at once. HTTP/1.1 has one.
const LARGE_BODIES: usize = 4;

/// Serves a connection until its peer ends it, until it is idle for too long, until another one needs its place, or until the
/// server stops, which is when `stopped` has no sender any more.
pub(super) async fn serve<H: Handler>(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    server: Arc<Server<H>>,
    connected: Connected,
    mut stopped: watch::Receiver<()>,
) {
    let activity = &connected.activity;
    let service = service_fn(|request| {
        let open = activity.begin();
        request::answer(server.clone(), request, open)
    });
    let refusing = server.clone();
    let word = move |status| request::no_request(&refusing, status);
    let stream = TokioIo::new(Worded::new(stream, word));
    let connection = server.protocol.serve_connection(stream, service);
    let mut connection = pin!(connection);
    let limits = &server.limits;
    tokio::select! {
        // An error is the peer's: what it sent was no HTTP, or it went away.
        _ = connection.as_mut() => return,
        () = activity.quiet(limits.head_within, limits.idle_within) => {}
        () = activity.ended() => {
            connection.as_mut().graceful_shutdown();
            // In time or not: the place is another one's.
            let _ = timeout(END_WITHIN, connection).await;
            return;
        }
        _ = stopped.changed() => {}
    }
    connection.as_mut().graceful_shutdown();
    activity.touch();
    tokio::select! {
        _ = connection => {}
        () = activity.quiet(CLOSE_WITHIN, CLOSE_WITHIN) => {}
    }
}

/// What a connection is doing.
#[derive(Clone)]
pub(super) struct Activity(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    end: Notify,
    /// Notified when it may have become idle.
    freed: Arc<Notify>,
    large_bodies: Arc<Semaphore>,
}

struct State {
    /// Requests that are not answered yet.
    open: usize,
    /// Of these, requests that are being handled.
    handled: usize,
    /// When `open` last changed.
    since: Instant,
    /// Whether there was any request.
    used: bool,
}

/// One request that is not answered yet.
pub(super) struct Open {
    activity: Activity,
    handled: bool,
}

impl Activity {
    pub(super) fn new(freed: Arc<Notify>) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::new(State {
                open: 0,
                handled: 0,
                since: Instant::now(),
                used: false,
            }),
            end: Notify::new(),
            freed,
            large_bodies: Arc::new(Semaphore::new(LARGE_BODIES)),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) -> Open {
        let mut state = self.state();
        state.open += 1;
        state.used = true;
        state.since = Instant::now();
        Open {
            activity: self.clone(),
            handled: false,
        }
    }

    /// As if a request had been answered now.
    fn touch(&self) {
        self.state().since = Instant::now();
    }

    /// Since when nothing happened, where no request is being handled; idle connections come before those that send bodies.
    pub(super) fn idle_since(&self) -> Option<(bool, Instant)> {
        let state = self.state();
        (state.handled == 0).then_some((state.open > 0, state.since))
    }

    /// Ends the connection: another one needs its place.
    pub(super) fn end(&self) {
        self.0.end.notify_one();
    }

    async fn ended(&self) {
        self.0.end.notified().await;
    }

    /// Waits until nothing happened for `first`, or for `later` once there was a request.
    async fn quiet(&self, first: Duration, later: Duration) {
        loop {
            let at = {
                let state = self.state();
                match (state.open, state.used) {
                    (0, false) => state.since + first,
                    (0, true) => state.since + later,
                    // Early enough: the wait begins with an answer that is still to come.
                    _ => Instant::now() + later,
                }
            };
            if at <= Instant::now() {
                return;
            }
            sleep_until(at).await;
        }
    }
}

impl Open {
    /// The request is there as a whole, and handled from now on.
    pub(super) fn handle(&mut self) {
        if !std::mem::replace(&mut self.handled, true) {
            self.activity.state().handled += 1;
        }
    }

    /// The connection's share of large bodies.
    pub(super) fn large_bodies(&self) -> &Arc<Semaphore> {
        &self.activity.0.large_bodies
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut state = self.activity.state();
        state.open -= 1;
        state.handled -= usize::from(self.handled);
        state.since = Instant::now();
        drop(state);
        self.activity.0.freed.notify_one();
    }
}
