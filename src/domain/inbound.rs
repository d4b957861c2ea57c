//! From a signed POST to StartExecution and PutEvents.

pub mod dispatch;
pub mod envelope;
pub mod execution_name;
pub mod letter;
pub mod message;
pub mod outcome;
pub mod queues;
pub mod request;
pub mod resume;
pub mod routes;
pub mod secrets;
pub mod signature;
