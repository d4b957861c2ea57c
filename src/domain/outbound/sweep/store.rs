//! The saved states of the sweep, in the ledger's table.

use serde::Serialize;
use tokio::time::Instant;

use super::watch::{self, Directory, Watched};
use super::{Cursor, Failed, Job, SAVE_WITHIN, State, Sweep};
use crate::domain::retry::{RetryPolicy, retry};

/// The key of a state machine's state.
pub(super) fn key(state_machine: &str) -> String {
    format!("sweep#{state_machine}")
}

fn far_key(state_machine: &str) -> String {
    format!("sweep-far#{state_machine}")
}

impl Sweep {
    /// The job of a state machine (an unqualified ARN) with its saved state, or with a first one, which dates the first sweep;
    /// leased to this invocation until `lease_until`. `None` if another invocation has it.
    ///
    /// # Errors
    ///
    /// When the table cannot be used, or its text is not a state.
    pub async fn job(
        &self,
        state_machine: &str,
        routes: &[String],
        now: i64,
        lease_until: i64,
    ) -> Result<Option<Job>, Failed> {
        let key = key(state_machine);
        let saved = self.load(&key).await?;
        let known = match &saved {
            Some(text) => Some(parse::<State>(&key, text)?),
            None => None,
        };
        if known.as_ref().is_some_and(|state| state.lease_until > now) {
            return Ok(None);
        }
        let mut job = Job {
            state_machine: state_machine.to_owned(),
            routes: routes.to_vec(),
            state: State::first(now),
            directory: None,
            scan_failed: false,
        };
        match known {
            Some(state) if !state.recent.is_forgotten(now) => {
                job.state = state;
                job.state.recent = job.state.recent.upgraded();
                if job.state.far.is_none() {
                    let key = far_key(state_machine);
                    if let Some(text) = self.load(&key).await? {
                        job.state.far = Some(parse::<Cursor>(&key, &text)?.upgraded());
                    }
                }
            }
            Some(_) => {
                tracing::info!(
                    state_machine.arn = state_machine,
                    "no sweep listed it for 15 days; its ends meanwhile are skipped"
                );
                job.directory = Some(Directory::default());
                self.save_directory(&job).await?;
                self.save_chunk(&job, 0, &[]).await?;
            }
            None => {}
        }
        job.state.lease_until = lease_until;
        let text = text(&job.state);
        let policy = RetryPolicy::until(Instant::now() + SAVE_WITHIN);
        let (replaced, _) = retry(policy, || {
            self.register.replace(&key, &text, saved.as_deref())
        })
        .await;
        Ok(replaced.map_err(Failed::Table)?.then_some(job))
    }

    /// Ends the lease.
    ///
    /// # Errors
    ///
    /// When the table does not answer: then the lease ends by itself.
    pub async fn release(&self, job: &mut Job) -> Result<(), Failed> {
        job.state.lease_until = 0;
        self.save(job).await
    }

    pub(super) async fn load(&self, key: &str) -> Result<Option<String>, Failed> {
        let policy = RetryPolicy::until(Instant::now() + SAVE_WITHIN);
        let (loaded, _) = retry(policy, || self.register.load(key)).await;
        loaded.map_err(Failed::Table)
    }

    pub(super) async fn put(&self, key: &str, text: &str) -> Result<(), Failed> {
        let policy = RetryPolicy::until(Instant::now() + SAVE_WITHIN);
        let (saved, _) = retry(policy, || self.register.save(key, text)).await;
        saved.map_err(Failed::Table)
    }

    pub(super) async fn save(&self, job: &Job) -> Result<(), Failed> {
        self.put(&key(&job.state_machine), &text(&job.state)).await
    }

    pub(super) async fn load_directory(&self, job: &Job) -> Result<Directory, Failed> {
        let key = watch::directory_key(&job.state_machine);
        match self.load(&key).await? {
            Some(text) => parse(&key, &text),
            None => Ok(Directory::default()),
        }
    }

    pub(super) async fn save_directory(&self, job: &Job) -> Result<(), Failed> {
        let key = watch::directory_key(&job.state_machine);
        self.put(&key, &text(&job.directory)).await
    }

    pub(super) async fn load_chunks(
        &self,
        job: &Job,
        numbers: &[u32],
    ) -> Result<Vec<(u32, Vec<Watched>)>, Failed> {
        let load = async |number: &u32| {
            let key = watch::chunk_key(&job.state_machine, *number);
            let entries = match self.load(&key).await? {
                Some(text) => parse(&key, &text)?,
                None => Vec::new(),
            };
            Ok((*number, entries))
        };
        futures_util::future::try_join_all(numbers.iter().map(load)).await
    }

    pub(super) async fn save_chunk(
        &self,
        job: &Job,
        number: u32,
        entries: &[Watched],
    ) -> Result<(), Failed> {
        let key = watch::chunk_key(&job.state_machine, number);
        self.put(&key, &text(&entries)).await
    }
}

fn parse<T: serde::de::DeserializeOwned>(key: &str, text: &str) -> Result<T, Failed> {
    serde_json::from_str(text).map_err(|e| Failed::Cursor {
        key: key.to_owned(),
        found: e.to_string(),
    })
}

fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("numbers and strings serialize")
}
