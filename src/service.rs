//! The bridge outside Lambda: [`serve`] answers webhooks, [`relay`] reads topics where there are no webhooks.

pub mod backoff;
pub mod files;
pub mod relay;
pub mod serve;
pub mod server;
