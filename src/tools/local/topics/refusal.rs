//! The refusals of the server. The gRPC and HTTP interfaces map them to their statuses.

use super::broker::BrokerError;
use super::{MAX_CACHES, MAX_NAME_BYTES, MAX_VALUE_BYTES};

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("expected a valid API key, without `Bearer`, found none or another")]
    Unauthorized,
    #[error("Cache Not Found: expected the name of an existing cache, found `{0}`")]
    CacheNotFound(String),
    #[error("expected the name of a new cache, found the existing cache `{0}`")]
    CacheExists(String),
    #[error("expected at most {MAX_CACHES} caches; delete one first")]
    TooManyCaches,
    #[error("expected a {0} name of 1 to {MAX_NAME_BYTES} bytes; use another name")]
    BadName(&'static str),
    #[error("expected a value, text or binary, found none")]
    NoValue,
    #[error("expected a value of at most {MAX_VALUE_BYTES} bytes, found {0} or more; publish less")]
    TooLarge(usize),
    #[error("expected an item of at most {most} bytes, found {found} or more; store less")]
    ItemTooLarge { found: usize, most: usize },
    #[error("expected a time to live from 1 ms to 24 hours, found {0} ms")]
    BadTtl(u64),
    #[error(transparent)]
    Broker(#[from] BrokerError),
}

pub(super) fn check_name(what: &'static str, bytes: usize) -> Result<(), Refusal> {
    match bytes {
        1..=MAX_NAME_BYTES => Ok(()),
        _ => Err(Refusal::BadName(what)),
    }
}
