//! The simulated Step Functions, table and queue.

use std::cell::Cell;
use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;

use super::*;
use crate::domain::ports::{
    Answer, Backlog, Exclusive, ExecutionPage, Listed, Listing, Queue, Register, Sweeping,
};

const SECOND: i64 = 1000;
/// The list's delay.
const LISTED_AFTER: i64 = 3 * SECOND;
/// The time of an event from the end to the ledger.
const TAKEN_AFTER: i64 = 2 * SECOND;

thread_local! {
    pub static BEGAN: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// The simulated time: [`START`] and the runtime's paused clock.
pub fn clock() -> i64 {
    let began = BEGAN.get().expect("it was set");
    START + i64::try_from(began.elapsed().as_millis()).unwrap()
}

fn scatter(number: i64) -> i64 {
    let mixed = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) as i64 >> 20 & 0xfff_ffff
}

/// Short executions `s0`, `s1` and so on, from ten minutes before [`START`]; and long ones, `l0` the oldest.
pub struct World {
    /// Short executions a second.
    pub rate: i64,
    pub long: i64,
    pub page: usize,
    pub calls: Mutex<BTreeMap<&'static str, u64>>,
    pub saved: Mutex<BTreeMap<String, String>>,
    pub marked: Mutex<HashSet<String>>,
    /// The delays of the finds, and their names.
    pub found: Mutex<Vec<(i64, String)>>,
}

#[derive(Clone, Copy)]
pub struct Execution {
    pub number: i64,
    pub is_long: bool,
    pub started_at: i64,
    pub ends_at: i64,
    pub is_lost: bool,
}

impl World {
    pub fn short(&self, number: i64) -> Execution {
        let started_at = START - 10 * MINUTE + number * 1000 / self.rate;
        let random = scatter(number);
        let length = match random % 1000 {
            0..900 => random % (20 * SECOND),
            900..990 => random % (3 * MINUTE),
            _ => random % (30 * MINUTE),
        };
        Execution {
            number,
            is_long: false,
            started_at,
            ends_at: started_at + length,
            // One in half a minute, at the rates of 1 and more.
            is_lost: scatter(number + 7) % (30 * self.rate) == 0,
        }
    }

    /// They started within three days, and one in 50 ends every day.
    pub fn long(&self, number: i64) -> Execution {
        let started_at = START - 3 * DAY + number * (2 * DAY) / self.long;
        Execution {
            number,
            is_long: true,
            started_at,
            ends_at: START + scatter(number) % (50 * DAY),
            is_lost: number % 10 == 0,
        }
    }

    pub fn shorts(&self, now: i64) -> i64 {
        ((now - LISTED_AFTER - START + 10 * MINUTE) * self.rate / 1000).max(0)
    }

    fn listed(&self, one: &Execution, delay: i64) -> Listed {
        let name = name(one);
        let ended = one.ends_at + delay <= clock();
        Listed {
            execution_arn: execution_arn(&machine("A"), &name),
            name,
            status: if ended { "SUCCEEDED" } else { "RUNNING" }.to_owned(),
            started_at: one.started_at,
            stopped_at: ended.then_some(one.ends_at),
            redrive_count: 0,
        }
    }

    /// The execution in an id or ARN.
    pub fn execution(&self, id: &str) -> Execution {
        let mut parts = id.rsplit('-');
        let number = parts.nth(1).unwrap().parse().unwrap();
        match parts.next() {
            Some("long") => self.long(number),
            _ => self.short(number),
        }
    }

    fn count(&self, call: &'static str, number: u64) {
        *self.calls.lock().unwrap().entry(call).or_default() += number;
    }

