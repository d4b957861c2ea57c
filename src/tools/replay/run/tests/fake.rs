//! A dead-letter queue and its path, in memory.

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Result, anyhow};

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
    /// Body, number of receives, whether it is hidden.
    pub dead: Vec<(String, u32, bool)>,
    /// The number of records at first: the others were sent after these were received.
    pub at_first: usize,
    pub deleted: HashSet<usize>,
    pub path: Vec<String>,
    pub receives: usize,
    pub held: u32,
}

impl Fake {
    pub fn holding(bodies: impl IntoIterator<Item = String>) -> Self {
        let dead: Vec<_> = bodies.into_iter().map(|body| (body, 0, false)).collect();
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
        let left = || (0..state.dead.len()).filter(|index| !state.deleted.contains(index));
        (left().count(), left().all(|index| !state.dead[index].2))
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
        if self
            .unreadable_after
            .is_some_and(|most| state.receives > most)
        {
            return Err(anyhow!("AccessDenied"));
        }
        let State {
            dead,
            deleted,
            at_first,
            ..
        } = &mut *state;
        let mut records = Vec::new();
        for (index, (body, times, hidden)) in dead.iter_mut().enumerate() {
            let again = self.hands_out_twice && *times < 2;
            let visible = !*hidden && !deleted.contains(&index);
            if records.len() < 10 && (visible || again) {
                (*times, *hidden) = (*times + 1, true);
                records.push(Record {
                    message_id: index.to_string(),
                    receipt: index.to_string(),
                    body: body.clone(),
                    sent_ms: if index < *at_first { 1 } else { 3 },
                    received_ms: 2,
                    ..Record::default()
                });
            }
        }
        Ok(records)
    }

    async fn send(&self, bodies: &[&str]) -> Vec<Result<(), String>> {
        let mut state = self.state.lock().unwrap();
        let send = bodies.iter().map(|&body| {
            if self.unsendable.iter().any(|part| body.contains(part)) {
                return Err("InternalError".to_owned());
            }
            state.path.push(body.to_owned());
            if self.comes_back {
                state.dead.push((body.to_owned(), 0, false));
            }
            Ok(())
        });
        send.collect()
    }

    async fn delete(&self, receipts: &[&str]) -> Vec<Result<(), String>> {
        let mut state = self.state.lock().unwrap();
        let delete = receipts.iter().map(|receipt| {
            if self.undeletable {
                return Err("InternalError".to_owned());
            }
            state.deleted.insert(receipt.parse().unwrap());
            Ok(())
        });
        delete.collect()
    }

    async fn hide(&self, receipts: &[&str], time: Duration) {
        let mut state = self.state.lock().unwrap();
        for receipt in receipts {
            let index: usize = receipt.parse().unwrap();
            state.dead[index].2 = !time.is_zero();
            state.held += u32::from(!time.is_zero());
        }
    }
}
