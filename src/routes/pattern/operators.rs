//! The operators: `{"prefix": "a"}` and the others, each from its JSON to a matcher or to a sentence on what is wrong.

use super::matcher::{Bound, Cidr, Matcher, Number, fold, wildcard};
use super::parse::{Parser, below, found, quoted, shorten};
use serde_json::{Map, Value};

/// Every operator. Inside `$or` AWS takes these names for operators only, never for fields.
pub(in crate::routes) const OPERATORS: [&str; 8] = [
    "prefix",
    "suffix",
    "equals-ignore-case",
    "wildcard",
    "anything-but",
    "numeric",
    "exists",
    "cidr",
];

impl Parser<'_> {
    pub(super) fn operator(&mut self, object: &Map<String, Value>, path: &str) -> Option<Matcher> {
        let mut entries = object.iter();
        let (Some((name, value)), None) = (entries.next(), entries.next()) else {
            let message = if object.is_empty() {
                "expected an operator, found an empty object; write for example `{\"prefix\": \"a\"}`".to_owned()
            } else {
                format!(
                    "expected one operator, found {} ({}); give each an object of its own, and any of them will do",
                    object.len(),
                    quoted(object.keys().take(4).map(String::as_str)),
                )
            };
            self.refuse(path, message);
            return None;
        };
        let here = below(path, name);
        let outcome = match name.as_str() {
            "prefix" => affix(value, Matcher::Prefix, Matcher::PrefixIgnoringCase),
            "suffix" => affix(value, Matcher::Suffix, Matcher::SuffixIgnoringCase),
            "equals-ignore-case" => {
                string(value).map(|text| Matcher::EqualsIgnoringCase(fold(text)))
            }
            "wildcard" => string(value).and_then(wildcard).map(Matcher::Wildcard),
            "cidr" => string(value).and_then(Cidr::parse).map(Matcher::Cidr),
            "exists" => exists(value),
            "numeric" => numeric(value),
            "anything-but" => return self.anything_but(value, &here),
            _ => {
                let lower = name.to_lowercase();
                let remedy = match OPERATORS.iter().find(|operator| **operator == lower) {
                    Some(operator) => format!("write `{operator}` in lower case"),
                    None => {
                        "to match a field inside an object, write an object in place of the list"
                            .to_owned()
                    }
                };
                let operators = quoted(OPERATORS);
                self.refuse(
                    &here,
                    format!(
                        "expected one of the operators {operators}, found `{}`; {remedy}",
                        shorten(name)
                    ),
                );
                return None;
            }
        };
        outcome.map_err(|message| self.refuse(&here, message)).ok()
    }

    fn anything_but(&mut self, value: &Value, path: &str) -> Option<Matcher> {
        let Value::Object(object) = value else {
            return self.excluded(value, path, |value| match Matcher::exact(value) {
                Some(matcher @ (Matcher::Text(_) | Matcher::Number(_))) => Ok(matcher),
                _ => Err(format!(
                    "expected a string or a number, found {}; `anything-but` takes no other values",
                    found(value)
                )),
            });
        };
        let mut entries = object.iter();
        let (Some((name, value)), None) = (entries.next(), entries.next()) else {
            let message = format!(
                "expected one operator, found {}; `anything-but` negates a single one",
                object.len()
            );
            self.refuse(path, message);
            return None;
        };
        let here = below(path, name);
        let not_empty = |text: &str| {
            if text.is_empty() {
                Err("expected some text, found an empty string, which every string has; write what to leave out".to_owned())
            } else {
                Ok(text.to_owned())
            }
        };
        match name.as_str() {
            "prefix" => self.excluded(value, &here, |v| {
                string(v).and_then(not_empty).map(Matcher::Prefix)
            }),
            "suffix" => self.excluded(value, &here, |v| {
                string(v).and_then(not_empty).map(Matcher::Suffix)
            }),
            "wildcard" => self.excluded(value, &here, |v| {
                string(v).and_then(wildcard).map(Matcher::Wildcard)
            }),
            "equals-ignore-case" => self.excluded(value, &here, |v| {
                string(v).map(|text| Matcher::EqualsIgnoringCase(fold(text)))
            }),
            _ => {
                let message = format!(
                    "expected `prefix`, `suffix`, `wildcard` or `equals-ignore-case`, found `{}`; `anything-but` negates no other operator",
                    shorten(name)
                );
                self.refuse(&here, message);
                None
            }
        }
    }

    /// What `anything-but` leaves out: one value or a list of values of one type.
    fn excluded(
        &mut self,
        value: &Value,
        path: &str,
        read: impl Fn(&Value) -> Result<Matcher, String>,
    ) -> Option<Matcher> {
        let (list, single) = match value {
            Value::Array(list) => (list.as_slice(), false),
            one => (std::slice::from_ref(one), true),
        };
        let before = self.problems.len();
        if list.is_empty() {
            self.refuse(path, "expected at least one value, found an empty list; write `{\"exists\": true}` for any value");
        }
        let mut matchers = Vec::with_capacity(list.len());
        for (n, value) in list.iter().enumerate() {
            match read(value) {
                Ok(matcher) => matchers.push(matcher),
                Err(message) if single => self.refuse(path, message),
                Err(message) => self.refuse(&format!("{path}[{n}]"), message),
            }
        }
        let numbers = list.iter().filter(|value| value.is_number()).count();
        if self.problems.len() == before && numbers != 0 && numbers != list.len() {
            self.refuse(path, "expected only strings or only numbers, found both; AWS takes no mixed list, so keep one type");
        }
        (self.problems.len() == before).then_some(Matcher::AnythingBut(matchers))
    }
}

