//! A schedule's or an event's invocations in, one version of the collected routes out.

use std::sync::Arc;

use tokio::time::Instant;

use crate::domain::fault::Fault;
use crate::domain::inbound::collect::{Collected, Compiled, Parameter, collect};
use crate::domain::ports::{CompiledRoutes, RouteParameters, RoutesDocument};
use crate::domain::retry::{RetryPolicy, retry};
use crate::telemetry::metrics::{Metric, Metrics};

/// Collections in one invocation, while others write.
const ROUNDS: usize = 5;

/// The collection of routes.
pub struct Collector {
    /// The document of the variable `ROUTES`.
    pub base: Arc<dyn RoutesDocument>,
    pub parameters: Arc<dyn RouteParameters>,
    pub table: Arc<dyn CompiledRoutes>,
    pub metrics: Metrics,
}

impl Collector {
    /// Collects the routes of all parameters, and writes them if they changed.
    ///
    /// `deadline` is the end of the invocation.
    ///
    /// # Errors
    ///
    /// When a service does not answer in time, or `ROUTES` has problems. The routes stay as they are; Lambda and the
    /// schedule repeat the invocation.
    pub async fn handle(&self, deadline: Instant) -> Result<(), String> {
        for _ in 0..ROUNDS {
            if let Some(collected) = self.collect(deadline).await? {
                self.report(&collected);
                return Ok(());
            }
        }
        Err(format!(
            "expected to write the collected routes, found another writer {ROUNDS} times; the next invocation tries again"
        ))
    }

    /// `None` if another invocation wrote a version meanwhile, which may be based on newer parameters.
    async fn collect(&self, deadline: Instant) -> Result<Option<Collected>, String> {
        let policy = RetryPolicy::until(deadline);
        let text = |what| move |fault: Fault| format!("{what}: {fault}");
        let (base, _) = retry(policy, || self.base.read()).await;
        let base = base.map_err(text("cannot read the document of `ROUTES`"))?;
        // The previous version first: if it is still the last one when this version is written, the parameters are newer.
        let (previous, _) = retry(policy, || self.table.load(true)).await;
        let previous = previous.map_err(text("cannot read the collected routes from the table"))?;
        let parameters = self.parameters(policy).await;
        let parameters = parameters.map_err(text("cannot read the parameters with routes"))?;
        let collected = collect(&base, previous.as_ref(), &parameters)
            .map_err(|problems| format!("the routes of `ROUTES`: {problems}"))?;
        if collected.changed {
            let previous = previous.as_ref().map(|previous| previous.version);
            let save = || self.table.save(&collected.compiled, previous);
            let (saved, _) = retry(policy, save).await;
            let saved = saved.map_err(text("cannot write the collected routes into the table"))?;
            // After a lost response, this version counts as another writer's; the next round finds it equal.
            if !saved {
                return Ok(None);
            }
        }
        Ok(Some(collected))
    }

    /// All parameters, by name.
    async fn parameters(&self, policy: RetryPolicy) -> Result<Vec<Parameter>, Fault> {
        let mut parameters = Vec::new();
        let mut token = None;
        loop {
            let (page, _) = retry(policy, || self.parameters.page(token.clone())).await;
            let page = page?;
            parameters.extend(page.parameters);
            token = page.next_token;
            if token.is_none() {
                break;
            }
        }
        parameters.sort_by(|one, other| one.name.cmp(&other.name));
        parameters.dedup_by(|one, other| one.name == other.name);
        Ok(parameters)
    }

    fn report(&self, Collected { compiled, changed }: &Collected) {
        let Compiled {
            version,
            document,
            parameters,
            ..
        } = compiled;
        let mut refused = 0;
        for (name, state) in parameters {
            if let Some(refusal) = &state.refused {
                refused += 1;
                tracing::error!(
                    parameter = name,
                    parameter.version = refusal.version,
                    parameter.used = state.version,
                    error.text = refusal.problem,
                    "refused the routes of a parameter; its last good ones stay in use until it is repaired or removed"
                );
            }
        }
        tracing::info!(
            version,
            changed,
            parameters = parameters.len(),
            refused,
            bytes = document.len(),
            "collected the routes"
        );
        self.metrics.add(Metric::RouteRefused, refused, None, None);
    }
}

#[cfg(test)]
mod tests;
