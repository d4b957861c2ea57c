//! The schema of an event pattern.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use crate::domain::inbound::routes::EVENT_FIELDS;
use crate::domain::inbound::routes::pattern::{OPERATORS, RESERVED};

/// A whole pattern. Its outermost names are the fields of a message.
pub(super) struct Pattern;

/// An alternative of an outermost `$or`.
struct Alternative;

/// The fields inside a field. Inside `$or`, names of operators are invalid as names of fields.
struct Fields<const INSIDE_OR: bool>;

/// The values and operators of a field.
struct Entries;

impl JsonSchema for Pattern {
    fn schema_name() -> Cow<'static, str> {
        "Pattern".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = outermost::<false>(generator);
        schema.insert(
            "description".to_owned(),
            "An EventBridge event pattern over `cache`, `topic`, `topic_sequence_number`, `token_id`, `text` and `json` (the text where it is JSON): all fields have to match, and of a list any entry. At most 32 objects inside one another, and 1,000 combinations of `$or`.".into(),
        );
        schema
    }
}

impl JsonSchema for Alternative {
    fn schema_name() -> Cow<'static, str> {
        "PatternAlternative".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        outermost::<true>(generator)
    }
}

impl<const INSIDE_OR: bool> JsonSchema for Fields<INSIDE_OR> {
    fn schema_name() -> Cow<'static, str> {
        if INSIDE_OR {
            "FieldsInsideOr"
        } else {
            "Fields"
        }
        .into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let field = field::<INSIDE_OR>(generator);
        let alternative = generator.subschema_for::<Fields<true>>();
        let mut schema = json_schema!({
            "type": "object",
            "minProperties": 1,
            "properties": {"$or": choice(&alternative)},
            "additionalProperties": field,
        });
        if INSIDE_OR {
            let reserved: Vec<_> = OPERATORS.into_iter().chain(RESERVED).collect();
            let names = json!({"not": {"enum": reserved}});
            schema.insert("propertyNames".to_owned(), names);
        }
        schema
    }
}

impl JsonSchema for Entries {
    fn schema_name() -> Cow<'static, str> {
        "Entries".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Values and operators, of which any is enough.",
            "type": "array",
            "minItems": 1,
            "items": {"anyOf": [{"type": ["string", "number", "boolean"]}, {"const": null}, operator()]},
        })
    }
}

fn outermost<const INSIDE_OR: bool>(generator: &mut SchemaGenerator) -> Schema {
    let field = field::<INSIDE_OR>(generator);
    let fields = EVENT_FIELDS.map(|name| (name.to_owned(), field.clone()));
    let mut properties = Map::from_iter(fields);
    // `json.kind` is `kind` inside `json`.
    let nested = format!(r"^({})\.", EVENT_FIELDS.join("|"));
    let alternative = generator.subschema_for::<Alternative>();
    properties.insert("$or".to_owned(), choice(&alternative));
    json_schema!({
        "type": "object",
        "minProperties": 1,
        "properties": properties,
        "patternProperties": {nested: field},
        "additionalProperties": false,
    })
}

/// The value of a name: entries, or nested fields.
fn field<const INSIDE_OR: bool>(generator: &mut SchemaGenerator) -> Value {
    let fields = generator.subschema_for::<Fields<INSIDE_OR>>();
    let entries = generator.subschema_for::<Entries>();
    json!({"anyOf": [entries, fields]})
}

fn choice(alternative: &Schema) -> Value {
    json!({
        "description": "One of these has to match.",
        "type": "array",
        "minItems": 2,
        "items": alternative,
    })
}

/// An object with one operator.
fn operator() -> Value {
    let text = json!({"type": "string"});
    let affix = json!({"anyOf": [text, {
        "type": "object",
        "properties": {"equals-ignore-case": text},
        "required": ["equals-ignore-case"],
        "additionalProperties": false,
    }]});
    let wildcard = json!({
        "description": "`*` is any run of characters; `\\*` and `\\\\` stand for themselves.",
        "type": "string",
        "pattern": r"^(\*?(\\[*\\]|[^*\\]))*\*?$",
    });
    let filled = json!({"type": "string", "minLength": 1});
    let or_list =
        |one: &Value| json!({"anyOf": [one, {"type": "array", "minItems": 1, "items": one}]});
    let number = json!({"type": "number"});
    let comparison = |names: &[&str]| json!({ "enum": names });
    let pairs = |items: Value| {
        let count = items.as_array().map_or(0, Vec::len);
        json!({"type": "array", "prefixItems": items, "minItems": count, "maxItems": count})
    };
    let one_of = |properties: Value| {
        json!({
            "type": "object",
            "minProperties": 1,
            "maxProperties": 1,
            "properties": properties,
            "additionalProperties": false,
        })
    };
    let but = json!({"anyOf": [
        or_list(&text),
        or_list(&number),
        one_of(json!({
            "prefix": or_list(&filled),
            "suffix": or_list(&filled),
            "wildcard": or_list(&wildcard),
            "equals-ignore-case": or_list(&text),
        })),
    ]});
    one_of(json!({
        "exactly": text,
        "prefix": affix,
        "suffix": affix,
        "equals-ignore-case": text,
        "wildcard": wildcard,
        "anything-but": but,
        "numeric": {"anyOf": [
            pairs(json!([comparison(&["=", "<", "<=", ">", ">="]), number])),
            pairs(json!([comparison(&[">", ">="]), number, comparison(&["<", "<="]), number])),
        ]},
        "exists": {"type": "boolean"},
        "cidr": {
            "description": "A block of addresses, such as `10.0.0.0/8` or `2001:db8::/32`.",
            "type": "string",
            "pattern": "^[0-9A-Fa-f.:]+/[0-9]+$",
        },
    }))
}
