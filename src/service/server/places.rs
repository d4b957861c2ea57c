//! Bounded places: a further body evicts the oldest one, a further connection the one idle for the longest.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::activity::Activity;

/// Places for incoming bodies. A signed message arrives within milliseconds, so the oldest body is not a message, or the
/// slowest one.
pub(super) struct Bodies {
    most: usize,
    state: Mutex<(u64, BTreeMap<u64, Arc<Notify>>)>,
}

/// The place of one body.
pub(super) struct Place<'a> {
    bodies: &'a Bodies,
    number: u64,
    displaced: Arc<Notify>,
}

impl Bodies {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, (u64, BTreeMap<u64, Arc<Notify>>)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place for a body. If all are taken, the oldest body loses its own.
    pub(super) fn take(&self) -> Place<'_> {
        let displaced = Arc::new(Notify::new());
        let mut state = self.state();
        let (number, places) = &mut *state;
        if places.len() >= self.most
            && let Some((_, oldest)) = places.pop_first()
        {
            oldest.notify_one();
        }
        *number += 1;
        places.insert(*number, displaced.clone());
        Place {
            bodies: self,
            number: *number,
            displaced,
        }
    }

    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.state().1.len()
    }
}

impl Place<'_> {
    /// Waits until another body needs the place.
    pub(super) async fn displaced(&self) {
        self.displaced.notified().await;
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.bodies.state().1.remove(&self.number);
    }
}

/// The open connections.
pub(super) struct Connections {
    most: usize,
    state: Mutex<(u64, HashMap<u64, Activity>)>,
    /// Notified when a place may have become free.
    freed: Arc<Notify>,
}

/// The place of one connection.
pub(super) struct Connected {
    connections: Arc<Connections>,
    number: u64,
    pub(super) activity: Activity,
}

impl Connections {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            state: Mutex::default(),
            freed: Arc::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, (u64, HashMap<u64, Activity>)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place for a connection. If all are taken, this ends the connection idle for the longest; without an idle one,
    /// the one sending a body for the longest. It waits while every connection has a request in its handler.
    pub(super) async fn admit(self: &Arc<Self>) -> Connected {
        loop {
            // Registered before the attempt, so that no notification in between is lost.
            let freed = self.freed.notified();
            if let Some(connected) = self.try_admit() {
                return connected;
            }
            freed.await;
        }
    }

    pub(super) fn try_admit(self: &Arc<Self>) -> Option<Connected> {
        let mut state = self.state();
        let (number, open) = &mut *state;
        if open.len() >= self.most {
            let idle = open.iter().filter_map(|(number, activity)| {
                let idle = activity.idle_since()?;
                Some((idle, *number))
            });
            let (_, longest) = idle.min()?;
            open.remove(&longest)?.end();
        }
        *number += 1;
        let activity = Activity::new(self.freed.clone());
        open.insert(*number, activity.clone());
        Some(Connected {
            connections: self.clone(),
            number: *number,
            activity,
        })
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.connections.state().1.remove(&self.number);
        self.connections.freed.notify_one();
    }
}
