//! The places of the vertices in their layers: the crate `rust-sugiyama` orders them with few crossings and long
//! straight lines. It needs 4 ms for 650 vertices and 0.5 s for 4,800 (500 states, 850 edges) on a shared core; ports of
//! dagre take 1 to 5 s for the same, or a newer compiler.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rust_sugiyama::configure::Config;
use rust_sugiyama::from_vertices_and_edges;

use super::layers::Layered;

/// Between two vertices of a layer.
pub const GAP: f64 = 28.0;

/// The crate's time grows faster than the number of vertices: with more than these, which take about 0.7 s at most, the
/// order is that of the definition.
const MOST: usize = 5_000;

/// The centre of each vertex, from 0 on.
pub fn columns(layered: &Layered) -> Vec<f64> {
    let count = layered.width.len();
    let placed = (count <= MOST).then(|| placed(layered)).flatten();
    let mut centres = placed.unwrap_or_else(|| vec![0.0; count]);
    separate(layered, &mut centres);
    let left = |vertex: usize| centres[vertex] - layered.width[vertex] / 2.0;
    let first = (0..count).map(left).fold(f64::INFINITY, f64::min);
    for centre in &mut centres {
        *centre -= first;
    }
    centres
}

/// By the crate; none where it fails.
fn placed(layered: &Layered) -> Option<Vec<f64>> {
    let vertices: Vec<(u32, (f64, f64))> =
        (0..).zip(layered.width.iter().map(|w| (*w, 1.0))).collect();
    let config = Config {
        vertex_spacing: GAP,
        ..Config::default()
    };
    let layout = || from_vertices_and_edges(&vertices, &layered.steps, &config);
    // It has no errors but panics.
    let parts = catch_unwind(AssertUnwindSafe(layout)).ok()?;
    let mut centres = vec![None; layered.width.len()];
    let mut right = 0.0;
    for (part, ..) in parts {
        let left = |(vertex, (x, _)): &(usize, (f64, f64))| x - layered.width[*vertex] / 2.0;
        let first = part.iter().map(left).fold(f64::INFINITY, f64::min);
        let mut next = right;
        for (vertex, (x, _)) in part {
            let centre = x - first + right;
            *centres.get_mut(vertex)? = Some(centre).filter(|centre| centre.is_finite());
            next = f64::max(next, centre + layered.width[vertex] / 2.0 + GAP);
        }
        right = next;
    }
    centres.into_iter().collect()
}

/// Moves vertices to the right until none overlaps another of its layer.
fn separate(layered: &Layered, centres: &mut [f64]) {
    let mut order: Vec<usize> = (0..centres.len()).collect();
    order.sort_by(|a, b| {
        let layers = layered.layer[*a].cmp(&layered.layer[*b]);
        layers
            .then(centres[*a].total_cmp(&centres[*b]))
            .then(a.cmp(b))
    });
    for row in order.chunk_by(|a, b| layered.layer[*a] == layered.layer[*b]) {
        for pair in row.windows(2) {
            let room = (layered.width[pair[0]] + layered.width[pair[1]]) / 2.0 + GAP / 2.0;
            centres[pair[1]] = centres[pair[1]].max(centres[pair[0]] + room);
        }
    }
}
