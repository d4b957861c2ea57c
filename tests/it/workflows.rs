//! The workflows that are shipped, each in the deployed stack: what goes in, what comes back, and what happens when something
//! fails on the way.

mod approve;
mod express_enrich;
mod listener;
mod on_the_bus;
mod translate_chat;
