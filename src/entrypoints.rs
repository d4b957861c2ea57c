//! Where invocations arrive. Statuses, retries of records and event shapes are decided here and nowhere else.

pub mod canary;
pub mod completions;
pub mod http;
pub mod lambda;
pub mod records;
pub mod redrive;
pub mod routes;
pub mod runtime;
pub mod sweep;
