//! Nodes and edges as a layered graph: each edge leads one layer down.

/// A node's size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Size {
    pub width: f64,
    pub height: f64,
}

/// An edge between two nodes, with the width of its label; 0 for none.
#[derive(Clone, Copy, Debug)]
pub struct Edge {
    pub from: usize,
    pub to: usize,
    pub label: f64,
}

/// Nodes, and the bends of edges, in layers. Nodes are in even layers, labels in odd ones.
#[derive(Debug, Default)]
pub struct Layered {
    /// The layer of each vertex; the nodes come first, then the bends.
    pub layer: Vec<usize>,
    /// The width of each vertex.
    pub width: Vec<f64>,
    /// Pairs of vertices in adjacent layers, the upper one first.
    pub steps: Vec<(u32, u32)>,
    /// For each edge, its bends from top to bottom; none for a loop of one node.
    pub bends: Vec<Vec<usize>>,
    /// For each edge, whether it leads up.
    pub back: Vec<bool>,
}

/// The width of a bend without a label.
pub const BEND: f64 = 6.0;

/// Layers by the longest path from the first nodes. An edge that closes a circle leads up.
pub fn layered(nodes: &[Size], edges: &[Edge]) -> Layered {
    let back = back(nodes.len(), edges);
    let down = |at: usize| match back[at] {
        true => (edges[at].to, edges[at].from),
        false => (edges[at].from, edges[at].to),
    };
    let proper: Vec<usize> = (0..edges.len())
        .filter(|at| edges[*at].from != edges[*at].to)
        .collect();
    let mut after = vec![Vec::new(); nodes.len()];
    let mut before = vec![0_usize; nodes.len()];
    for at in &proper {
        let (upper, lower) = down(*at);
        after[upper].push(lower);
        before[lower] += 1;
    }
    let mut layer = vec![0_usize; nodes.len()];
    let mut ready: Vec<usize> = (0..nodes.len()).filter(|node| before[*node] == 0).collect();
    while let Some(node) = ready.pop() {
        for next in &after[node] {
            layer[*next] = layer[*next].max(layer[node] + 2);
            before[*next] -= 1;
            if before[*next] == 0 {
                ready.push(*next);
            }
        }
    }
    let mut layered = Layered {
        layer,
        width: nodes.iter().map(|node| node.width).collect(),
        bends: vec![Vec::new(); edges.len()],
        ..Layered::default()
    };
    for at in proper {
        let (upper, lower) = down(at);
        let layers = layered.layer[upper] + 1..layered.layer[lower];
        // The label is next to the node that the edge comes from.
        let labelled = match back[at] {
            true => layers.end - 1,
            false => layers.start,
        };
        let mut last = upper;
        for layer in layers {
            let bend = layered.layer.len();
            let label = if layer == labelled {
                edges[at].label
            } else {
                0.0
            };
            layered.layer.push(layer);
            layered.width.push(label.max(BEND));
            layered.bends[at].push(bend);
            layered.step(last, bend);
            last = bend;
        }
        layered.step(last, lower);
    }
    layered.back = back;
    layered
}

impl Layered {
    fn step(&mut self, upper: usize, lower: usize) {
        let number = |vertex: usize| u32::try_from(vertex).unwrap_or(u32::MAX);
        self.steps.push((number(upper), number(lower)));
    }
}

/// The edges that lead to a node on the way to their own beginning, in the order of the nodes.
fn back(nodes: usize, edges: &[Edge]) -> Vec<bool> {
    let mut out = vec![Vec::new(); nodes];
    for (at, edge) in edges.iter().enumerate() {
        out[edge.from].push(at);
    }
    let mut back = vec![false; edges.len()];
    let (mut seen, mut on_way) = (vec![false; nodes], vec![false; nodes]);
    for first in 0..nodes {
        let mut way = vec![(first, 0)];
        while let Some((node, next)) = way.last_mut() {
            if *next == 0 && std::mem::replace(&mut seen[*node], true) {
                way.pop();
                continue;
            }
            on_way[*node] = true;
            let Some(edge) = out[*node].get(*next) else {
                on_way[*node] = false;
                way.pop();
                continue;
            };
            *next += 1;
            let to = edges[*edge].to;
            back[*edge] = on_way[to];
            if !seen[to] {
                way.push((to, 0));
            }
        }
    }
    back
}
