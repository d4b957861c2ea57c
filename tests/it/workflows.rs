//! The workflows that are shipped, each in the deployed stack: what goes in, what comes back, and what happens when something
//! fails on the way.

mod approve;
mod count;
mod enqueue;
mod express_enrich;
mod listener;
mod on_the_bus;
mod running;
mod store;
mod translate_chat;

use anyhow::Result;
use serde_json::Value;

/// Adds what the tests of the workflows need besides the shipped template: variants that meet faults.
pub fn extend(template: &mut Value) -> Result<()> {
    count::extend(template)?;
    enqueue::extend(template)?;
    store::extend(template)
}
