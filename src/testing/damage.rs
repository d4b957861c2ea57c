//! JSON texts changed at random: by another version, a faulty program or an attacker.

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

/// One change.
#[derive(Clone, Debug)]
enum Edit {
    /// Another value for a node.
    Replace(Index, Value),
    /// The value of a node for another node.
    Copy(Index, Index),
    /// A member or element less.
    Remove(Index),
    /// Another byte in the text.
    Byte(Index, u8),
    /// The text's end is missing.
    Cut(Index),
    /// A part of the text, twice.
    Repeat(Index, Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let nested = (0..200).fold(json!(0), |value, _| json!([value]));
    let odd = [
        json!(null),
        json!(true),
        json!(""),
        json!("x".repeat(5000)),
        json!("\u{0}\u{202e}{\"a\": 1}"),
        json!(-1),
        json!(u64::MAX),
        json!(1e300),
        json!([]),
        json!({}),
        json!(["a", 1]),
        json!({"claim": {"key": "k"}}),
        nested,
    ];
    let odd = prop::sample::select(odd.to_vec());
    prop_oneof![
        3 => (any::<Index>(), odd).prop_map(|(at, value)| Edit::Replace(at, value)),
        3 => any::<(Index, Index)>().prop_map(|(from, to)| Edit::Copy(from, to)),
        3 => any::<Index>().prop_map(Edit::Remove),
        1 => any::<(Index, u8)>().prop_map(|(at, byte)| Edit::Byte(at, byte)),
        1 => any::<Index>().prop_map(Edit::Cut),
        1 => any::<(Index, Index)>().prop_map(|(from, to)| Edit::Repeat(from, to)),
    ]
}

/// One of the texts with up to four changes.
pub(crate) fn damaged(good: Vec<String>) -> impl Strategy<Value = String> {
    let edits = prop::collection::vec(edit(), 0..=4);
    (prop::sample::select(good), edits)
        .prop_map(|(text, edits)| edits.iter().fold(text, |text, edit| changed(&text, edit)))
}

fn changed(text: &str, edit: &Edit) -> String {
    match edit {
        Edit::Byte(..) | Edit::Cut(_) | Edit::Repeat(..) if text.is_empty() => String::new(),
        Edit::Byte(at, byte) => {
            let mut bytes = text.as_bytes().to_vec();
            let at = at.index(bytes.len());
            bytes[at] = *byte;
            String::from_utf8_lossy(&bytes).into_owned()
        }
        Edit::Cut(at) => {
            let bytes = text.as_bytes();
            String::from_utf8_lossy(&bytes[..at.index(bytes.len())]).into_owned()
        }
        Edit::Repeat(from, to) => {
            let bytes = text.as_bytes();
            let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
            let part = &bytes[from.min(to)..from.max(to)];
            String::from_utf8_lossy(&[bytes, part].concat()).into_owned()
        }
        Edit::Replace(..) | Edit::Copy(..) | Edit::Remove(_) => match serde_json::from_str(text) {
            Ok(value) => with_node_changed(value, edit).to_string(),
            Err(_) => text.to_owned(),
        },
    }
}

/// The pointers of all nodes but the root.
fn pointers(value: &Value, here: &str, all: &mut Vec<String>) {
    let mut node = |name: &str, inner: &Value| {
        let escaped = name.replace('~', "~0").replace('/', "~1");
        let pointer = format!("{here}/{escaped}");
        pointers(inner, &pointer, all);
        all.push(pointer);
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, inner)| node(name, inner)),
        Value::Array(list) => {
            let list = list.iter().enumerate();
            list.for_each(|(at, inner)| node(&at.to_string(), inner));
        }
        _ => {}
    }
}

fn with_node_changed(mut value: Value, edit: &Edit) -> Value {
    let mut all = Vec::new();
    pointers(&value, "", &mut all);
    if all.is_empty() {
        return value;
    }
    let chosen = |index: &Index| all[index.index(all.len())].as_str();
    if let Edit::Replace(at, _) | Edit::Copy(_, at) | Edit::Remove(at) = edit
        && let Some(Value::String(text)) = value.pointer_mut(chosen(at))
        && text.starts_with('{')
    {
        // JSON in a text, such as an execution's input: the change is made there.
        *text = changed(text, edit);
        return value;
    }
    match edit {
        Edit::Replace(at, new) => {
            *value.pointer_mut(chosen(at)).expect("it was listed") = new.clone();
        }
        Edit::Copy(from, to) => {
            let copy = value.pointer(chosen(from)).expect("it was listed").clone();
            *value.pointer_mut(chosen(to)).expect("it was listed") = copy;
        }
        Edit::Remove(at) => {
            let (parent, name) = chosen(at).rsplit_once('/').expect("all begin with it");
            match value.pointer_mut(parent) {
                Some(Value::Object(members)) => drop(members.remove(name)),
                Some(Value::Array(list)) => drop(list.remove(name.parse().expect("an index"))),
                _ => {}
            }
        }
        Edit::Byte(..) | Edit::Cut(_) | Edit::Repeat(..) => {}
    }
    value
}
