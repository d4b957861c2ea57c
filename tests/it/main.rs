//! The real binaries, from outside.
//!
//! `lambda` runs them under an emulated Runtime API against replayed AWS answers; `e2e` uses the deployed template.
#![cfg(feature = "cli")]

mod cli;
mod completion;
mod deployed;
mod e2e;
mod emulator;
mod killed;
mod lambda;
mod startup;
mod triggers;
mod webhook;
