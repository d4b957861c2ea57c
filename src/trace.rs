//! What happened to that message? The answer of `bridge trace`, from whatever still knows of it.
//!
//! [`subject`] reads which message is asked for; [`gather`] asks the [`sources`]; [`assemble`] makes one timeline of what
//! they told; [`verdict`] says where each route stands, [`words`] in sentences; [`show`] writes it for people, and [`model`] is the JSON.

pub mod assemble;
pub mod gather;
pub mod letters;
pub mod lines;
pub mod links;
pub mod model;
pub mod show;
pub mod sources;
pub mod states;
pub mod subject;
pub mod verdict;
pub mod words;

#[cfg(test)]
mod tests;
