//! The real binaries, from outside.
//!
//! `lambda` runs them under an emulated Runtime API against replayed AWS answers; `e2e` uses the deployed template;
//! `proxy` puts faults between them and the local servers.
#![cfg(feature = "cli")]

mod chaos;
mod cli;
mod completion;
mod crashes;
mod deployed;
mod drawing;
mod e2e;
mod emulator;
mod faulty;
mod killed;
mod lambda;
mod lambda_bench;
mod ledger;
mod lost;
mod matrix;
mod messages;
mod metrics;
mod new;
mod proxy;
mod relay;
mod relay_bench;
mod replay;
mod rotation;
mod serve;
mod sizes;
mod startup;
mod sweep;
mod template;
mod triggers;
mod webhook;
mod workflows;
