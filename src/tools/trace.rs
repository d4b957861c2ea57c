//! `bridge trace`: the history of a message, from all sources that still have a part of it.
//!
//! [`subject`] parses the argument of a query; [`gather`] queries the [`sources`]; [`assemble`] merges the results into one
//! timeline; [`verdict`] finds the state of each route, and [`words`] its sentence; [`show`] writes for people; [`model`] is the
//! JSON.

pub mod assemble;
pub mod gather;
pub mod links;
pub mod logs;
pub mod model;
pub mod routes;
pub mod show;
pub mod sources;
pub mod subject;
pub mod verdict;
pub mod words;

#[cfg(test)]
mod tests;
