//! Integration tests of the real binaries.
//!
//! `lambda` runs them under an emulated Runtime API against replayed AWS answers; `e2e` uses the deployed template;
//! `proxy` injects faults between them and the local servers.
#![cfg(feature = "cli")]

mod addresses;
mod aws;
mod benches;
mod canary;
mod chaos;
mod check;
mod cli;
mod clients;
mod completion;
mod console;
mod crashes;
mod dashboard;
mod deployed;
mod drawing;
mod e2e;
mod emulator;
mod explain;
mod init;
mod killed;
mod lambda;
mod layers;
mod ledger;
mod live_edits;
mod live_routes;
mod lost;
mod messages;
mod metrics;
mod mistakes;
mod new;
mod operations;
mod own_functions;
mod reference;
mod relay;
mod release;
mod replay;
mod resets;
mod rotation;
mod scaling;
mod serve;
#[path = "../shared/mod.rs"]
mod shared;
mod sizes;
mod startup;
mod sweep;
mod template;
mod terminal;
mod tls;
mod trace;
mod triggers;
mod upgrade;
mod webhook;
mod workflows;

use self::shared::{faulty, proxy};
