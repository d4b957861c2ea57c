//! The tools behind the subcommands of `bridge`, without arguments and output.

pub mod check;
pub mod console;
pub mod drawing;
pub mod execution;
pub mod explain;
pub mod letters;
pub mod local;
pub mod place;
pub mod replay;
pub mod scaffold;
pub mod schema;
pub mod template;
pub mod terminal;
pub mod trace;
