//! The pages: each module renders its own, and answers their requests.

pub mod executions;
pub mod letters;
pub mod publish;
pub mod queues;
pub mod routes;
pub mod run;
pub mod runs;
mod states;
mod timeline;
