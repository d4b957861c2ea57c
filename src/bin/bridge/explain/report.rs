//! An explanation for people.

use std::fmt::Write as _;

use workflow_bridge::domain::inbound::routes::Format;
use workflow_bridge::tools::explain::{
    About, Address, Call, Explained, Explanation, Fate, Freshness, LetterFields,
};
use workflow_bridge::tools::terminal::{Style, preview};

use workflow_bridge::tools::explain::words::{VALUE_WIDTH, age, indented, quoted, reasons, time};

/// The explanation as lines. `signed` is whether an event has a signature, and `routes` the origin of the routes.
pub fn text(explanation: &Explanation, signed: Option<bool>, routes: &str, style: Style) -> String {
    let mut page = Page {
        text: String::new(),
        style,
    };
    page.message(&explanation.message, explanation.letter.is_some(), signed);
    if let Some(letter) = &explanation.letter {
        page.letter(letter);
    }
    page.line("routes", routes);
    page.text.push('\n');
    for route in &explanation.routes {
        page.route(route);
    }
    page.fate(explanation);
    page.text
}

struct Page {
    text: String,
    style: Style,
}

impl Page {
    /// A line with a name before it.
    fn line(&mut self, name: &str, text: impl AsRef<str>) {
        let name = self.style.dim(format!("{name:<9}"));
        let _ = writeln!(self.text, "{name} {}", text.as_ref());
    }

    /// The same below a route.
    fn below(&mut self, name: &str, text: impl AsRef<str>) {
        self.text.push_str("    ");
        self.line(name, text);
    }

    fn message(&mut self, message: &About, kept: bool, signed: Option<bool>) {
        self.line("message", self.style.bold(&message.id));
        let page = message.sequence_page.map(|page| format!(" on page {page}"));
        let publisher = match &message.token_id {
            Some(id) => format!("token id {}", quoted(id)),
            None => "no token id".to_owned(),
        };
        self.line(
            "",
            format!(
                "cache {}, topic {}, number {}{}, {publisher}",
                quoted(&message.cache),
                quoted(&message.topic),
                message.topic_sequence_number,
                page.unwrap_or_default(),
            ),
        );
        let json = if message.is_json { "" } else { "no " };
        self.line(
            "",
            format!(
                "published {}; the text is {json}JSON",
                time(message.event_timestamp)
            ),
        );
        let age = match message.freshness {
            _ if kept => None,
            Freshness::Fresh => None,
            Freshness::Stale => Some(format!(
                "sent again as it is, the webhook would answer 403 `stale`: its `publish_timestamp` is {} old, and MAX_AGE_SECONDS is 60 by default",
                age(message.age_ms)
            )),
            Freshness::FromTheFuture => Some(format!(
                "sent now, the webhook would answer 403 `from_the_future`: its `publish_timestamp` is {} ahead of this clock, and MAX_SKEW_SECONDS is 30 by default",
                age(-message.age_ms)
            )),
        };
        if let Some(age) = age {
            self.line("age", age);
        }
        match signed {
            Some(true) => self.line("signature", "there is one; it is not checked here"),
            Some(false) => self.line("signature", "none: the webhook would answer 401 `unsigned`"),
            None => {}
        }
    }

    fn letter(&mut self, letter: &LetterFields) {
        let route = letter.route.as_deref();
        let route = route.map_or("no route".to_owned(), |name| {
            format!("route {}", quoted(name))
        });
        let tries = match letter.attempts {
            1 => "1 attempt".to_owned(),
            n => format!("{n} attempts"),
        };
        self.line(
            "letter",
            format!(
                "for {route}: {} since {}, {tries}, last {}",
                letter.reason,
                time(letter.first_at),
                time(letter.last_at)
            ),
        );
        self.line("", preview(&letter.detail, usize::MAX));
    }

    /// Writes a paragraph for a route that takes the message, and one line per reason for any other.
    fn route(&mut self, route: &Explained) {
        let why_not: Vec<_> = route.why_not.iter().flat_map(reasons).collect();
        let name = self.style.bold(&route.name);
        let Some(call) = &route.call else {
            let mark = self.style.dim("✗");
            let _ = match why_not.as_slice() {
                [] => writeln!(
                    self.text,
                    "{mark} {name}: matches, but the letter is not for it"
                ),
                [only] => writeln!(self.text, "{mark} {name}: {only}"),
                [first, rest @ ..] => {
                    let indent = " ".repeat(route.name.chars().count() + 4);
                    let rest: String = rest
                        .iter()
                        .map(|reason| format!("\n{indent}{reason}"))
                        .collect();
                    writeln!(self.text, "{mark} {name}: {first}{rest}")
                }
            };
            return;
        };
        let note = match route.matches {
            true => String::new(),
            false => format!(
                ": the letter is for it, though it does not match now: {}",
                why_not.join("; ")
            ),
        };
        let mark = match call {
            Call::DeadLetter { .. } => self.style.bad("!"),
            _ => self.style.good("✓"),
        };
        let _ = writeln!(self.text, "{}{mark} {name}{note}", self.gap());
        self.call(call);
        if matches!(call, Call::StartExecution { .. }) {
            self.reply(route.reply.as_ref());
        }
        self.text.push('\n');
    }

