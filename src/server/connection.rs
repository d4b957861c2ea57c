//! One connection, from its first byte to its end.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::{Handler, Server, request};

/// How long a connection that is being closed may say nothing.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// Serves a connection until its peer ends it, until it is idle for too long, or until the server stops, which is when
/// `stopped` has no sender any more.
pub(super) async fn serve<H: Handler>(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    server: Arc<Server<H>>,
    mut stopped: watch::Receiver<()>,
) {
    let activity = Activity::new();
    let service = service_fn(|request| {
        let open = activity.begin();
        request::answer(server.clone(), request, open)
    });
    let connection = server
        .protocol
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let limits = &server.limits;
    tokio::select! {
        // An error is the peer's: what it sent was no HTTP, or it went away.
        _ = connection.as_mut() => return,
        () = activity.quiet(limits.head_within, limits.idle_within) => {}
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
struct Activity(Arc<Mutex<State>>);

struct State {
    /// Requests that are not answered yet.
    open: usize,
    /// When that last changed.
    since: Instant,
    /// Whether there was any request.
    used: bool,
}

/// One request that is not answered yet.
pub(super) struct Open(Activity);

impl Activity {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            open: 0,
            since: Instant::now(),
            used: false,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) -> Open {
        let mut state = self.state();
        state.open += 1;
        state.used = true;
        Open(self.clone())
    }

    /// As if a request had been answered now.
    fn touch(&self) {
        self.state().since = Instant::now();
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

impl Drop for Open {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.open -= 1;
        state.since = Instant::now();
    }
}
