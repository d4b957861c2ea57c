//! A machine with the place of each state and edge.

use std::collections::BTreeMap;

use super::columns::columns;
use super::layers::{Edge, Layered, Size, layered};
use super::text::{label, state_size, width};
use crate::tools::drawing::asl::{Machine, State};

/// The head of a state; all of it unless it has inner machines.
pub const HEAD: f64 = 50.0;
/// The circles of start and end.
const DOT: Size = Size {
    width: 58.0,
    height: 28.0,
};
/// Between layers.
const SPACE: f64 = 22.0;
/// Around inner machines.
pub const PAD: f64 = 16.0;
/// The height of a label.
pub const LABEL: f64 = 16.0;
/// How far a loop of one state reaches out.
pub const LOOP: f64 = 20.0;

/// A machine's picture. Its left upper corner is 0, 0.
#[derive(Debug, Default)]
pub struct Laid<'a> {
    pub width: f64,
    pub height: f64,
    pub nodes: Vec<Node<'a>>,
    pub lines: Vec<Line<'a>>,
}

/// A state, start or end.
#[derive(Debug)]
pub struct Node<'a> {
    /// Its left upper corner.
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
    pub what: What<'a>,
    /// Inner machines, by their left upper corners within the node.
    pub inner: Vec<(f64, f64, Laid<'a>)>,
}

#[derive(Clone, Copy, Debug)]
pub enum What<'a> {
    Start,
    End,
    State(&'a State),
}

/// An edge, with the indexes of its nodes.
#[derive(Debug)]
pub struct Line<'a> {
    pub from: usize,
    pub to: usize,
    /// From its beginning to its tip.
    pub points: Vec<(f64, f64)>,
    /// The label, with its centre.
    pub label: Option<(&'a str, f64, f64)>,
    pub caught: bool,
    /// Whether it leads up.
    pub back: bool,
}

/// Lays out a machine; `whole` ones have a start and an end.
pub fn laid(machine: &Machine, whole: bool) -> Laid<'_> {
    let (mut nodes, mut sizes) = (Vec::new(), Vec::new());
    let mut add = |what, size: Size, inner| {
        nodes.push(Node {
            x: 0.0,
            y: 0.0,
            width: size.width,
            height: size.height,
            what,
            inner,
        });
        sizes.push(size);
        sizes.len() - 1
    };
    let start = whole.then(|| add(What::Start, DOT, Vec::new()));
    let mut index = BTreeMap::new();
    for state in &machine.states {
        let (size, inner) = measured(state);
        index.insert(state.name.as_str(), add(What::State(state), size, inner));
    }
    let ends = machine.states.iter().any(|state| state.ends);
    let end = (whole && ends).then(|| add(What::End, DOT, Vec::new()));
    let mut lines = Vec::new();
    if let (Some(start), Some(first)) = (start, index.get(machine.start.as_str())) {
        lines.push((start, *first, None, false));
    }
    for state in &machine.states {
        let from = index[state.name.as_str()];
        for way in &state.ways {
            if let Some(to) = index.get(way.to.as_str()) {
                let when = way.when.as_deref().filter(|when| !when.is_empty());
                lines.push((from, *to, when, way.caught));
            }
        }
        if let Some(end) = end.filter(|_| state.ends) {
            lines.push((from, end, None, false));
        }
    }
    let edges: Vec<Edge> = lines
        .iter()
        .map(|(from, to, when, _)| Edge {
            from: *from,
            to: *to,
            label: when.map_or(0.0, |when| width(&label(when), 11.0)),
        })
        .collect();
    let layered = layered(&sizes, &edges);
    let centres = columns(&layered);
    let rows = rows(&layered, &sizes, &edges);
    for (at, node) in nodes.iter_mut().enumerate() {
        let (top, height) = rows[layered.layer[at]];
        node.x = centres[at] - node.width / 2.0;
        node.y = top + (height - node.height) / 2.0;
    }
    let mut laid = Laid {
        lines: Vec::new(),
        width: 0.0,
        height: rows.last().map_or(0.0, |(top, height)| top + height),
        nodes,
    };
    for (at, (from, to, when, caught)) in lines.into_iter().enumerate() {
        let bends = &layered.bends[at];
        let back = layered.back[at];
        let points = points(
            &laid.nodes,
            (from, to),
            bends,
            back,
            &layered,
            &centres,
            &rows,
        );
        let labelled = if back { bends.last() } else { bends.first() };
        let place = match labelled {
            Some(bend) => {
                let (top, height) = rows[layered.layer[*bend]];
                (centres[*bend], top + height / 2.0)
            }
            None => points[1],
        };
        laid.lines.push(Line {
            from,
            to,
            points,
            label: when.map(|when| (when, place.0, place.1)),
            caught,
            back,
        });
    }
    laid.width = laid.right(&layered, &centres);
    laid
}

