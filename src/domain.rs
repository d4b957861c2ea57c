//! The bridge itself, without AWS, Momento, Lambda or a clock: [`inbound`] from signed bytes to executions and events,
//! [`outbound`] from the end of an execution to publications.

pub mod fault;
pub mod inbound;
pub mod outbound;
pub mod ports;
pub mod retry;
