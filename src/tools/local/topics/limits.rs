//! Limits of a server.

use crate::domain::outbound::claims::MAX_ITEM_BYTES;

/// Bounds of the server's memory, and the history that a new subscription sees.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Topics kept; one more drops the idlest topic without a subscriber. Default 2,000.
    pub topics: usize,
    /// Messages kept per topic. Default 1,000.
    pub history: usize,
    /// Bytes of messages kept per topic. Default 256 KiB.
    pub history_bytes: usize,
    /// Open subscriptions, long polls included. Default 2,500: the tests of Momento's SDK for Node open 2,000.
    pub subscribers: usize,
    /// Messages repeated to a subscription without a position. Default 1, as the tests of Momento's SDKs for Node and Python
    /// expect.
    pub replay: u64,
    /// Largest cache item, in bytes. Default [`MAX_ITEM_BYTES`], Momento's; an older account may have 1 MB.
    pub item_bytes: usize,
    /// Bytes of all cache items together; more drop the items that end soonest. Default 64 MiB.
    pub items_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            topics: 2_000,
            history: 1_000,
            history_bytes: 256 * 1024,
            subscribers: 2_500,
            replay: 1,
            item_bytes: MAX_ITEM_BYTES,
            items_bytes: 64 * 1024 * 1024,
        }
    }
}