fn string(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| {
        format!(
            "expected a string, found {}; write one string in quotes",
            found(value)
        )
    })
}

fn exists(value: &Value) -> Result<Matcher, String> {
    match value {
        Value::Bool(true) => Ok(Matcher::Exists),
        Value::Bool(false) => Ok(Matcher::Absent),
        other => Err(format!(
            "expected `true` or `false`, found {}; write it without quotes",
            found(other)
        )),
    }
}

/// `prefix` and `suffix`: a string, or an object that says to ignore case.
fn affix(
    value: &Value,
    plain: fn(String) -> Matcher,
    ignoring_case: fn(String) -> Matcher,
) -> Result<Matcher, String> {
    match value {
        Value::String(text) => Ok(plain(text.clone())),
        Value::Object(object) if object.len() == 1 => match object.get("equals-ignore-case") {
            Some(Value::String(text)) => Ok(ignoring_case(fold(text))),
            _ => Err("expected a string or `{\"equals-ignore-case\": \"…\"}`, found another object; write one of the two".into()),
        },
        other => Err(format!(
            "expected a string or `{{\"equals-ignore-case\": \"…\"}}`, found {}; for several, give each an operator of its own",
            found(other)
        )),
    }
}

fn numeric(value: &Value) -> Result<Matcher, String> {
    const EXAMPLE: &str = "write for example `[\">\", 0]` or `[\">=\", 0, \"<\", 5]`";
    let Value::Array(list) = value else {
        return Err(format!(
            "expected a list of comparisons, found {}; {EXAMPLE}",
            found(value)
        ));
    };
    if list.len() != 2 && list.len() != 4 {
        return Err(format!(
            "expected one or two pairs of a comparison and a number, found {} entries; {EXAMPLE}",
            list.len()
        ));
    }
    let mut pairs = Vec::with_capacity(2);
    for pair in list.chunks_exact(2) {
        let [comparison, number] = pair else { continue };
        let comparison = comparison
            .as_str()
            .filter(|text| ["=", "<", "<=", ">", ">="].contains(text))
            .ok_or_else(|| {
                format!(
                    "expected `=`, `<`, `<=`, `>` or `>=`, found {}; {EXAMPLE}",
                    found(comparison)
                )
            })?;
        let Value::Number(number) = number else {
            return Err(format!(
                "expected a number after `{comparison}`, found {}; write it without quotes",
                found(number)
            ));
        };
        let inclusive = comparison.ends_with('=');
        pairs.push((
            comparison,
            Bound {
                number: Number::new(number),
                inclusive,
            },
        ));
    }
    match pairs.as_slice() {
        [("=", bound)] => Ok(Matcher::Number(bound.number)),
        [(">" | ">=", low)] => Ok(Matcher::Range(Some(*low), None)),
        [("<" | "<=", high)] => Ok(Matcher::Range(None, Some(*high))),
        [(">" | ">=", low), ("<" | "<=", high)] => {
            if low
                .number
                .compare(high.number)
                .is_some_and(|order| order.is_lt())
            {
                Ok(Matcher::Range(Some(*low), Some(*high)))
            } else {
                Err("expected a lower bound below the upper one, found none between them; swap the two, or use `=` for one number".into())
            }
        }
        _ => Err(format!(
            "expected `>` or `>=` and then `<` or `<=` where there are two comparisons, found {}; {EXAMPLE}",
            quoted(pairs.iter().map(|(comparison, _)| *comparison)),
        )),
    }
}
