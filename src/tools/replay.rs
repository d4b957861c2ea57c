//! Puts dead letters back on their path: [`choice`] selects them, [`run`] moves them, [`look`] only reads them, [`sqs`] has their
//! queues.

pub mod choice;
pub mod look;
pub mod run;
pub mod sqs;
