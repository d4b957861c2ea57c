//! Properties of events of any shape.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::Value;

use super::{ALL, Event, json, read};

/// Any JSON, with the names and values that events have among others.
fn any_json() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        Just("momento-signature".to_owned()),
        Just("POST".to_owned()),
        Just("/live/".to_owned()),
        Just("live".to_owned()),
        any::<String>(),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let map = proptest::collection::btree_map(name(), inner.clone(), 0..6);
        prop_oneof![
            proptest::collection::vec(inner, 0..4).prop_map(Value::from),
            map.prop_map(|map: BTreeMap<String, Value>| json!(map)),
        ]
    })
}

/// The relevant names, in one place or another.
const NAMES: [&str; 15] = [
    "httpMethod",
    "path",
    "rawPath",
    "headers",
    "multiValueHeaders",
    "requestContext",
    "body",
    "isBase64Encoded",
    "stage",
    "http",
    "elb",
    "method",
    "timeEpoch",
    "requestTimeEpoch",
    "Momento-Signature",
];

fn name() -> impl Strategy<Value = String> {
    let known = proptest::sample::select(NAMES.as_slice());
    prop_oneof![known.prop_map(str::to_owned), any::<String>()]
}

/// Irrelevant names in events, now or in the future.
fn other_name() -> impl Strategy<Value = String> {
    let other = proptest::sample::select(vec![
        "version",
        "rawQueryString",
        "queryStringParameters",
        "multiValueQueryStringParameters",
        "cookies",
        "stageVariables",
        "host",
        "domainName",
        "identity",
        "authorizer",
        "x-forwarded-proto",
    ]);
    let any = any::<String>().prop_filter("a name that matters", |name| {
        let mut names = NAMES.into_iter();
        names.all(|known| !name.eq_ignore_ascii_case(known))
    });
    prop_oneof![other.prop_map(str::to_owned), any]
}

proptest! {
    #[test]
    fn any_event_gets_an_answer_or_an_error(event in any_json()) {
        let _ = serde_json::from_str::<Event>(&event.to_string());
    }

    #[test]
    fn irrelevant_fields_have_no_effect(
        trigger in 0..ALL.len(), place in 0..4, name in other_name(), value in any_json(),
    ) {
        let plain = json(ALL[trigger]);
        let mut event = plain.clone();
        let at = match place {
            0 => &mut event,
            1 => &mut event["requestContext"],
            2 => &mut event["headers"],
            _ => &mut event["multiValueHeaders"],
        };
        at[&name] = value;
        let (found, plain) = (read(&event), read(&plain));
        prop_assert_eq!(found.trigger, plain.trigger);
        prop_assert_eq!(format!("{:?}", found.request), format!("{:?}", plain.request));
    }

    #[test]
    fn any_text_gets_an_answer(
        trigger in 0..ALL.len(), path in "(?s)/?.*", stage in "(?s).*", value in "(?s).*", body in "(?s).*",
    ) {
        let mut event = json(ALL[trigger]);
        event["requestContext"]["stage"] = json!(stage);
        event["headers"] = json!({"momento-signature": value, "host": value});
        for (name, value) in [("path", &path), ("rawPath", &path), ("body", &body)] {
            event[name] = json!(value);
        }
        event["isBase64Encoded"] = json!(true);
        event["multiValueHeaders"] = Value::Null;
        let read = read(&event);
        prop_assert_eq!(read.request.headers().len(), 1);
        let decoded = STANDARD.decode(&body).unwrap_or(body.into_bytes());
        prop_assert_eq!(read.request.body(), &decoded);
    }

    #[test]
    fn a_cut_or_changed_event_is_never_fatal(
        trigger in 0..ALL.len(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
    ) {
        let mut event = ALL[trigger].as_bytes().to_vec();
        let at = at.index(event.len());
        event[at] = byte;
        let end = if cut { at } else { event.len() };
        let _ = serde_json::from_slice::<Event>(&event[..end]);
    }
}
