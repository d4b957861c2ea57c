//! The budget of a sweep's invocation: time, and calls of Step Functions.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Approximate time of a page; with less left, no page is begun.
const PAGE: Duration = Duration::from_secs(2);

/// The rest of an invocation.
pub struct Budget {
    began: Instant,
    began_ms: i64,
    /// No work begins after this.
    pub deadline: Instant,
    /// ListExecutions: three calls in two seconds. The whole account, people and other programs included, has 5 a second in
    /// the largest regions and 2 elsewhere, and a bucket of 100 at least.
    lists: Rate,
    /// The far passes' share of them: one call in two seconds.
    far: Rate,
    /// DescribeExecution: three calls a second. The account has 15 a second in the largest regions and 10 elsewhere, and a
    /// bucket of 250 at least.
    describes: Rate,
}

struct Rate {
    every: Duration,
    /// Calls allowed at once.
    burst: u32,
    /// When the rate covers all calls so far.
    paid: Instant,
}

impl Rate {
    fn new(every: Duration, burst: u32) -> Self {
        let paid = Instant::now();
        Self { every, burst, paid }
    }

    /// Waits for the next call; returns false if that would be after `latest`.
    async fn call(&mut self, latest: Instant) -> bool {
        let ahead = self.every * (self.burst - 1);
        let now = Instant::now();
        let ready = self.paid.checked_sub(ahead).unwrap_or(now).max(now);
        if ready > latest {
            return false;
        }
        sleep_until(ready).await;
        self.paid = self.paid.max(ready) + self.every;
        true
    }
}

impl Budget {
    /// The budget of an invocation that begins now, at `now_ms` since the epoch.
    pub fn new(now_ms: i64, deadline: Instant) -> Self {
        let began = Instant::now();
        Self {
            began,
            began_ms: now_ms,
            deadline,
            lists: Rate::new(Duration::from_secs(2) / 3, 10),
            far: Rate::new(Duration::from_secs(2), 1),
            describes: Rate::new(Duration::from_secs(1) / 3, 30),
        }
    }

    /// ms since the epoch.
    pub fn now_ms(&self) -> i64 {
        let elapsed = i64::try_from(self.began.elapsed().as_millis());
        self.began_ms + elapsed.unwrap_or(i64::MAX / 2)
    }

    /// The start of the invocation, in ms since the epoch.
    pub fn began_ms(&self) -> i64 {
        self.began_ms
    }

    pub fn is_over(&self) -> bool {
        Instant::now() >= self.deadline
    }

    fn latest(&self) -> Instant {
        self.deadline.checked_sub(PAGE).unwrap_or(self.began)
    }

    /// Waits until ListExecutions may be called; returns false if too little time would be left.
    pub(super) async fn list(&mut self) -> bool {
        let latest = self.latest();
        self.lists.call(latest).await
    }

    /// The same for a far pass.
    pub(super) async fn list_far(&mut self) -> bool {
        let latest = self.latest();
        self.far.call(latest).await && self.lists.call(latest).await
    }

    /// Charges calls of ListExecutions made without [`Budget::list`].
    pub(super) fn charge(&mut self, calls: u32) {
        self.lists.paid += self.lists.every * calls;
    }

    /// Halves the rate: other programs need the quota.
    pub(super) fn slow_down(&mut self) {
        self.lists.every *= 2;
    }

    /// Waits until DescribeExecution may be called; returns false if too little time would be left.
    pub(super) async fn describe(&mut self) -> bool {
        let latest = self.latest();
        self.describes.call(latest).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_few_calls_are_quick_and_the_others_are_spaced() {
        let began = Instant::now();
        let mut budget = Budget::new(1000, began + Duration::from_secs(62));
        let mut at = Vec::new();
        while budget.list().await {
            at.push(began.elapsed().as_secs());
        }
        assert_eq!(at[8..16], [0, 0, 0, 1, 2, 2, 3, 4]);
        assert_eq!((at.len(), at.last()), (100, Some(&60)));
        assert!(!budget.is_over());
    }

    #[tokio::test(start_paused = true)]
    async fn far_passes_and_descriptions_have_rates_of_their_own() {
        let began = Instant::now();
        let mut budget = Budget::new(0, began + Duration::from_secs(62));
        let mut calls = 0;
        while budget.list_far().await {
            calls += 1;
        }
        assert_eq!(calls, 31);
        let mut budget = Budget::new(0, Instant::now() + Duration::from_secs(62));
        let mut calls = 0;
        while budget.describe().await {
            calls += 1;
        }
        assert!((209..=211).contains(&calls), "{calls}");
    }

    #[tokio::test(start_paused = true)]
    async fn repeated_calls_count_and_throttling_halves_the_rate() {
        let began = Instant::now();
        let mut budget = Budget::new(0, began + Duration::from_secs(60));
        assert!(budget.list().await);
        budget.charge(11);
        assert!(budget.list().await);
        assert_eq!(began.elapsed().as_secs(), 2);
        budget.slow_down();
        for _ in 0..20 {
            assert!(budget.list().await);
        }
        assert!(began.elapsed().as_secs() > 20);
    }
}
