//! A graph as SVG: links with classes, for a page whose style has the colours.

use std::fmt::Write;

use super::laid::{HEAD, Laid, Line, Node, What, laid};
use super::text::{LEFT, escaped, href, in_state, label, shown, width};
use crate::tools::drawing::asl::State;
use crate::tools::execution::model::{Reach, Status, Summary, View};

/// Around the whole.
const MARGIN: f64 = 12.0;

/// Draws the execution's graph: each state is a link to its visit, with the class of its status. None where the
/// definition cannot be drawn.
///
/// The size and the places depend on the definition alone.
pub fn svg(view: &View) -> Option<String> {
    let laid = laid(view.machine.as_ref().ok()?, true);
    let mut out = Out {
        text: String::new(),
        view,
    };
    let (width, height) = (laid.width + 2.0 * MARGIN, laid.height + 2.0 * MARGIN);
    out.add(format_args!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"graph\" role=\"group\" aria-label=\"{}\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\">",
        escaped(&out.sentence()),
        w = number(width),
        h = number(height),
    ));
    for class in ["way", "way caught", "way idle"] {
        out.add(format_args!(
            "<marker id=\"{}\" class=\"tip {class}\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\"><path d=\"M0 1 L9 5 L0 9 z\"/></marker>",
            marker(class)
        ));
    }
    out.machine(&laid, MARGIN, MARGIN);
    out.text.push_str("</svg>\n");
    Some(out.text)
}

struct Out<'a> {
    text: String,
    view: &'a View,
}

impl Out<'_> {
    fn add(&mut self, text: std::fmt::Arguments) {
        // Writing to a string cannot fail.
        let _ = self.text.write_fmt(text);
        self.text.push('\n');
    }

    /// The graph for a screen reader, in short.
    fn sentence(&self) -> String {
        let view = self.view;
        let reached = view
            .states
            .values()
            .filter(|state| state.visits > 0)
            .count();
        let failing = view.failing.and_then(|index| view.visits.get(index));
        let failing = failing.map_or(String::new(), |visit| {
            format!(", failed at {}", shown(&visit.name))
        });
        format!(
            "Graph of the execution: {reached} of {} states reached{failing}",
            view.states.len()
        )
    }

    fn machine(&mut self, laid: &Laid, x: f64, y: f64) {
        for line in &laid.lines {
            self.line(laid, line, x, y);
        }
        for node in &laid.nodes {
            self.node(node, x, y);
        }
    }

    fn line(&mut self, laid: &Laid, line: &Line, x: f64, y: f64) {
        let idle = |node: usize| match laid.nodes[node].what {
            What::State(state) => !matches!(self.summary(state).reach, Reach::Reached(_)),
            What::Start => false,
            What::End => self.view.status != crate::tools::execution::Ending::Succeeded,
        };
        let class = match (idle(line.from) || idle(line.to), line.caught) {
            (true, true) => "way caught idle",
            (true, false) => "way idle",
            (false, true) => "way caught",
            (false, false) => "way",
        };
        self.add(format_args!(
            "<path class=\"{class}{}\" d=\"{}\" fill=\"none\" marker-end=\"url(#{})\"/>",
            if line.back { " back" } else { "" },
            curve(&line.points, x, y),
            marker(class)
        ));
        if let Some((when, at_x, at_y)) = line.label {
            self.add(format_args!(
                "<text class=\"label\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}<title>{}</title></text>",
                number(x + at_x),
                number(y + at_y + 4.0),
                escaped(&label(when)),
                escaped(&shown(when)),
            ));
        }
    }

    fn node(&mut self, node: &Node, x: f64, y: f64) {
        let (x, y) = (x + node.x, y + node.y);
        let word = match node.what {
            What::State(state) => return self.state(node, state, x, y),
            What::Start => "Start",
            What::End => "End",
        };
        self.add(format_args!(
            "<g class=\"terminal\"><rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"14\"/><text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{word}</text></g>",
            number(x),
            number(y),
            number(node.width),
            number(node.height),
            number(x + node.width / 2.0),
            number(y + node.height / 2.0 + 4.0),
        ));
    }

    fn summary(&self, state: &State) -> Summary {
        self.view
            .states
            .get(&state.name)
            .cloned()
            .unwrap_or_default()
    }

    fn state(&mut self, node: &Node, state: &State, x: f64, y: f64) {
        let summary = self.summary(state);
        let (class, icon) = look(summary.reach);
        let kind = state.kind.name();
        let name = escaped(&shown(&state.name));
        let mut title = format!("{}: {kind}", shown(&state.name));
        for part in [state.note.as_str(), &summary.words] {
            if !part.is_empty() {
                title = format!("{title}, {}", shown(part));
            }
        }
        if summary.retries > 0 {
            title = format!("{title}, {}", times(summary.retries, "retry", "retries"));
        }
        let failing = self.view.failing.is_some() && self.view.failing == summary.open;
        self.add(format_args!(
            "<a href=\"#{}\" class=\"state {class}{}{}\" data-state=\"{name}\"><title>{}</title>",
            href(self.view, &state.name),
            if node.inner.is_empty() { "" } else { " box" },
            if failing { " failing" } else { "" },
            escaped(&title),
        ));
        self.add(format_args!(
            "<rect class=\"node\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"8\"/>",
            number(x),
            number(y),
            number(node.width),
            number(node.height),
        ));
        self.add(format_args!(
            "<g class=\"icon\" transform=\"translate({} {})\">{icon}</g>",
            number(x + 12.0),
            number(y + HEAD / 2.0 - 9.0),
        ));
        let room = node.width;
        self.add(format_args!(
            "<text class=\"name\" x=\"{tx}\" y=\"{}\">{}</text><text class=\"word\" x=\"{tx}\" y=\"{}\">{}</text>",
            number(y + 22.0),
            escaped(&in_state(&state.name, room, 13.0)),
            number(y + 38.0),
            escaped(&in_state(&format!("{kind} · {}", summary.short), room, 11.0)),
            tx = number(x + LEFT),
        ));
        if summary.retries > 0 {
            let badge = format!("↻ {}", summary.retries);
            let wide = width(&badge, 11.0) + 14.0;
            self.add(format_args!(
                "<g class=\"badge\"><rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"18\" rx=\"9\"/><text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{badge}</text></g>",
                number(x + node.width - wide - 6.0),
                number(y - 9.0),
                number(wide),
                number(x + node.width - wide / 2.0 - 6.0),
                number(y + 4.0),
            ));
        }
        // Inner states are links of their own, so they follow this one.
        self.text.push_str("</a>\n");
        for (inner_x, inner_y, laid) in &node.inner {
            if node.inner.len() > 1 {
                self.add(format_args!(
                    "<rect class=\"branch\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"6\"/>",
                    number(x + inner_x - 8.0),
                    number(y + inner_y - 8.0),
                    number(laid.width + 16.0),
                    number(node.height - inner_y),
                ));
            }
            self.machine(laid, x + inner_x, y + inner_y);
        }
    }
}

