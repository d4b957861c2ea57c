//! The routes of a running function: those of the variable `ROUTES`, and those collected from other stacks. Both are read
//! again when they are old, and before a message counts as unrouted.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{Shared, join};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::routes::{Problems, Routes};
use crate::domain::fault::Fault;
use crate::domain::ports::{Compiled, CompiledRoutes, RoutesDocument};
use crate::domain::retry::{RetryPolicy, retry};

/// Time limit of a read. It goes on behind an answer.
const READ_WITHIN: Duration = Duration::from_secs(3);

/// The longest wait of a message for a read, where older routes are known.
const OLD_ROUTES_WAIT: Duration = Duration::from_millis(100);

/// The least time between the starts of two reads, at most the TTL.
const READ_EVERY: Duration = Duration::from_secs(3);

/// The routes of a running function.
pub struct LiveRoutes {
    /// The document of `ROUTES=ssm:…`.
    parameter: Option<Arc<dyn RoutesDocument>>,
    collected: Option<Arc<dyn CompiledRoutes>>,
    ttl: Duration,
    /// The time, in ms since the epoch.
    now_ms: fn() -> i64,
    state: Mutex<State>,
    reading: Mutex<Option<(AbortHandle, Reading)>>,
}

type Reading = Shared<Pin<Box<dyn Future<Output = ()> + Send>>>;

struct State {
    base: Routes,
    /// The text of `base`, to skip an equal one.
    base_text: Option<String>,
    version: Option<u64>,
    collected: Option<Routes>,
    /// See [`Compiled::taken`].
    taken: Vec<String>,
    /// A name was given up by `ROUTES`, and not collected since.
    lags: bool,
    routes: Arc<Routes>,
    /// The number of reads so far.
    begun_reads: u64,
    /// The number of the last one that ended.
    ended_read: u64,
    /// The start of the last read, by two clocks: a frozen function's may stand still.
    begun: Option<(Instant, i64)>,
    /// The start of the last read that ended.
    tried: Option<Instant>,
    /// The start of the last successful read.
    read: Option<(Instant, i64)>,
    failed: bool,
}

/// The routes at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub routes: Arc<Routes>,
    /// The collected routes were read at least once.
    pub complete: bool,
    /// A newer route may be missing: the last read failed, or a route on its way from `ROUTES` to a parameter was not
    /// collected yet.
    pub outdated: bool,
}

impl Snapshot {
    /// Whether a message without a matching route is unrouted.
    pub fn is_current(&self) -> bool {
        self.complete && !self.outdated
    }

    /// The fault for lack of current routes.
    pub fn fault() -> Fault {
        Fault::transient(
            "RoutesUnavailable",
            "expected the current routes of other stacks in the table, found no answer or an older collection",
        )
    }
}

/// The sources of routes.
pub struct Sources {
    /// The routes of `ROUTES`, already read.
    pub base: Routes,
    pub parameter: Option<Arc<dyn RoutesDocument>>,
    pub collected: Option<Arc<dyn CompiledRoutes>>,
    /// The age after which routes are read again.
    pub ttl: Duration,
    pub now_ms: fn() -> i64,
}

impl LiveRoutes {
    /// Reads nothing yet: see [`LiveRoutes::warm_up`].
    pub fn new(sources: Sources) -> Arc<Self> {
        let Sources {
            base,
            parameter,
            collected,
            ttl,
            now_ms,
        } = sources;
        // The parameter was read just now.
        let now = (Instant::now(), now_ms());
        let read = collected.is_none().then_some(now);
        Arc::new(Self {
            parameter,
            collected,
            ttl,
            now_ms,
            state: Mutex::new(State {
                routes: Arc::new(base.clone()),
                base,
                base_text: None,
                version: None,
                collected: None,
                taken: Vec::new(),
                lags: false,
                begun_reads: 0,
                ended_read: 0,
                begun: read,
                tried: read.map(|(at, _)| at),
                read,
                failed: false,
            }),
            reading: Mutex::default(),
        })
    }

    /// Routes that never change.
    pub fn fixed(routes: Routes) -> Arc<Self> {
        Self::new(Sources {
            base: routes,
            parameter: None,
            collected: None,
            ttl: Duration::MAX,
            now_ms: || 0,
        })
    }

    /// Whether the routes can change.
    pub fn is_live(&self) -> bool {
        self.parameter.is_some() || self.collected.is_some()
    }

    /// Whether there are routes of other stacks.
    pub fn has_collected(&self) -> bool {
        self.collected.is_some()
    }

    /// Reads the routes for the first time. Without success by `deadline`, the read goes on.
    pub async fn warm_up(self: &Arc<Self>, deadline: Instant) {
        if self.collected.is_some() {
            let _ = timeout_at(deadline, self.read_again(false)).await;
        }
    }

    /// The known routes. Old ones are read again, and the caller waits for that 100 ms at most.
    pub async fn current(self: &Arc<Self>) -> Snapshot {
        if self.is_due() {
            let _ = timeout(OLD_ROUTES_WAIT, self.read_again(false)).await;
        }
        self.known()
    }

