//! YAML with CloudFormation's short tags, into JSON.
//!
//! Scalars are those of YAML 1.1 (see [`scalar`]). Aliases and merges (`<<`) are resolved, as SAM CLI does before the
//! deployment.

mod scalar;
mod tags;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use granit_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput, options};
use serde_json::{Map, Value};

use super::places::{Place, Places, Problem, Repeated, Written, below};
use tags::Tag;

/// Values that the aliases of one document may repeat: enough for any template, too few to fill the memory.
const MAX_REPEATED: usize = 200_000;

fn place(marker: Marker) -> Place {
    Place {
        line: marker.line(),
        column: marker.col() + 1,
    }
}

/// Parses one document. Tags become the long form of their function; unknown tags and null, list or object keys are problems.
/// Of a repeated key the last value counts.
pub fn parse(text: &str) -> Result<Value, Problem> {
    parse_with_places(text).map(|(value, _)| value)
}

/// Parses one document, with the places of its parts.
pub fn parse_with_places(text: &str) -> Result<(Value, Places), Problem> {
    let options = options! { block_scalar_eof_without_line_feed: true };
    let mut reader = Reader {
        events: Parser::new_from_str_with_options(text, options),
        places: Places::default(),
        pointer: String::new(),
        anchors: HashMap::new(),
        repeated: 0,
    };
    let mut document = None;
    loop {
        match reader.next()? {
            (Event::StreamEnd, _) => break,
            (Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd, _) => {}
            (_, span) if document.is_some() => {
                let what = "expected one document, found a second one";
                return Err(Problem::new(place(span.start), what));
            }
            (event, span) => document = Some(reader.value(event, span)?),
        }
    }
    match document {
        Some(value) => Ok((value, reader.places)),
        None => Err(Problem::new(
            Place::START,
            "expected a document, found nothing",
        )),
    }
}

struct Reader<'t> {
    events: Parser<'t, StrInput<'t>>,
    places: Places,
    /// The pointer to the current node.
    pointer: String,
    anchors: HashMap<usize, Value>,
    repeated: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), Problem> {
        match self.events.next() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(Problem::new(place(*error.marker()), error.info())),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    /// The node that begins with an event.
    fn value(&mut self, event: Event<'t>, span: Span) -> Result<Value, Problem> {
        let anchor = event.anchor_id();
        let start = begin(&span);
        let tag = event
            .tag()
            .map_or(Ok(Tag::None), |tag| Tag::of(tag, start))?;
        let value = match &tag {
            Tag::Function(name) => {
                let long = tags::long_name(name);
                let argument =
                    self.inside(&long, start, |reader| reader.content(event, span, &tag))?;
                tags::function(name, start, argument)?
            }
            _ => self.content(event, span, &tag)?,
        };
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor, value.clone());
        }
        Ok(value)
    }

    /// A node without its tag.
    fn content(&mut self, event: Event<'t>, span: Span, tag: &Tag) -> Result<Value, Problem> {
        let start = place(begin(&span));
        match event {
            Event::Scalar(text, style, ..) => {
                if style != ScalarStyle::Plain || !matches!(tag, Tag::None | Tag::Scalar) {
                    return Ok(Value::String(text.into_owned()));
                }
                let value = scalar::plain(&text).ok_or_else(|| {
                    Problem::new(start, format!("expected a number, found `{text}`"))
                })?;
                if scalar::is_surprising(&text, &value) {
                    self.places.insert_written(Written {
                        pointer: self.pointer.clone(),
                        text: text.into_owned(),
                        is_name: false,
                    });
                }
                Ok(value)
            }
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    let (event, span) = self.next()?;
                    if event == Event::SequenceEnd {
                        return Ok(Value::Array(items));
                    }
                    let start = begin(&span);
                    let index = items.len().to_string();
                    items.push(self.inside(&index, start, |reader| reader.value(event, span))?);
                }
            }
            Event::MappingStart(..) => self.mapping(),
            Event::Alias(anchor) => self.alias(anchor, start),
            _ => Err(Problem::new(
                start,
                "expected a value, found something that cannot be read",
            )),
        }
    }

    fn mapping(&mut self) -> Result<Value, Problem> {
        let mut map = Map::new();
        let mut merged = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let start = begin(&span);
            let is_merge =
                matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
            let name = self.name(event, place(start))?;
            if !is_merge && map.contains_key(&name) {
                let repeated = Repeated {
                    name: name.clone(),
                    place: place(start),
                };
                let pointer = below(&self.pointer, &name);
                self.places.insert_repeated(&pointer, repeated);
            }
            let (event, span) = self.next()?;
            let value = self.inside(&name, start, |reader| reader.value(event, span))?;
            if is_merge {
                merged.push((value, place(start)));
            } else {
                map.insert(name, value);
            }
        }
        for (value, place) in merged {
            let maps = match value {
                Value::Array(list) => list,
                one => vec![one],
            };
            for one in maps {
                let Value::Object(one) = one else {
                    let what = format!("expected a mapping to merge at `<<`, found `{one}`");
                    return Err(Problem::new(place, what));
                };
                for (name, value) in one {
                    map.entry(name).or_insert(value);
                }
            }
        }
        Ok(Value::Object(map))
    }

    /// The name of an entry. Numbers and flags are names, too, as in `200: ok` and `true: yes`.
    fn name(&mut self, event: Event<'t>, start: Place) -> Result<String, Problem> {
        let written = match &event {
            Event::Scalar(text, ScalarStyle::Plain, _, None) => Some(text.clone().into_owned()),
            _ => None,
        };
        let value = match (&event, &written) {
            (_, Some(text)) => scalar::plain(text).unwrap_or_default(),
            (Event::Scalar(text, ..), None) => text.clone().into_owned().into(),
            (Event::Alias(anchor), _) => self.alias(*anchor, start)?,
            (Event::SequenceStart(..), _) => Value::Array(Vec::new()),
            _ => Value::Object(Map::new()),
        };
        let name = match &value {
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            _ => {
                let what = format!("expected a text as key, found `{value}`");
                return Err(Problem::new(start, what));
            }
        };
        if let Some(text) = written.filter(|text| scalar::is_surprising(text, &value)) {
            self.places.insert_written(Written {
                pointer: below(&self.pointer, &name),
                text,
                is_name: true,
            });
        }
        Ok(name)
    }

    fn alias(&mut self, anchor: usize, start: Place) -> Result<Value, Problem> {
        let Some(value) = self.anchors.get(&anchor) else {
            let what = "expected an alias to a complete value, found one inside itself";
            return Err(Problem::new(start, what));
        };
        self.repeated += size(value);
        if self.repeated > MAX_REPEATED {
            let what =
                format!("expected aliases that repeat at most {MAX_REPEATED} values, found more");
            return Err(Problem::new(start, what));
        }
        Ok(value.clone())
    }

    fn inside(
        &mut self,
        key: &str,
        start: Marker,
        read: impl FnOnce(&mut Self) -> Result<Value, Problem>,
    ) -> Result<Value, Problem> {
        let outer = self.pointer.len();
        self.pointer = below(&self.pointer, key);
        self.places.insert(&self.pointer, place(start));
        let value = read(self);
        self.pointer.truncate(outer);
        value
    }
}

/// The beginning of a node, with its tag.
fn begin(span: &Span) -> Marker {
    span.tag_start().unwrap_or(span.start)
}

fn size(value: &Value) -> usize {
    1 + match value {
        Value::Array(list) => list.iter().map(size).sum(),
        Value::Object(map) => map.values().map(size).sum(),
        _ => 0,
    }
}