    /// The position in the token counts the long executions first.
    async fn page(&self, only_open: bool, token: Option<&str>) -> Result<ExecutionPage, Fault> {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = clock();
        let mut position = match token {
            None => self.long + self.shorts(now),
            Some(token) => {
                let (at, position) = token.split_once('/').unwrap();
                if at.parse::<i64>().unwrap() < now - DAY {
                    return Err(Fault::permanent("InvalidToken", "expired"));
                }
                position.parse().unwrap()
            }
        };
        let mut executions = Vec::new();
        while position > 0 && executions.len() < self.page {
            position -= 1;
            let one = match position - self.long {
                number @ 0.. => self.short(number),
                // None is open any more.
                _ if only_open && self.long == 0 => break,
                _ => self.long(position),
            };
            if only_open && one.ends_at + LISTED_AFTER <= now {
                let is_old = !one.is_long && one.started_at < now - 31 * MINUTE;
                if is_old {
                    position = position.min(self.long);
                }
                continue;
            }
            executions.push(self.listed(&one, LISTED_AFTER));
        }
        let next_token = (position > 0).then(|| format!("{now}/{position}"));
        Ok(ExecutionPage {
            executions,
            next_token,
        })
    }
}

pub fn name(one: &Execution) -> String {
    let kind = if one.is_long { "long" } else { "short" };
    format!("r0-uppercase-in-{kind}-{}-0123456789abcdef", one.number)
}

impl Listing for World {
    fn list<'a>(&'a self, _: &'a str, token: Option<&'a str>) -> Answer<'a, ExecutionPage> {
        self.count("ListExecutions by start", 1);
        Box::pin(self.page(false, token))
    }
}

impl Sweeping for World {
    fn list_open<'a>(&'a self, _: &'a str, token: Option<&'a str>) -> Answer<'a, ExecutionPage> {
        self.count("ListExecutions, open", 1);
        Box::pin(self.page(true, token))
    }

    fn look<'a>(&'a self, execution: &'a str) -> Answer<'a, Option<Listed>> {
        self.count("DescribeExecution", 1);
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(40)).await;
            Ok(Some(self.listed(&self.execution(execution), 0)))
        })
    }
}

impl Register for World {
    fn known<'a>(&'a self, ids: &'a [String]) -> Answer<'a, HashSet<String>> {
        self.count("BatchGetItem", 1);
        self.count("read units", ids.len() as u64);
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let marked = self.marked.lock().unwrap();
            let is_known = |id: &&String| {
                let one = self.execution(id.split_once('#').unwrap().0);
                let is_taken = !one.is_lost && one.ends_at + TAKEN_AFTER <= clock();
                is_taken || marked.contains(*id)
            };
            Ok(ids.iter().filter(is_known).cloned().collect())
        })
    }

    fn mark<'a>(&'a self, id: &'a str) -> Answer<'a, ()> {
        self.count("PutItem", 1);
        self.count("write units", 1);
        self.marked.lock().unwrap().insert(id.to_owned());
        Box::pin(async { Ok(()) })
    }

    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<String>> {
        let found = self.saved.lock().unwrap().get(key).cloned();
        let length = found.as_ref().map_or(0, String::len);
        self.count("GetItem", 1);
        self.count("read units", length as u64 / 4096 + 1);
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Ok(found)
        })
    }

    fn save<'a>(&'a self, key: &'a str, text: &'a str) -> Answer<'a, ()> {
        self.count("PutItem", 1);
        self.count("write units", (text.len() + key.len()) as u64 / 1024 + 1);
        let mut saved = self.saved.lock().unwrap();
        saved.insert(key.to_owned(), text.to_owned());
        Box::pin(async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Ok(())
        })
    }
}

impl Exclusive for World {
    fn replace<'a>(&'a self, key: &'a str, text: &'a str, _: Option<&'a str>) -> Answer<'a, bool> {
        Box::pin(async move { self.save(key, text).await.map(|()| true) })
    }
}

impl Backlog for World {
    fn waiting(&self) -> Answer<'_, u64> {
        Box::pin(async { Ok(0) })
    }
}

impl Queue for World {
    fn send<'a>(&'a self, body: &'a str) -> Answer<'a, ()> {
        let event: serde_json::Value = serde_json::from_str(body).unwrap();
        let name = event["detail"]["name"].as_str().unwrap().to_owned();
        let one = self.execution(&name);
        assert!(
            one.is_lost && event["detail"]["stopDate"] == one.ends_at,
            "{event}"
        );
        self.found
            .lock()
            .unwrap()
            .push((clock() - one.ends_at, name));
        Box::pin(async { Ok(()) })
    }
}