    /// The routes of a read that started less than `age` ago, or of a new one. `outdated` if that misses the deadline.
    pub async fn fresh(self: &Arc<Self>, deadline: Instant, age: Duration) -> Snapshot {
        let age = age.min(self.ttl);
        let earlier = self.state().begun_reads;
        let is_fresh = || {
            let state = self.state();
            state.ended_read > earlier || state.tried.is_some_and(|at| at.elapsed() < age)
        };
        while self.is_live() && !is_fresh() {
            if timeout_at(deadline, self.read_again(true)).await.is_err() {
                let mut snapshot = self.known();
                snapshot.outdated = true;
                return snapshot;
            }
        }
        self.known()
    }

    /// The known routes, without a read.
    pub fn known(&self) -> Snapshot {
        let state = self.state();
        Snapshot {
            routes: state.routes.clone(),
            complete: self.collected.is_none() || state.collected.is_some(),
            outdated: state.failed || state.lags,
        }
    }

    fn is_due(&self) -> bool {
        if !self.is_live() {
            return false;
        }
        let state = self.state();
        let age = |at: Option<(Instant, i64)>| {
            let (instant, ms) = at?;
            let by_clock = (self.now_ms)()
                .saturating_sub(ms)
                .try_into()
                .unwrap_or_default();
            Some(instant.elapsed().max(Duration::from_millis(by_clock)))
        };
        age(state.read).is_none_or(|age| age >= self.ttl)
            && age(state.begun).is_none_or(|age| age >= READ_EVERY.min(self.ttl))
    }

    /// Begins a read, or joins the one under way. A read outlives its callers.
    fn read_again(self: &Arc<Self>, consistent: bool) -> Reading {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((task, shared)) = &*reading
            && !task.is_finished()
        {
            return shared.clone();
        }
        let mut state = self.state();
        state.begun = Some((Instant::now(), (self.now_ms)()));
        state.begun_reads += 1;
        drop(state);
        let routes = self.clone();
        let task = tokio::spawn(async move { routes.read(consistent).await });
        let handle = task.abort_handle();
        let ended: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(task.map(drop));
        let shared = ended.shared();
        *reading = Some((handle, shared.clone()));
        shared
    }

    async fn read(&self, consistent: bool) {
        let began = (Instant::now(), (self.now_ms)());
        let policy = RetryPolicy::until(began.0 + READ_WITHIN);
        let parameter = async {
            let parameter = self.parameter.as_ref()?;
            Some(retry(policy, || parameter.read()).await.0)
        };
        let collected = async {
            let collected = self.collected.as_ref()?;
            Some(retry(policy, || collected.load(consistent)).await.0)
        };
        let (parameter, collected) = join(parameter, collected).await;
        let mut state = self.state();
        let parameter = parameter.map_or(Ok(()), |read| state.take_parameter(read));
        let collected = collected.map_or(Ok(()), |read| {
            let compiled = read.map(Option::unwrap_or_default);
            state.take_collected(compiled, consistent)
        });
        state.failed = parameter.is_err() || collected.is_err();
        state.tried = Some(began.0);
        // One read at a time.
        state.ended_read = state.begun_reads;
        if !state.failed {
            state.read = Some(began);
        }
        drop(state);
        for failure in [parameter, collected].into_iter().filter_map(Result::err) {
            failure.log();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A failed read. The known routes stay in use.
enum Failure {
    Fault(Fault),
    Problems(Problems),
}

impl Failure {
    fn log(&self) {
        match self {
            Self::Fault(fault) => tracing::warn!(
                error.code = fault.code,
                error.text = fault.text,
                "the routes could not be read; the known ones stay in use"
            ),
            Self::Problems(problems) => tracing::error!(
                error.text = %problems,
                "the routes have problems; the known ones stay in use"
            ),
        }
    }
}

impl State {
    fn take_parameter(&mut self, read: Result<String, Fault>) -> Result<(), Failure> {
        let text = read.map_err(Failure::Fault)?;
        if self.base_text.as_ref() != Some(&text) {
            self.base = Routes::parse(&text).map_err(Failure::Problems)?;
            self.base_text = Some(text);
            self.merge();
        }
        Ok(())
    }

    fn take_collected(
        &mut self,
        read: Result<Compiled, Fault>,
        consistent: bool,
    ) -> Result<(), Failure> {
        let Compiled {
            version,
            document,
            taken,
            ..
        } = read.map_err(Failure::Fault)?;
        // A read that is not consistent may return an older version.
        let known = self.version;
        if known.is_none_or(|known| known < version || (consistent && known != version)) {
            self.collected = Some(Routes::parse(&document).map_err(Failure::Problems)?);
            self.version = Some(version);
            self.taken = taken;
            self.merge();
        }
        Ok(())
    }

    fn merge(&mut self) {
        self.routes = Arc::new(match &self.collected {
            Some(collected) => self.base.and(collected),
            None => self.base.clone(),
        });
        let has = |name: &String| self.base.iter().any(|route| route.name == *name);
        self.lags = !self.taken.iter().all(has);
        if self.lags {
            tracing::warn!(
                version = self.version,
                "routes moved from ROUTES to a parameter are not collected yet; messages without a route are parked"
            );
        }
    }
}

#[cfg(test)]
mod tests;