impl Laid<'_> {
    /// The right edge of all nodes, bends and loops.
    fn right(&self, layered: &Layered, centres: &[f64]) -> f64 {
        let vertices = centres
            .iter()
            .zip(&layered.width)
            .map(|(centre, width)| centre + width / 2.0);
        let points = self
            .lines
            .iter()
            .flat_map(|line| &line.points)
            .map(|(x, _)| *x);
        let labels = self.lines.iter().filter_map(|line| {
            let (when, x, _) = line.label?;
            Some(x + width(&label(when), 11.0) / 2.0)
        });
        vertices.chain(points).chain(labels).fold(0.0, f64::max)
    }
}

/// The size of a state, and its inner machines within.
fn measured(state: &State) -> (Size, Vec<(f64, f64, Laid<'_>)>) {
    let head = Size {
        width: state_size(state),
        height: HEAD,
    };
    if state.runs.is_empty() {
        return (head, Vec::new());
    }
    let mut inner = Vec::new();
    let (mut x, mut height) = (PAD, 0.0);
    for machine in &state.runs {
        let laid = laid(machine, false);
        height = f64::max(height, laid.height);
        let width = laid.width;
        inner.push((x, HEAD + PAD / 2.0, laid));
        x += width + PAD * 1.5;
    }
    let width = x - PAD / 2.0;
    // Narrow inner machines are in the middle.
    let aside = f64::max(head.width - width, 0.0) / 2.0;
    for (x, ..) in &mut inner {
        *x += aside;
    }
    let size = Size {
        width: width.max(head.width),
        height: HEAD + PAD / 2.0 + height + PAD,
    };
    (size, inner)
}

/// Top and height of each layer.
fn rows(layered: &Layered, sizes: &[Size], edges: &[Edge]) -> Vec<(f64, f64)> {
    let count = layered.layer.iter().max().map_or(0, |last| last + 1);
    let mut heights = vec![0.0; count];
    for (size, layer) in sizes.iter().zip(&layered.layer) {
        heights[*layer] = f64::max(heights[*layer], size.height);
    }
    for (edge, bends) in edges.iter().zip(&layered.bends) {
        if edge.label > 0.0 {
            for bend in bends {
                let layer = layered.layer[*bend];
                if layer % 2 == 1 {
                    heights[layer] = LABEL;
                }
            }
        }
    }
    let mut top = 0.0;
    let row = |height: f64| {
        let row = (top, height);
        top += height + SPACE;
        row
    };
    heights.into_iter().map(row).collect()
}

/// The points of an edge, from its beginning to its tip.
fn points(
    nodes: &[Node],
    (from, to): (usize, usize),
    bends: &[usize],
    back: bool,
    layered: &Layered,
    centres: &[f64],
    rows: &[(f64, f64)],
) -> Vec<(f64, f64)> {
    if from == to {
        let node = &nodes[from];
        let (right, top) = (node.x + node.width, node.y);
        return vec![
            (right, top + HEAD * 0.7),
            (right + LOOP, top + HEAD / 2.0),
            (right, top + HEAD * 0.3),
        ];
    }
    let (upper, lower) = if back { (to, from) } else { (from, to) };
    let mut points = vec![(centres[upper], nodes[upper].y + nodes[upper].height)];
    for bend in bends {
        let (top, height) = rows[layered.layer[*bend]];
        points.push((centres[*bend], top));
        if height > 0.0 {
            points.push((centres[*bend], top + height));
        }
    }
    points.push((centres[lower], nodes[lower].y));
    if back {
        // Beside the edges that lead down.
        let last = points.len() - 1;
        let aside = |node: usize, bend: f64| {
            let quarter = nodes[node].width / 4.0;
            centres[node]
                + if bend < centres[node] {
                    -quarter
                } else {
                    quarter
                }
        };
        points[0].0 = aside(upper, points[1].0);
        points[last].0 = aside(lower, points[last - 1].0);
        points.reverse();
    }
    points
}
