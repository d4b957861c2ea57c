//! The text of a message: its number, its time of publication, and padding.

use std::time::{SystemTime, UNIX_EPOCH};

/// Bytes of every message.
pub const BYTES: usize = 200;

/// The text of message `number`, published `at_ns` nanoseconds since the epoch; 0 for no latency.
pub fn write(number: u64, at_ns: u64) -> String {
    format!("{number:010} {at_ns:020} {:.<168}", "")
}

/// Number and time of a message; `None` for a text not made by [`write`].
pub fn read(text: &str) -> Option<(u64, u64)> {
    let mut parts = text.splitn(3, ' ');
    let number = parts.next()?.parse().ok()?;
    let at_ns = parts.next()?.parse().ok()?;
    (text.len() == BYTES).then_some((number, at_ns))
}

/// Nanoseconds since the epoch. All processes of the machine share the clock.
pub fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}
