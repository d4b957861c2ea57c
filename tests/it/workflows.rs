//! The shipped workflows in the deployed stack: input, output and failures.

mod approve;
pub mod count;
pub mod enqueue;
mod enrich_with_lambda;
mod express_enrich;
mod listener;
mod on_the_bus;
mod order;
mod running;
pub mod store;
mod translate_chat;
