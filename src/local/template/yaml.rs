//! YAML with CloudFormation's short tags, into JSON.

use std::fmt;

use saphyr::{LoadableYamlNode, MarkedYaml, Marker, Scalar, Tag, YamlData};
use serde_json::{Map, Number, Value};

use super::places::{Place, Places, below};

/// The tags that stand for `Fn::<tag>`. `Ref` and `Condition` stand for themselves.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference.html>
const FUNCTIONS: [&str; 18] = [
    "And",
    "Base64",
    "Cidr",
    "Equals",
    "FindInMap",
    "GetAZs",
    "GetAtt",
    "If",
    "ImportValue",
    "Join",
    "Length",
    "Not",
    "Or",
    "Select",
    "Split",
    "Sub",
    "ToJsonString",
    "Transform",
];

const KEPT: [&str; 2] = ["Ref", "Condition"];

/// Where a text is not what was expected.
#[derive(Debug, PartialEq)]
pub struct Problem {
    pub place: Place,
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { line, column } = self.place;
        write!(f, "line {line} column {column}: {}", self.what)
    }
}

impl std::error::Error for Problem {}

impl Problem {
    pub(super) fn new(place: Place, what: impl Into<String>) -> Self {
        Self {
            place,
            what: what.into(),
        }
    }

    fn at(marker: Marker, what: impl Into<String>) -> Self {
        Self::new(place(marker), what)
    }
}

fn place(marker: Marker) -> Place {
    Place {
        line: marker.line(),
        column: marker.col() + 1,
    }
}

/// Parses one document. Tags become the long form of the function they stand for; an unknown tag, a duplicate key and a
/// key that is no text are problems.
pub fn parse(text: &str) -> Result<Value, Problem> {
    parse_with_places(text).map(|(value, _)| value)
}

/// Parses one document, and tells where its parts stand.
pub fn parse_with_places(text: &str) -> Result<(Value, Places), Problem> {
    let documents = MarkedYaml::load_from_str(text)
        .map_err(|error| Problem::at(*error.marker(), error.info()))?;
    match documents.as_slice() {
        [document] => {
            let mut reader = Reader::default();
            let value = reader.value(document)?;
            Ok((value, reader.places))
        }
        [] => Err(Problem::new(
            Place::START,
            "expected a document, found nothing",
        )),
        [_, second, ..] => Err(Problem::at(
            second.span.start,
            "expected one document, found a second one",
        )),
    }
}

#[derive(Default)]
struct Reader {
    places: Places,
    /// The pointer to what is being read.
    pointer: String,
}

impl Reader {
    fn value(&mut self, node: &MarkedYaml) -> Result<Value, Problem> {
        let start = node.span.start;
        Ok(match &node.data {
            YamlData::Value(Scalar::Null) => Value::Null,
            YamlData::Value(Scalar::Boolean(flag)) => Value::Bool(*flag),
            YamlData::Value(Scalar::Integer(number)) => Value::from(*number),
            YamlData::Value(Scalar::FloatingPoint(number)) => Number::from_f64(number.into_inner())
                .map(Value::Number)
                .ok_or_else(|| {
                    Problem::at(start, format!("expected a number, found `{number}`"))
                })?,
            YamlData::Value(Scalar::String(text)) => Value::String(text.to_string()),
            YamlData::Sequence(items) => {
                let items = items.iter().enumerate();
                items
                    .map(|(i, item)| self.part(&i.to_string(), item.span.start, item))
                    .collect::<Result<_, _>>()?
            }
            YamlData::Mapping(entries) => {
                let mut map = Map::new();
                for (key, entry) in entries {
                    let name = text_of(key)?;
                    let value = self.part(&name, key.span.start, entry)?;
                    map.insert(name, value);
                }
                Value::Object(map)
            }
            YamlData::Tagged(tag, inner) => {
                let argument = self.part(&long_name(&tag.suffix), start, inner)?;
                function(tag, start, argument)?
            }
            YamlData::Representation(..) | YamlData::Alias(_) | YamlData::BadValue => {
                return Err(Problem::at(
                    start,
                    "expected a value, found something that cannot be read",
                ));
            }
        })
    }

    fn part(&mut self, key: &str, start: Marker, node: &MarkedYaml) -> Result<Value, Problem> {
        let outer = self.pointer.len();
        self.pointer = below(&self.pointer, key);
        self.places.insert(&self.pointer, place(start));
        let value = self.value(node);
        self.pointer.truncate(outer);
        value
    }
}

fn text_of(key: &MarkedYaml) -> Result<String, Problem> {
    match Reader::default().value(key)? {
        Value::String(text) => Ok(text),
        // `200: ok` and `true: yes` are keys in JSON's sense too.
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        other => Err(Problem::at(
            key.span.start,
            format!("expected a text as key, found `{other}`"),
        )),
    }
}

fn function(tag: &Tag, start: Marker, argument: Value) -> Result<Value, Problem> {
    let unknown = || {
        Problem::at(
            start,
            format!("expected a tag of CloudFormation such as `!Ref` or `!Sub`, found `{tag}`"),
        )
    };
    if tag.handle != "!" {
        return Err(unknown());
    }
    let name = tag.suffix.as_str();
    let argument = match (name, argument) {
        ("GetAtt", Value::String(path)) => {
            // Attributes may have dots (`Outputs.Url`), logical ids never have.
            let (resource, attribute) = path.split_once('.').ok_or_else(|| {
                Problem::at(
                    start,
                    format!("expected `!GetAtt Resource.Attribute`, found `!GetAtt {path}`"),
                )
            })?;
            serde_json::json!([resource, attribute])
        }
        (name, argument) if FUNCTIONS.contains(&name) || KEPT.contains(&name) => argument,
        _ => return Err(unknown()),
    };
    Ok(Value::Object(Map::from_iter([(long_name(name), argument)])))
}

