//! A connection's state: its open requests, its idle time, and its share of large bodies.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep_until};

/// Large bodies of one connection, at once. HTTP/1.1 has one.
const LARGE_BODIES: usize = 4;

/// A connection's state.
#[derive(Clone)]
pub(super) struct Activity(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    end: Notify,
    /// Notified when the connection may have become idle.
    freed: Arc<Notify>,
    large_bodies: Arc<Semaphore>,
}

struct State {
    /// Unanswered requests.
    open: usize,
    /// Of these, POSTs in their handler.
    handled: usize,
    /// When `open` last changed.
    since: Instant,
    /// Whether there was any request.
    used: bool,
}

/// An unanswered request.
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

    pub(super) fn begin(&self) -> Open {
        let mut state = self.state();
        state.open += 1;
        state.used = true;
        state.since = Instant::now();
        Open {
            activity: self.clone(),
            handled: false,
        }
    }

    /// Restarts the idle time, as an answer does.
    pub(super) fn touch(&self) {
        self.state().since = Instant::now();
    }

    /// The start of the idle time, unless a request is being handled. Sorts idle connections before those sending bodies.
    pub(super) fn idle_since(&self) -> Option<(bool, Instant)> {
        let state = self.state();
        (state.handled == 0).then_some((state.open > 0, state.since))
    }

    /// Ends the connection: another one needs its place.
    pub(super) fn end(&self) {
        self.0.end.notify_one();
    }

    pub(super) async fn ended(&self) {
        self.0.end.notified().await;
    }

    /// Waits until the connection was idle for `first`, or for `later` after a request.
    pub(super) async fn quiet(&self, first: Duration, later: Duration) {
        loop {
            let at = {
                let state = self.state();
                match (state.open, state.used) {
                    (0, false) => state.since + first,
                    (0, true) => state.since + later,
                    // Early enough: the idle time begins with the answer.
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
    /// The request is complete, and handled from now on.
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
