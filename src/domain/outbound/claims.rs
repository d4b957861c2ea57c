//! Claims for values too large for a topic message: the value is stored elsewhere, and the topic gets a claim with its
//! place.
//!
//! ```json
//! {"claim":{"cache":"demo","key":"workflow-bridge/<sha256>","bytes":9000,"sha256":"<hex>","expires_at":1704299000000}}
//! {"claim":{"url":"https://…","bytes":9000000,"sha256":"<hex>","expires_at":1704299000000}}
//! ```
//!
//! A value is stored under its own hash, so storing it again, after a crash or for another topic, adds nothing.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use ring::digest::{SHA256, digest};
use serde::Serialize;
use tokio::time::Instant;

use crate::domain::fault::Fault;
use crate::domain::outbound::result::Publication;
use crate::domain::ports::{Items, Objects};
use crate::domain::retry::{RetryPolicy, retry};

/// Momento's limit on a cache item, in bytes: "5 MB", read as the smaller of its two meanings. Older accounts may have a
/// limit of 1 MB, which shows as [`Fault::TOO_LARGE`]. From `docs/cache/limits.mdx` of momentohq/public-dev-docs.
pub const MAX_ITEM_BYTES: usize = 5_000_000;

/// Momento's limit on a cache item's time to live: 24 hours. From the same document.
pub const MAX_ITEM_TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// Longest validity of a presigned URL: it expires with the credentials that signed it, whose end a function cannot see.
pub const MAX_URL_TTL: Duration = Duration::from_secs(60 * 60);

/// Time limit of one attempt to store a value: some megabytes, from a small function.
const ATTEMPT_WITHIN: Duration = Duration::from_secs(5);

/// Stores oversized values.
pub struct Claims {
    pub items: Arc<dyn Items>,
    /// For values too large for an item.
    pub objects: Option<Arc<dyn Objects>>,
    /// Longest value of a topic message, in bytes.
    pub max_message_bytes: usize,
    /// Largest value of a cache item, in bytes; at most the service's limit.
    pub max_item_bytes: usize,
    /// Validity of a stored value, in whole seconds.
    pub ttl: Duration,
    /// ms since the epoch.
    pub now_ms: fn() -> i64,
}

/// Why a value is not publishable.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unclaimed {
    /// No store takes a value of this size.
    #[error(
        "expected a value of at most {most} bytes, found {found}; return less, return a reference to it, or set a bucket for large values"
    )]
    TooLarge {
        found: usize,
        /// The largest publishable value, in bytes.
        most: usize,
    },
    #[error("could not store a value of {bytes} bytes after {attempts} attempts: {fault}")]
    Store {
        bytes: usize,
        attempts: u32,
        fault: Fault,
    },
}

/// The place of a value. Serialized in this order, as documented.
#[derive(Serialize)]
struct Claim<'a> {
    #[serde(flatten)]
    place: Place<'a>,
    bytes: usize,
    sha256: &'a str,
    /// ms since the epoch.
    expires_at: i64,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Place<'a> {
    Item { cache: &'a str, key: &'a str },
    Object { url: &'a str },
}

impl Claims {
    /// The text to publish: a value that fits a message, or else a claim, once the value is stored.
    ///
    /// # Errors
    ///
    /// When no store takes a value of that size, or storing fails until `deadline`.
    pub async fn text<'a>(
        &self,
        publication: &'a Publication,
        deadline: Instant,
    ) -> Result<Cow<'a, str>, Unclaimed> {
        let value = publication.value.as_str();
        if value.len() <= self.max_message_bytes {
            return Ok(Cow::Borrowed(value));
        }
        let sha256 = hex::encode(digest(&SHA256, value.as_bytes()));
        let key = format!("workflow-bridge/{sha256}");
        // In whole seconds and from before the value is stored, so that a claim never promises too much.
        let ttl = Duration::from_secs(self.ttl.as_secs());
        let claim = |place, ttl: Duration| {
            let claim = Claim {
                place,
                bytes: value.len(),
                sha256: &sha256,
                expires_at: ((self.now_ms)() / 1000 + ttl.as_secs() as i64) * 1000,
            };
            self.fitting(&claim)
        };

        let mut most = self.max_item_bytes;
        if value.len() <= most {
            let cache = &publication.cache;
            let Some(text) = claim(Place::Item { cache, key: &key }, ttl) else {
                return Err(Unclaimed::TooLarge {
                    found: value.len(),
                    most: self.max_message_bytes,
                });
            };
            let store = || self.items.store(cache, &key, value, ttl);
            match retry(policy(deadline), store).await {
                (Ok(()), _) => return Ok(Cow::Owned(text)),
                // The account's limit is unknown, but below this size.
                (Err(fault), _) if fault.code == Fault::TOO_LARGE => most = value.len() - 1,
                (Err(fault), attempts) => return Err(failed(value, attempts, fault)),
            }
        }
        let found = value.len();
        let Some(objects) = &self.objects else {
            return Err(Unclaimed::TooLarge { found, most });
        };
        let ttl = ttl.min(MAX_URL_TTL);
        let asked_at = (self.now_ms)();
        let store = || objects.store(&key, value, ttl);
        let (url, attempts) = retry(policy(deadline), store).await;
        let url = url.map_err(|fault| failed(value, attempts, fault))?;
        // A URL's validity begins with its signature, at some time after `asked_at`.
        let waited = Duration::from_millis((self.now_ms)().abs_diff(asked_at));
        let text = claim(Place::Object { url: &url }, ttl.saturating_sub(waited));
        text.map(Cow::Owned)
            .ok_or(Unclaimed::TooLarge { found, most })
    }

    /// The claim as a message, unless it exceeds a message's limit itself.
    fn fitting(&self, claim: &Claim<'_>) -> Option<String> {
        #[derive(Serialize)]
        struct Message<'a> {
            claim: &'a Claim<'a>,
        }
        let text = serde_json::to_string(&Message { claim });
        let text = text.expect("strings and numbers always serialize");
        (text.len() <= self.max_message_bytes).then_some(text)
    }
}

fn policy(deadline: Instant) -> RetryPolicy {
    RetryPolicy {
        per_attempt: ATTEMPT_WITHIN,
        first_wait: Duration::from_millis(100),
        ..RetryPolicy::until(deadline)
    }
}

fn failed(value: &str, attempts: u32, fault: Fault) -> Unclaimed {
    Unclaimed::Store {
        bytes: value.len(),
        attempts,
        fault,
    }
}

#[cfg(test)]
mod tests;
