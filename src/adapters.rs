//! The [ports](crate::domain::ports), implemented by AWS's and Momento's SDKs.

pub mod aws;
pub mod momento;