fn times(count: u32, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn marker(class: &str) -> &'static str {
    match class {
        "way" => "tip",
        "way caught" => "tip-caught",
        _ => "tip-idle",
    }
}

/// Class and icon, in a square of 18.
fn look(reach: Reach) -> (&'static str, &'static str) {
    const RING: &str = "<circle class=\"ring\" cx=\"9\" cy=\"9\" r=\"8\"/>";
    match reach {
        Reach::NotReached => ("not-reached", RING),
        Reach::NotRecorded => (
            "not-recorded",
            "<circle class=\"ring\" cx=\"9\" cy=\"9\" r=\"8\"/><path d=\"M5.5 9 H12.5\"/>",
        ),
        Reach::Reached(Status::Succeeded) => (
            "succeeded",
            "<circle class=\"disc\" cx=\"9\" cy=\"9\" r=\"9\"/><path d=\"M5 9.4 L8 12.2 L13 6.4\"/>",
        ),
        Reach::Reached(Status::Failed) => (
            "failed",
            "<circle class=\"disc\" cx=\"9\" cy=\"9\" r=\"9\"/><path d=\"M5.8 5.8 L12.2 12.2 M12.2 5.8 L5.8 12.2\"/>",
        ),
        Reach::Reached(Status::Caught) => (
            "caught",
            "<path class=\"disc\" d=\"M9 0.5 L17.6 16.5 H0.4 Z\"/><path d=\"M9 6 V11 M9 13.4 V14\"/>",
        ),
        Reach::Reached(Status::Aborted) => (
            "aborted",
            "<rect class=\"disc\" x=\"0.5\" y=\"0.5\" width=\"17\" height=\"17\" rx=\"3\"/><path d=\"M5 9 H13\"/>",
        ),
        Reach::Reached(Status::Running) => (
            "running",
            "<circle class=\"disc\" cx=\"9\" cy=\"9\" r=\"9\"/><path d=\"M7 5.4 L12.4 9 L7 12.6 Z\"/>",
        ),
        Reach::Reached(Status::Waiting) => (
            "waiting",
            "<circle class=\"disc\" cx=\"9\" cy=\"9\" r=\"9\"/><path d=\"M9 4.4 V9 L12 11\"/>",
        ),
    }
}

/// A smooth path: upright at each point.
fn curve(points: &[(f64, f64)], x: f64, y: f64) -> String {
    let [(first_x, first_y), rest @ ..] = points else {
        return String::new();
    };
    let mut path = format!("M{} {}", number(first_x + x), number(first_y + y));
    let mut from = (*first_x, *first_y);
    for to in rest {
        if (from.0 - to.0).abs() < 0.5 {
            let _ = write!(path, " L{} {}", number(to.0 + x), number(to.1 + y));
        } else {
            let middle = number(y + (from.1 + to.1) / 2.0);
            let _ = write!(
                path,
                " C{} {middle} {} {middle} {} {}",
                number(from.0 + x),
                number(to.0 + x),
                number(to.0 + x),
                number(to.1 + y)
            );
        }
        from = *to;
    }
    path
}

/// To a tenth.
fn number(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
