//! The tools behind the subcommands of `bridge`, without arguments and output.

pub mod check;
pub mod drawing;
pub mod execution;
pub mod explain;
pub mod letters;
pub mod local;
pub mod scaffold;
pub mod schema;
pub mod template;
pub mod terminal;
pub mod trace;
