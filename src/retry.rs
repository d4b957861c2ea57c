//! Asking again, for as long as a deadline allows. The only place where a call is repeated.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::ports::{Answer, Fault, FaultKind};

/// How often and how long.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// No attempt begins, and none goes on, after this.
    pub deadline: Instant,
    /// Bound of one attempt, connection set-up included.
    pub per_attempt: Duration,
    /// The wait before the second attempt; each later one is twice as long, up to [`LONGEST_WAIT`].
    pub first_wait: Duration,
}

/// The longest wait between two attempts.
pub const LONGEST_WAIT: Duration = Duration::from_secs(1);

impl Patience {
    /// Short waits, for a caller who waits for the answer.
    pub fn until(deadline: Instant) -> Self {
        Self {
            deadline,
            per_attempt: Duration::from_millis(1500),
            first_wait: Duration::from_millis(50),
        }
    }
}

/// Calls until it works, a fault is permanent or the deadline is near. Returns how many attempts it took.
///
/// Waits vary by up to half, so that many callers refused at once do not all come back at once.
pub async fn retry<'a, T>(
    patience: Patience,
    mut call: impl FnMut() -> Answer<'a, T>,
) -> (Result<T, Fault>, u32) {
    let mut wait = patience.first_wait;
    let mut attempts = 0;
    loop {
        attempts += 1;
        let end = patience.deadline.min(Instant::now() + patience.per_attempt);
        let result = timeout_at(end, call())
            .await
            .unwrap_or_else(|_| Err(Fault::timed_out()));
        if !matches!(&result, Err(fault) if fault.kind == FaultKind::Transient) {
            return (result, attempts);
        }
        let pause = wait.mul_f64(1.0 - fastrand::f64() / 2.0);
        if Instant::now() + pause >= patience.deadline {
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
        let patience = Patience::until(Instant::now() + Duration::from_secs(seconds));
        retry(patience, || {
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
    async fn a_call_that_hangs_is_cut_off_and_tried_again() {
        let start = Instant::now();
        let patience = Patience::until(start + Duration::from_secs(4));
        let (result, attempts) = retry(patience, || {
            Box::pin(std::future::pending::<Result<(), Fault>>())
        })
        .await;
        assert_eq!((result, attempts), (Err(Fault::timed_out()), 3));
        assert_eq!(start.elapsed(), Duration::from_secs(4));
    }
}
