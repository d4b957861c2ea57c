//! The whole system on one machine, without an account and without Docker.
//!
//! [`Stack`] deploys the shipped `template.yaml` into a local AWS emulator ([`Emulator`], MiniStack), which runs the
//! real Lambda binaries, and connects it to a local Momento Topics server ([`topics`]). `bridge local` and the
//! end-to-end tests use the same type:
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use std::path::PathBuf;
//! use workflow_bridge::tools::local::{Options, Stack};
//!
//! let binaries = ["webhook", "completion", "sweep"].map(|name| (name.to_owned(), PathBuf::from("target/debug").join(name)));
//! let stack = Stack::start(Options::new(binaries.into())?).await?;
//! stack.momento_client()?.publish(stack.cache(), "uppercase-in", "hello").await?;
//! stack.stop().await;
//! # Ok(())
//! # }
//! ```

pub mod aws;
pub mod build;
pub mod claim;
mod deploy;
mod emulator;
pub mod flow;
mod functions;
mod package;
pub mod process;
pub mod python;
mod relay;
mod stack;
pub mod topics;
pub mod workspace;

pub use aws::Account;
pub use deploy::Deployed;
pub use emulator::Emulator;
pub use stack::{Delivery, Edit, Options, Stack, TopicsPort};
