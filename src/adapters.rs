//! The ports, by means of AWS's and Momento's SDKs: the only files that name one.

pub mod aws;
pub mod dynamodb;
pub mod eventbridge;
#[cfg(feature = "cli")]
pub mod files;
#[cfg(feature = "cli")]
pub mod history;
pub mod items;
#[cfg(feature = "cli")]
pub mod logs;
pub mod momento;
pub mod objects;
pub mod secrets;
pub mod sfn;
pub mod sqs;
pub mod ssm;
#[cfg(feature = "cli")]
pub mod subscriptions;
pub mod topics;
