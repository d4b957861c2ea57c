//! The whole system on one machine, without an account and without Docker.
//!
//! [`Stack`] deploys the shipped `template.yaml` into a local AWS emulator ([`Emulator`], MiniStack), which runs the
//! real Lambda binaries, and connects it to a local Momento Topics server ([`topics`]). [Workflows](Workflow) are stacks of
//! their own beside it. `bridge local` and the end-to-end tests use the same type:
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use std::path::PathBuf;
//! use workflow_bridge::tools::local::{Options, Stack};
//!
//! let names = ["webhook", "redrive", "completion", "sweep", "routes", "canary"];
//! let binaries = names.map(|name| (name.to_owned(), PathBuf::from("target/debug").join(name)));
//! let mut options = Options::new(binaries.into())?;
//! options.with = vec!["examples/count".into()];
//! let stack = Stack::start(options).await?;
//! stack.momento_client()?.publish(stack.cache(), "count-in", "hello").await?;
//! stack.stop().await;
//! # Ok(())
//! # }
//! ```

pub mod aws;
pub mod build;
pub mod claim;
pub mod code;
mod deploy;
pub mod direction;
mod emulator;
pub mod executions;
pub mod flow;
mod functions;
mod happening;
pub mod live;
mod package;
mod port;
pub mod process;
pub mod python;
mod relay;
mod stack;
pub mod topics;
pub mod workspace;

pub use aws::Account;
pub use deploy::Deployed;
pub use emulator::Emulator;
pub use port::{Port, is_free};
pub use stack::{Delivery, Edit, Options, Stack, Workflow};
