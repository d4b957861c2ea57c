//! Puts dead letters back on their path: [`choice`] selects them, [`run`] moves them, [`sqs`] has their queues.

pub mod choice;
pub mod run;
pub mod sqs;
