//! The shipped workflows in the deployed stack: input, output and failures.

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

/// Adds variants of the shipped workflows that meet faults.
pub fn extend(template: &mut Value) -> Result<()> {
    count::extend(template)?;
    enqueue::extend(template)?;
    store::extend(template)
}
