//! Retries until a deadline. The only place that repeats a call.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::domain::fault::{Fault, FaultKind};
use crate::domain::ports::Answer;

/// Limits and pace of a call's attempts.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// End of all attempts.
    pub deadline: Instant,
    /// Time limit of one attempt, connection set-up included.
    pub per_attempt: Duration,
    /// The wait before the second attempt; each later one is twice as long, up to [`LONGEST_WAIT`].
    pub first_wait: Duration,
}

/// The longest wait between two attempts.
pub const LONGEST_WAIT: Duration = Duration::from_secs(1);

impl RetryPolicy {
    /// Short waits, for a caller that waits for the result.
    pub fn until(deadline: Instant) -> Self {
        Self {
            deadline,
            per_attempt: Duration::from_millis(1500),
            first_wait: Duration::from_millis(50),
        }
    }
}

/// Calls until success, a fault that is not transient, or the deadline. Also returns the number of attempts.
///
/// Waits vary by up to half, so that callers refused together do not retry together.
pub async fn retry<'a, T>(
    policy: RetryPolicy,
    mut call: impl FnMut() -> Answer<'a, T>,
) -> (Result<T, Fault>, u32) {
    let mut wait = policy.first_wait;
    let mut attempts = 0;
    loop {
        attempts += 1;
        let end = policy.deadline.min(Instant::now() + policy.per_attempt);
        let result = timeout_at(end, call())
            .await
            .unwrap_or_else(|_| Err(Fault::timed_out()));
        if !matches!(&result, Err(fault) if fault.kind == FaultKind::Transient) {
            return (result, attempts);
        }
        let pause = wait.mul_f64(1.0 - fastrand::f64() / 2.0);
        if Instant::now() + pause >= policy.deadline {
            return (result, attempts);
        }
        sleep(pause).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn outcome(faults: Vec<Fault>, seconds: u64) -> (Result<(), Fault>, u32) {
        let mut faults = faults.into_iter();
        let policy = RetryPolicy::until(Instant::now() + Duration::from_secs(seconds));
        retry(policy, || {
            let fault = faults.next();
            Box::pin(async move { fault.map_or(Ok(()), Err) })
        })
        .await
    }

    #[tokio::test(start_paused = true)]
    async fn a_transient_fault_is_tried_again_and_a_permanent_one_is_not() {
        let slow = Fault::transient("ThrottlingException", "slow down");
        let wrong = Fault::permanent("InvalidArn", "wrong");
        assert_eq!(outcome(vec![], 4).await, (Ok(()), 1));
        assert_eq!(outcome(vec![slow.clone(); 3], 4).await, (Ok(()), 4));
        assert_eq!(outcome(vec![slow, wrong.clone()], 4).await, (Err(wrong), 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_fault_that_stays_ends_at_the_deadline() {
        let start = Instant::now();
        let (result, attempts) = outcome(vec![Fault::transient("x", "y"); 1000], 4).await;
        assert!(result.is_err() && attempts > 4, "{attempts}");
        assert!(start.elapsed() <= Duration::from_secs(4));
    }

    #[tokio::test(start_paused = true)]
    async fn waits_double_up_to_the_longest_and_vary_by_up_to_half() {
        let start = Instant::now();
        let policy = RetryPolicy::until(start + Duration::from_secs(30));
        let mut calls = Vec::new();
        let (result, _) = retry(policy, || {
            calls.push(start.elapsed());
            Box::pin(async { Err::<(), _>(Fault::transient("x", "y")) })
        })
        .await;
        assert!(result.is_err() && calls.len() > 20, "{calls:?}");
        let mut longest = policy.first_wait;
        for pair in calls.windows(2) {
            let wait = pair[1] - pair[0];
            // Timers have a resolution of a millisecond.
            let range = longest / 2..=longest + Duration::from_millis(1);
            assert!(range.contains(&wait), "{wait:?} in {range:?}");
            longest = (longest * 2).min(LONGEST_WAIT);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_hangs_is_cut_off_and_tried_again() {
        let start = Instant::now();
        let policy = RetryPolicy::until(start + Duration::from_secs(4));
        let (result, attempts) = retry(policy, || {
            Box::pin(std::future::pending::<Result<(), Fault>>())
        })
        .await;
        assert_eq!((result, attempts), (Err(Fault::timed_out()), 3));
        assert_eq!(start.elapsed(), Duration::from_secs(4));
    }
}
