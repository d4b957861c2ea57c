//! A dead-letter queue and its path, in memory.

use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::tools::letters::Record;
use crate::tools::replay::reading::Queues;

/// Two queues in memory. A received record is hidden until it is shown again.
#[derive(Default)]
pub struct Fake {
    pub state: Mutex<State>,
    /// A body with one of these cannot be sent.
    pub unsendable: Vec<&'static str>,
    pub undeletable: bool,
    /// Delivers every record twice, as SQS may.
    pub hands_out_twice: bool,
    /// Every sent record is dead again at once.
    pub comes_back: bool,
    pub unreadable_after: Option<usize>,
    pub receive_takes: Duration,
}

#[derive(Default)]
pub struct State {
    pub dead: Vec<Kept>,
    /// The number of records at first: the others were sent after these were received.
    pub at_first: usize,
    pub path: Vec<String>,
    pub receives: usize,
    pub held: u32,
}

/// A record in the queue.
#[derive(Default)]
pub struct Kept {
    body: String,
    receives: u32,
    hidden: bool,
    deleted: bool,
}

impl Kept {
    fn new(body: String) -> Self {
        Self {
            body,
            ..Self::default()
        }
    }
}

impl Fake {
    pub fn holding(bodies: impl IntoIterator<Item = String>) -> Self {
        let dead: Vec<_> = bodies.into_iter().map(Kept::new).collect();
        let state = State {
            at_first: dead.len(),
            dead,
            ..State::default()
        };
        Self {
            state: state.into(),
            ..Self::default()
        }
    }

    /// The number of records left, and whether all of them can be received.
    pub fn left(&self) -> (usize, bool) {
        let state = self.state.lock().unwrap();
        let left = || state.dead.iter().filter(|kept| !kept.deleted);
        (left().count(), left().all(|kept| !kept.hidden))
    }

    pub fn path(&self) -> Vec<String> {
        self.state.lock().unwrap().path.clone()
    }
}

impl Queues for Fake {
    async fn receive(&self) -> Result<Vec<Record>> {
        tokio::time::sleep(self.receive_takes).await;
        let mut state = self.state.lock().unwrap();
        state.receives += 1;
        let most = self.unreadable_after.unwrap_or(usize::MAX);
        ensure!(state.receives <= most, "AccessDenied");
        let at_first = state.at_first;
        let mut records = Vec::new();
        for (index, kept) in state.dead.iter_mut().enumerate() {
            let again = self.hands_out_twice && kept.receives < 2;
            let visible = !kept.hidden && !kept.deleted;
            if records.len() < 10 && (visible || again) {
                (kept.receives, kept.hidden) = (kept.receives + 1, true);
                records.push(Record {
                    message_id: index.to_string(),
                    receipt: index.to_string(),
                    body: kept.body.clone(),
                    sent_ms: if index < at_first { 1 } else { 3 },
                    received_ms: 2,
                    ..Record::default()
                });
            }
        }
        Ok(records)
    }

    async fn send(&self, body: &str) -> Result<(), String> {
        if self.unsendable.iter().any(|part| body.contains(part)) {
            return Err("InternalError".to_owned());
        }
        let mut state = self.state.lock().unwrap();
        state.path.push(body.to_owned());
        if self.comes_back {
            state.dead.push(Kept::new(body.to_owned()));
        }
        Ok(())
    }

    async fn delete(&self, receipt: &str) -> Result<(), String> {
        if self.undeletable {
            return Err("InternalError".to_owned());
        }
        let index: usize = receipt.parse().unwrap();
        self.state.lock().unwrap().dead[index].deleted = true;
        Ok(())
    }

    async fn hide(&self, receipts: &[&str], time: Duration) {
        let mut state = self.state.lock().unwrap();
        for receipt in receipts {
            let index: usize = receipt.parse().unwrap();
            state.dead[index].hidden = !time.is_zero();
            state.held += u32::from(!time.is_zero());
        }
    }
}
