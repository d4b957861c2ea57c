//! Waits between attempts without a limit.

use std::time::Duration;

/// Waits that double from `first` to `longest`, each shortened at random by up to half: clients that failed together retry
/// apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    wait: Duration,
}

impl Backoff {
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            wait: first,
        }
    }

    /// The next wait.
    pub fn pause(&mut self) -> Duration {
        let wait = self.wait;
        self.wait = (wait * 2).min(self.longest);
        wait.mul_f64(1.0 - fastrand::f64() / 2.0)
    }

    /// Resets after `time` of success, if that is at least the longest wait: such rare failures need no backoff.
    pub fn worked_for(&mut self, time: Duration) {
        if time >= self.longest {
            self.reset();
        }
    }

    /// Resets after a success.
    pub fn reset(&mut self) {
        self.wait = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_reset() {
        let ms = Duration::from_millis;
        let mut waits = Backoff::new(ms(200), ms(1000));
        for full in [200, 400, 800, 1000, 1000] {
            let wait = waits.pause();
            assert!(ms(full / 2) <= wait && wait <= ms(full), "{wait:?}");
        }
        waits.worked_for(ms(999));
        assert!(waits.pause() >= ms(500));
        waits.worked_for(ms(1000));
        assert!(waits.pause() <= ms(200));
        waits.reset();
        assert!(waits.pause() <= ms(200));
    }
}
