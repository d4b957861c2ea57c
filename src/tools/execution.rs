//! An execution of a state machine: the states it visited, its events and its graph.
//!
//! [`history`] reads the events from Step Functions; [`visits`] turns them into visits of states; [`view`] joins these
//! with the definition; [`graph::svg`] draws the result.

pub mod event;
pub mod graph;
pub mod history;
pub mod model;
pub mod visits;

pub use event::Event;
pub use model::{EventRow, Status, Step, View, Visit};