    /// The line break that is missing for an empty line.
    fn gap(&self) -> &'static str {
        match self.text.ends_with("\n\n") {
            true => "",
            false => "\n",
        }
    }

    fn call(&mut self, call: &Call) {
        match call {
            Call::StartExecution {
                state_machine,
                name,
                input,
            } => {
                self.below("starts", state_machine);
                self.below("execution", name);
                self.json("input", input);
            }
            Call::PutEvent {
                bus,
                source,
                detail_type,
                detail,
            } => {
                self.below("event to", format!("bus {}", quoted(bus)));
                self.below("source", quoted(source));
                self.below("type", quoted(detail_type));
                self.json("detail", detail);
            }
            Call::TaskSuccess { token, output } => {
                self.below("resumes", "SendTaskSuccess");
                self.below("token", preview(token, usize::MAX));
                self.json("output", output);
            }
            Call::TaskFailure {
                token,
                error,
                cause,
            } => {
                self.below("resumes", "SendTaskFailure");
                self.below("token", preview(token, usize::MAX));
                self.below("error", preview(error, usize::MAX));
                if let Some(cause) = cause {
                    self.below("cause", preview(cause, usize::MAX));
                }
            }
            Call::StopExecution {
                execution,
                error,
                cause,
            } => {
                self.below("stops", preview(execution, usize::MAX));
                for (name, text) in [("error", error), ("cause", cause)] {
                    if let Some(text) = text {
                        self.below(name, preview(text, usize::MAX));
                    }
                }
            }
            Call::DeadLetter { reason, detail } => {
                self.below(
                    reason,
                    format!("{}: it becomes a dead letter", preview(detail, usize::MAX)),
                );
            }
        }
    }

    /// JSON over several lines; the bytes themselves are in `--json`.
    fn json(&mut self, name: &str, json: &str) {
        let pretty = match serde_json::from_str::<&serde_json::value::RawValue>(json) {
            Ok(_) => indented(json),
            Err(_) => preview(json, usize::MAX),
        };
        for (n, line) in pretty.lines().enumerate() {
            self.below(if n == 0 { name } else { "" }, preview(line, usize::MAX));
        }
    }

    fn reply(&mut self, reply: Option<&Address>) {
        let Some(reply) = reply else {
            return self.below("reply", "none: nothing is published at the end");
        };
        let list = |topics: &[String]| {
            let topics = topics.iter().map(|topic| quoted(topic));
            topics.collect::<Vec<_>>().join(", ")
        };
        let format = match reply.format {
            Format::Output => "output",
            Format::Envelope => "envelope",
        };
        let cache = quoted(&reply.cache);
        let to = format!("to {} in cache {cache}, as `{format}`", list(&reply.topics));
        self.below("reply", to);
        if reply.failures != reply.topics {
            self.below("failures", format!("to {}", list(&reply.failures)));
        }
        if !reply.started.is_empty() {
            self.below("started", format!("to {}", list(&reply.started)));
        }
        let Some(asked) = &reply.asked else { return };
        let found = asked
            .found
            .as_deref()
            .map(|json| preview(json, VALUE_WIDTH));
        let request = match (found, asked.granted) {
            (None, _) => format!("names none at `{}`", asked.from),
            (Some(topic), true) => {
                format!("names {topic} at `{}`, which the route allows", asked.from)
            }
            (Some(topic), false) => format!(
                "names {topic} at `{}`, refused: the route allows {}; the reply goes to the route's topics",
                asked.from,
                list(&asked.allow)
            ),
        };
        self.below("asked", format!("the message {request}"));
    }

    fn fate(&mut self, explanation: &Explanation) {
        let names = going(&explanation.routes);
        let letter = explanation.letter.as_ref();
        let text = match (explanation.fate, letter) {
            (Fate::Accepted, None) => names,
            (Fate::Accepted, Some(LetterFields { route: None, .. })) => {
                format!("replayed: {names}")
            }
            (Fate::Accepted, Some(_)) => format!("by the redrive: {names}, and to no other route"),
            (Fate::Unrouted, None) => "no route takes it: it becomes a dead letter with the reason `unrouted`, or nothing where UNROUTED=ignore".to_owned(),
            (Fate::Unrouted, Some(_)) => "no route takes it yet: replayed, it becomes the same dead letter again. Add a route first".to_owned(),
            (Fate::RouteGone, letter) => {
                let route = letter.and_then(|letter| letter.route.as_deref());
                format!("there is no enabled route {}: it becomes a dead letter with the reason `route_gone`. Put the route back, then replay", quoted(route.unwrap_or_default()))
            }
        };
        let gap = self.gap();
        self.text.push_str(gap);
        self.line("so", text);
    }
}

/// The targets of a routed message: `goes to a, b; a dead letter for c`.
fn going(routes: &[Explained]) -> String {
    let calls = routes
        .iter()
        .filter_map(|route| Some((route, route.call.as_ref()?)));
    let (dead, good): (Vec<_>, Vec<_>) =
        calls.partition(|(_, call)| matches!(call, Call::DeadLetter { .. }));
    let list = |before: &str, some: Vec<(&Explained, &Call)>| {
        let names: Vec<_> = some.iter().map(|(route, _)| route.name.as_str()).collect();
        (!names.is_empty()).then(|| format!("{before} {}", names.join(", ")))
    };
    let parts = [list("goes to", good), list("a dead letter for", dead)];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}
