//! An event as AWS's engine sees it: values under the dotted paths of their names, each with its surrounding list elements.

use super::Event;
use super::matcher::Scalar;
use super::tokens::{Token, Tokens};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

/// The empty path.
const ROOT: u32 = 0;

/// The element of values outside lists.
const OUTSIDE: u32 = 0;

/// The values of an event by their paths.
#[derive(Debug)]
pub(super) struct Index<'a> {
    places: Vec<Place<'a>>,
    values: Vec<Found<'a>>,
    elements: Vec<Element>,
    /// The positions of the values in each list.
    lists: Vec<Range<u32>>,
}

/// The values under one path.
#[derive(Debug, Default)]
struct Place<'a> {
    /// The longer paths. A name with dots counts as several.
    names: BTreeMap<Cow<'a, str>, u32>,
    /// Positions in the event's values, in their order.
    values: Vec<u32>,
}

#[derive(Debug)]
pub(super) struct Found<'a> {
    pub(super) scalar: Scalar<'a>,
    /// The innermost object or list that is an element of a list.
    element: u32,
}

impl Found<'_> {
    pub(super) fn is_in_a_list(&self) -> bool {
        self.element != OUTSIDE
    }
}

/// An object or list in a list. Scalars are independent: AWS does not track their elements.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) list: u32,
    /// The element around the list.
    parent: u32,
    /// The positions of its values.
    pub(super) values: Range<u32>,
}

/// An object or a list being read.
struct Open {
    place: u32,
    list: Option<u32>,
    /// Its own element, or else the one around it.
    element: u32,
    is_element: bool,
}

impl<'a> Index<'a> {
    fn place(&mut self, from: u32, name: Cow<'a, str>) -> u32 {
        if !name.contains('.') {
            return self.step(from, name);
        }
        match name {
            Cow::Borrowed(name) => name
                .split('.')
                .fold(from, |at, part| self.step(at, Cow::Borrowed(part))),
            Cow::Owned(name) => name
                .split('.')
                .fold(from, |at, part| self.step(at, Cow::Owned(part.to_owned()))),
        }
    }

    fn step(&mut self, from: u32, name: Cow<'a, str>) -> u32 {
        let next = index(self.places.len());
        let names = &mut self.places[from as usize].names;
        if let Some(known) = names.get(&name) {
            return *known;
        }
        names.insert(name, next);
        self.places.push(Place::default());
        next
    }

    /// Adds the values of a JSON text at this place.
    fn read(&mut self, mut named: u32, tokens: Tokens<'a>) {
        let mut open: Vec<Open> = Vec::new();
        for token in tokens {
            match token {
                Token::Name(name) => {
                    let object = open.last().map_or(ROOT, |object| object.place);
                    named = self.place(object, name);
                }
                Token::Object | Token::List => {
                    let is_list = token == Token::List;
                    let next = self.open(open.last(), named, is_list);
                    open.push(next);
                }
                Token::ObjectEnd | Token::ListEnd => {
                    if let Some(closed) = open.pop() {
                        self.close(&closed);
                    }
                }
                Token::Text(text) => self.value(open.last(), named, Scalar::Text(text)),
                Token::Literal(literal) => {
                    self.value(open.last(), named, Scalar::literal(literal));
                }
            }
        }
    }

    fn open(&mut self, around: Option<&Open>, named: u32, is_list: bool) -> Open {
        let now = index(self.values.len());
        let place = here(around, named);
        let outer = around.map_or(OUTSIDE, |around| around.element);
        let in_list = around.and_then(|around| around.list);
        let element = match in_list {
            None => outer,
            Some(list) => {
                self.elements.push(Element {
                    list,
                    parent: outer,
                    values: now..now,
                });
                index(self.elements.len() - 1)
            }
        };
        let list = is_list.then(|| {
            self.lists.push(now..now);
            index(self.lists.len() - 1)
        });
        Open {
            place,
            list,
            element,
            is_element: in_list.is_some(),
        }
    }

    fn close(&mut self, closed: &Open) {
        let end = index(self.values.len());
        if closed.is_element {
            self.elements[closed.element as usize].values.end = end;
        }
        if let Some(list) = closed.list {
            self.lists[list as usize].end = end;
        }
    }

    fn value(&mut self, around: Option<&Open>, named: u32, scalar: Scalar<'a>) {
        let place = here(around, named);
        let position = index(self.values.len());
        self.places[place as usize].values.push(position);
        let element = around.map_or(OUTSIDE, |around| around.element);
        self.values.push(Found { scalar, element });
    }

    /// The positions of the values under a path.
    pub(super) fn under(&self, path: &[String]) -> &[u32] {
        let mut at = &self.places[ROOT as usize];
        for name in path {
            match at.names.get(name.as_str()) {
                Some(next) => at = &self.places[*next as usize],
                None => return &[],
            }
        }
        &at.values
    }

    pub(super) fn value_at(&self, position: u32) -> &Found<'a> {
        &self.values[position as usize]
    }

    pub(super) fn element(&self, element: u32) -> &Element {
        &self.elements[element as usize]
    }

    /// The positions of the values in a list.
    pub(super) fn list(&self, list: u32) -> &Range<u32> {
        &self.lists[list as usize]
    }

    /// The elements around a value, the innermost first.
    pub(super) fn around(&self, position: u32) -> impl Iterator<Item = u32> {
        let mut element = self.value_at(position).element;
        std::iter::from_fn(move || {
            let inner = element;
            element = self.elements[inner as usize].parent;
            (inner != OUTSIDE).then_some(inner)
        })
    }
}

/// The path of a value: the list's around it, or the name's before it.
fn here(around: Option<&Open>, named: u32) -> u32 {
    match around {
        Some(Open {
            place,
            list: Some(_),
            ..
        }) => *place,
        _ => named,
    }
}

/// Texts are shorter than 4 GiB.
fn index(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

impl<'a> Event<'a> {
    /// An event without fields.
    pub fn new() -> Self {
        let nothing = Element {
            list: 0,
            parent: OUTSIDE,
            values: 0..0,
        };
        Self(Index {
            places: vec![Place::default()],
            values: Vec::new(),
            elements: vec![nothing],
            lists: Vec::new(),
        })
    }

    /// The fields of a JSON object; any other text is an event without fields.
    pub fn of(json: &'a str) -> Self {
        let mut event = Self::new();
        if json.trim_start().starts_with('{') {
            let mut tokens = Tokens::new(json);
            tokens.next();
            event.0.read(ROOT, tokens);
        }
        event
    }

    /// Adds a field; `json` has to be JSON.
    pub fn json(&mut self, name: &'a str, json: &'a str) {
        let place = self.0.place(ROOT, Cow::Borrowed(name));
        self.0.read(place, Tokens::new(json));
    }

    /// Adds a field with a string, or null for none.
    pub fn text(&mut self, name: &'a str, text: Option<&'a str>) {
        let place = self.0.place(ROOT, Cow::Borrowed(name));
        let scalar = match text {
            Some(text) => Scalar::Text(Cow::Borrowed(text)),
            None => Scalar::literal("null"),
        };
        self.0.value(None, place, scalar);
    }
}

impl Default for Event<'_> {
    fn default() -> Self {
        Self::new()
    }
}
