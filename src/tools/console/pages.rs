//! The pages: each module renders its own, and answers their requests.

pub mod events;
pub mod executions;
pub mod letters;
pub mod publish;
pub mod queues;
pub mod routes;
pub mod run;
pub mod runs;
mod shown;
mod states;
mod timeline;
mod visit;