/// The name of a tag's function where it is written out.
fn long_name(tag: &str) -> String {
    match KEPT.contains(&tag) {
        true => tag.to_owned(),
        false => format!("Fn::{tag}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_tag_has_its_long_form() {
        let cases = [
            ("!Ref X", json!({"Ref": "X"})),
            ("!Condition X", json!({"Condition": "X"})),
            ("!Sub '${A}-b'", json!({"Fn::Sub": "${A}-b"})),
            (
                "!Sub ['${A}', {A: !Ref B}]",
                json!({"Fn::Sub": ["${A}", {"A": {"Ref": "B"}}]}),
            ),
            ("!GetAtt A.Arn", json!({"Fn::GetAtt": ["A", "Arn"]})),
            (
                "!GetAtt A.Outputs.Url",
                json!({"Fn::GetAtt": ["A", "Outputs.Url"]}),
            ),
            ("!GetAtt [A, Arn]", json!({"Fn::GetAtt": ["A", "Arn"]})),
            (
                "!If [C, !Ref A, !Ref AWS::NoValue]",
                json!({"Fn::If": ["C", {"Ref": "A"}, {"Ref": "AWS::NoValue"}]}),
            ),
            ("!Equals [a, 1]", json!({"Fn::Equals": ["a", 1]})),
            (
                "!Not [!Equals [!Ref A, '']]",
                json!({"Fn::Not": [{"Fn::Equals": [{"Ref": "A"}, ""]}]}),
            ),
            (
                "!And [!Condition A, !Condition B]",
                json!({"Fn::And": [{"Condition": "A"}, {"Condition": "B"}]}),
            ),
            ("!Or [true, false]", json!({"Fn::Or": [true, false]})),
            (
                "!Join [',', [a, b]]",
                json!({"Fn::Join": [",", ["a", "b"]]}),
            ),
            (
                "!Select [0, !Split ['/', !Ref U]]",
                json!({"Fn::Select": [0, {"Fn::Split": ["/", {"Ref": "U"}]}]}),
            ),
            (
                "!FindInMap [A, B, C]",
                json!({"Fn::FindInMap": ["A", "B", "C"]}),
            ),
            ("!ImportValue x", json!({"Fn::ImportValue": "x"})),
            ("!Base64 x", json!({"Fn::Base64": "x"})),
            ("!Cidr [a, 1, 8]", json!({"Fn::Cidr": ["a", 1, 8]})),
            (
                "!Transform {Name: x}",
                json!({"Fn::Transform": {"Name": "x"}}),
            ),
            ("!GetAZs ''", json!({"Fn::GetAZs": ""})),
        ];
        for (yaml, expected) in cases {
            assert_eq!(parse(yaml).unwrap(), expected, "{yaml}");
            assert_eq!(
                parse(&format!("k: {yaml}")).unwrap(),
                json!({"k": expected}),
                "{yaml}"
            );
        }
    }

    #[test]
    fn plain_values_keep_their_kind() {
        let yaml = "Version: 2012-10-17\nNumber: 3\nPart: 0.5\nFlag: true\nText: '3'\nNone:\nList:\n  - a\n  - b: c\n200: x\nFolded: >-\n  a\n  b\nKept: |\n  a\n  b\n";
        assert_eq!(
            parse(yaml).unwrap(),
            json!({"Version": "2012-10-17", "Number": 3, "Part": 0.5, "Flag": true, "Text": "3", "None": null,
                "List": ["a", {"b": "c"}], "200": "x", "Folded": "a b", "Kept": "a\nb\n"})
        );
        assert_eq!(
            parse(r#"{"a": [1, null]}"#).unwrap(),
            json!({"a": [1, null]})
        );
    }

    #[test]
    fn every_part_has_its_place() {
        let yaml =
            "a:\n  b: [1, {c: 2}]\n  d: !Sub\n    - '${x}'\n    - x: !GetAtt E.Arn\nf: >-\n  g\n";
        let (_, places) = parse_with_places(yaml).unwrap();
        for (pointer, expected) in [
            ("/a", (1, 1)),
            ("/a/b", (2, 3)),
            ("/a/b/0", (2, 7)),
            ("/a/b/1/c", (2, 11)),
            ("/a/d/Fn::Sub/0", (4, 7)),
            ("/a/d/Fn::Sub/1/x", (5, 7)),
            ("/a/d/Fn::Sub/1/x/Fn::GetAtt/1", (5, 10)),
            ("/f", (6, 1)),
        ] {
            let place = places.of(pointer);
            assert_eq!((place.line, place.column), expected, "{pointer}");
        }
    }

    #[test]
    fn problems_say_where() {
        let cases = [
            ("a: 1\nb: !Nope x\n", "line 2 column 4: expected a tag"),
            ("a: !!binary x", "line 1"),
            (
                "a: !GetAtt X",
                "line 1 column 4: expected `!GetAtt Resource.Attribute`",
            ),
            ("a: 1\na: 2\n", "line 2 column 1: duplicated key"),
            ("a:\n  - [1\n", "line"),
            ("", "line 1 column 1: expected a document"),
            (
                "a: 1\n---\nb: 1\n",
                "line 3 column 1: expected one document",
            ),
            ("[a]: 1", "line 1 column 1: expected a text as key"),
            ("a: .nan", "line 1 column 4: expected a number"),
        ];
        for (yaml, expected) in cases {
            let problem = parse(yaml).unwrap_err().to_string();
            assert!(problem.starts_with(expected), "{yaml:?}: {problem}");
        }
    }
}
