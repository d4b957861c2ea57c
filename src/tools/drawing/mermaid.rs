//! A state machine in Mermaid's words: <https://mermaid.js.org/syntax/flowchart.html>.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::asl::{Machine, State};
use super::kind::Kind;

/// The start of a machine within another.
const DOT: &str = "((\" \"))";

/// The flowchart, a statement a line.
pub fn flowchart(machine: &Machine) -> String {
    let mut picture = Picture {
        text: "flowchart TD\n  classDef fails stroke:#d33,stroke-width:2px\n".to_owned(),
        numbers: 0,
    };
    picture.line(1, "begin([\"start\"])");
    let ids = picture.states(1, machine);
    picture.line(1, &format!("begin --> {}", ids[machine.start.as_str()]));
    picture.ways(1, machine, &ids);
    let mut ends = machine.states.iter().filter(|state| state.ends).peekable();
    if ends.peek().is_some() {
        picture.line(1, "finish([\"end\"])");
    }
    for state in ends {
        picture.line(1, &format!("{} --> finish", ids[state.name.as_str()]));
    }
    picture.text
}

struct Picture {
    text: String,
    /// The number of ids so far: Mermaid's ids cannot hold every name, so they are numbers.
    numbers: usize,
}

type Ids<'a> = BTreeMap<&'a str, String>;

impl Picture {
    fn line(&mut self, depth: usize, line: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{:depth$}{line}", "", depth = depth * 2);
    }

    /// Writes the states of a machine: those with an inner machine as a box around it.
    fn states<'a>(&mut self, depth: usize, machine: &'a Machine) -> Ids<'a> {
        let mut ids = Ids::new();
        for state in &machine.states {
            self.numbers += 1;
            let number = self.numbers;
            let id = format!("s{number}");
            if state.runs.is_empty() {
                self.line(depth, &format!("{id}{}", shape(state)));
            } else {
                self.line(depth, &format!("subgraph {id}[\"{}\"]", title(state, ", ")));
                self.line(depth + 1, &format!("e{number}{DOT}"));
                for machine in &state.runs {
                    let inner = self.states(depth + 1, machine);
                    let start = &inner[machine.start.as_str()];
                    self.line(depth + 1, &format!("e{number} --> {start}"));
                    self.ways(depth + 1, machine, &inner);
                }
                self.line(depth, "end");
            }
            ids.insert(&state.name, id);
        }
        ids
    }

    fn ways(&mut self, depth: usize, machine: &Machine, ids: &Ids) {
        for state in &machine.states {
            for way in &state.ways {
                let arrow = if way.caught { "-.->" } else { "-->" };
                let (from, to) = (&ids[state.name.as_str()], &ids[way.to.as_str()]);
                let when = way.when.as_ref().filter(|when| !when.is_empty());
                let when = when.map_or_else(String::new, |when| format!("|\"{}\"|", escape(when)));
                self.line(depth, &format!("{from} {arrow}{when} {to}"));
            }
        }
    }
}

fn shape(state: &State) -> String {
    let title = title(state, "<br/>");
    match state.kind {
        Kind::Choice => format!("{{\"{title}\"}}"),
        Kind::Wait => format!("[/\"{title}\"/]"),
        Kind::Succeed => format!("([\"{title}\"])"),
        Kind::Fail => format!("([\"{title}\"]):::fails"),
        Kind::Task | Kind::Pass | Kind::Map | Kind::Parallel => format!("[\"{title}\"]"),
    }
}

fn title(state: &State, between: &str) -> String {
    let (name, kind) = (escape(&state.name), state.kind.name());
    if state.note.is_empty() {
        return format!("{name}{between}{kind}");
    }
    format!("{name}{between}{kind}: {}", escape(&state.note))
}

/// Escapes the special characters of a quoted text: `#35;` is the character with that number.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '"' | '#' | '<' | '>' | '&' | '`' | '|' | '%' | '\\' | '*' | '_' | '~' => {
                let _ = write!(escaped, "#{};", u32::from(c));
            }
            _ if c.is_control() => escaped.push(' '),
            _ => escaped.push(c),
        }
    }
    escaped
}
