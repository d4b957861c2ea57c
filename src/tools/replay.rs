//! Puts dead letters back on their path: [`choice`] selects them, [`reading`] reads their queues, [`run`] moves them, [`sqs`] has
//! the queues.

pub mod choice;
pub mod reading;
pub mod run;
pub mod sqs;
