//! The graph of an execution as SVG.
//!
//! `layers` makes a layered graph of a machine's states; `columns` places it with the crate `rust-sugiyama`;
//! `laid` lays out inner machines first, then their states as nodes of that size; `svg` writes it.

mod columns;
mod laid;
mod layers;
mod svg;
mod text;

#[cfg(test)]
mod tests;

pub use svg::svg;
pub use text::href;

/// The colours of the graph, in light and dark. The SVG has no style of its own.
pub const CSS: &str = include_str!("graph.css");
