//! The budget of a sweep's invocation: time, and calls of ListExecutions.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// One call a second: the whole account, people and other programs included, has 5 a second in the largest regions and 2
/// elsewhere. The account's bucket holds 100 at least.
const EVERY: Duration = Duration::from_secs(1);
/// Calls allowed at once.
const BURST: u32 = 3;
/// Approximate time of a page; with less left, no page is begun.
const PAGE: Duration = Duration::from_secs(2);

/// The rest of an invocation.
pub struct Budget {
    began: Instant,
    began_ms: i64,
    /// No work begins after this.
    pub deadline: Instant,
    /// When the rate covers all calls so far.
    paid: Instant,
}

impl Budget {
    /// The budget of an invocation that begins now, at `now_ms` since the epoch.
    pub fn new(now_ms: i64, deadline: Instant) -> Self {
        let began = Instant::now();
        Self {
            began,
            began_ms: now_ms,
            deadline,
            paid: began,
        }
    }

    /// ms since the epoch.
    pub fn now_ms(&self) -> i64 {
        let elapsed = i64::try_from(self.began.elapsed().as_millis());
        self.began_ms + elapsed.unwrap_or(i64::MAX / 2)
    }

    pub fn is_over(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// Waits until ListExecutions may be called; returns false if too little time would be left.
    pub(super) async fn call(&mut self) -> bool {
        let ahead = EVERY * (BURST - 1);
        let now = Instant::now();
        let ready = self.paid.checked_sub(ahead).unwrap_or(now).max(now);
        if ready + PAGE > self.deadline {
            return false;
        }
        sleep_until(ready).await;
        self.paid = self.paid.max(ready) + EVERY;
        true
    }

    /// Charges calls made without [`Budget::call`].
    pub(super) fn charge(&mut self, calls: u32) {
        self.paid += EVERY * calls;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_few_calls_are_quick_and_the_others_a_second_apart() {
        let began = Instant::now();
        let mut budget = Budget::new(1000, began + Duration::from_secs(57));
        let mut at = Vec::new();
        while budget.call().await {
            at.push(began.elapsed().as_secs());
        }
        assert_eq!(at[..6], [0, 0, 0, 1, 2, 3]);
        assert_eq!((at.len(), at.last()), (58, Some(&55)));
        assert_eq!(budget.now_ms(), 56_000);
        assert!(!budget.is_over());
    }

    #[tokio::test(start_paused = true)]
    async fn repeated_calls_count() {
        let began = Instant::now();
        let mut budget = Budget::new(0, began + Duration::from_secs(60));
        assert!(budget.call().await);
        budget.charge(4);
        assert!(budget.call().await);
        assert_eq!(began.elapsed(), Duration::from_secs(3));
    }
}
