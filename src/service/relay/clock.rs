//! Clock skew between this host and the webhook, by the `Date` of its answers.
//!
//! A webhook refuses messages that seem too old or from the future, so a relay with a wrong clock delivers nothing. It reports
//! the skew in its log, as a metric and on `/ready`.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use tokio::time::Instant;

/// The largest skew of a ready relay: half of `MAX_SKEW_SECONDS`, the smaller one of the webhook's limits.
pub const TOLERATED: Duration = Duration::from_secs(15);

/// The measured skew, and whether the webhook refused a message for its time.
#[derive(Debug, Default)]
pub struct Clock(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// How far this host's clock is ahead, in ms; negative where it is behind.
    skew_ms: i64,
    measured_at: Option<Instant>,
    /// Whether the last message was refused because of its time.
    refused: bool,
}

impl Clock {
    /// Measures the skew by the date of an answer, received at `received_ms` of this host's clock, `took` after its request
    /// was sent. An invalid date is ignored.
    pub fn measure(&self, date: &str, received_ms: i64, took: Duration) {
        let Some(skew_ms) = skew_ms(date, received_ms, took) else {
            return;
        };
        let mut state = self.state();
        let before = tolerated(state.skew_ms);
        state.skew_ms = skew_ms;
        state.measured_at = Some(Instant::now());
        drop(state);
        match (before, tolerated(skew_ms)) {
            (true, false) => tracing::error!(
                clock.skew_ms = skew_ms,
                "the clock of this host is {}: the webhook refuses messages as `stale` or `from_the_future`; set the clock, for example by NTP",
                self.describe()
            ),
            (false, true) => tracing::info!(
                clock.skew_ms = skew_ms,
                "the clock of this host agrees with the webhook's again"
            ),
            _ => {}
        }
    }

    /// Records whether the webhook refused the last message because of its time.
    pub fn refused(&self, refused: bool) {
        self.state().refused = refused;
    }

    /// Whether messages can be delivered with this clock.
    pub fn agrees(&self) -> bool {
        let state = self.state();
        !state.refused && tolerated(state.skew_ms)
    }

    /// Whether the measured skew is tolerated.
    pub fn is_tolerated(&self) -> bool {
        tolerated(self.skew_ms())
    }

    /// How far this host's clock is ahead, at least, in ms; negative where it is behind. 0 within the precision: a second plus
    /// the duration of the request.
    pub fn skew_ms(&self) -> i64 {
        self.state().skew_ms
    }

    /// The time since the last measurement; `None` before the first one.
    pub fn age(&self) -> Option<Duration> {
        self.state().measured_at.map(|at| at.elapsed())
    }

    /// For people: `92 s behind the webhook's`.
    pub fn describe(&self) -> String {
        let skew_ms = self.skew_ms();
        let seconds = skew_ms.unsigned_abs() / 1000;
        match skew_ms {
            ..-999 => format!("{seconds} s behind the webhook's"),
            1000.. => format!("{seconds} s ahead of the webhook's"),
            _ => "within a second of the webhook's".to_owned(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tolerated(skew_ms: i64) -> bool {
    u128::from(skew_ms.unsigned_abs()) <= TOLERATED.as_millis()
}

/// The webhook wrote the date, which has whole seconds, at some time between request and answer.
fn skew_ms(date: &str, received_ms: i64, took: Duration) -> Option<i64> {
    let date = DateTime::from_str(date, Format::HttpDate).ok()?;
    let earliest = date.secs().checked_mul(1000)?;
    let took = i64::try_from(took.as_millis()).ok()?;
    let most = received_ms.checked_sub(earliest)?;
    let least = most.checked_sub(999)?.checked_sub(took)?;
    Some(least.max(0) + most.min(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 784111777 s since the epoch.
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const AT: i64 = 784_111_777_000;

    #[test]
    fn a_skew_allows_for_whole_seconds_and_the_request() {
        let skew = |received: i64, took| skew_ms(DATE, received, Duration::from_millis(took));
        for agreeing in [AT, AT + 999] {
            assert_eq!(skew(agreeing, 0), Some(0));
        }
        assert_eq!(skew(AT - 1, 0), Some(-1));
        assert_eq!(skew(AT + 1000, 0), Some(1));
        // The answer may be as old as its request.
        assert_eq!(skew(AT + 5999, 5000), Some(0));
        assert_eq!(skew(AT + 6000, 5000), Some(1));
        assert_eq!(skew(AT - 90_000, 5000), Some(-90_000));
        for nonsense in ["", "now", "2026-01-01T00:00:00Z"] {
            assert_eq!(skew_ms(nonsense, AT, Duration::ZERO), None);
        }
        assert_eq!(skew(i64::MIN, 0), None);
    }

    #[test]
    fn clocks_agree_until_a_skew_or_a_refusal() {
        let clock = Clock::default();
        assert!(clock.agrees() && clock.age().is_none());
        for (skew, agrees, words) in [
            (0, true, "within a second of the webhook's"),
            (-15_000, true, "15 s behind the webhook's"),
            (-15_001, false, "15 s behind the webhook's"),
            (46_000, false, "45 s ahead of the webhook's"),
            (0, true, "within a second of the webhook's"),
        ] {
            clock.measure(DATE, AT + skew, Duration::ZERO);
            assert_eq!((clock.agrees(), clock.describe()), (agrees, words.into()));
        }
        clock.measure("none", AT + 90_000, Duration::ZERO);
        assert!(clock.agrees() && clock.age().is_some());
        clock.refused(true);
        assert!(!clock.agrees());
        clock.refused(false);
        assert!(clock.agrees());
    }
}
