//! From a signed POST to StartExecution and PutEvents.

pub mod arn;
pub mod collect;
pub mod dispatch;
pub mod envelope;
pub mod execution_name;
pub mod key;
pub mod letter;
pub mod live_routes;
pub mod message;
pub mod outcome;
pub mod queues;
pub mod request;
pub mod resume;
pub mod routes;
pub mod secrets;
pub mod signature;
