//! The operators: `{"prefix": "a"}` and the others, each from its JSON to a matcher or to an error sentence.

use super::address::Block;
use super::json::{Json, found, quoted, shorten};
use super::matcher::{Bound, Matcher};
use super::number::Number;
use super::parse::{Parser, below};
use super::wildcard::wildcard;
use std::borrow::Cow;

/// Every operator. AWS reserves these names inside `$or`.
pub const OPERATORS: [&str; 9] = [
    "prefix",
    "suffix",
    "equals-ignore-case",
    "wildcard",
    "anything-but",
    "numeric",
    "exists",
    "cidr",
    "exactly",
];

/// Other names that AWS reserves inside `$or`.
pub const RESERVED: [&str; 15] = [
    "=",
    "<",
    "<=",
    ">",
    ">=",
    "regex",
    "not-wildcard",
    "not-equals-ignore-case",
    "date-after",
    "date-on-or-after",
    "date-before",
    "date-on-or-before",
    "in-date-range",
    "ip-address-in-range",
    "ip-address-not-in-range",
];

/// An object of the pattern.
type Object<'a> = [(Cow<'a, str>, Json<'a>)];

impl Parser<'_> {
    pub(super) fn operator(&mut self, object: &Object, path: &str) -> Option<Matcher> {
        let [(name, value)] = object else {
            let message = if object.is_empty() {
                "expected an operator, found an empty object; write for example `{\"prefix\": \"a\"}`".to_owned()
            } else {
                format!(
                    "expected one operator, found {} ({}); give each an object of its own, and any of them will do",
                    object.len(),
                    quoted(object.iter().take(4).map(|(name, _)| name.as_ref())),
                )
            };
            self.refuse(path, message);
            return None;
        };
        let here = below(path, name);
        let outcome = match name.as_ref() {
            "exactly" => string(value).map(|text| Matcher::Text(text.to_owned())),
            "prefix" => affix(value, Matcher::Prefix, Matcher::PrefixIgnoringCase),
            "suffix" => affix(value, Matcher::Suffix, Matcher::SuffixIgnoringCase),
            "equals-ignore-case" => {
                string(value).map(|text| Matcher::EqualsIgnoringCase(text.to_owned()))
            }
            "wildcard" => string(value).and_then(wildcard).map(Matcher::Wildcard),
            "cidr" => string(value).and_then(Block::parse).map(Matcher::Block),
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

    fn anything_but(&mut self, value: &Json, path: &str) -> Option<Matcher> {
        let Json::Object(object) = value else {
            return self.excluded(value, path, |value| match (value.as_text(), value.as_number()) {
                (Some(text), _) => Ok(Matcher::Text(text.to_owned())),
                (_, Some(digits)) => number(digits).map(Matcher::Number),
                _ => Err(format!(
                    "expected a string or a number, found {}; `anything-but` takes no other values",
                    found(value)
                )),
            });
        };
        let [(name, value)] = object.as_slice() else {
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
        match name.as_ref() {
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
                string(v).map(|text| Matcher::EqualsIgnoringCase(text.to_owned()))
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

    /// The exclusions of `anything-but`: one value or a list of values of one type.
    fn excluded(
        &mut self,
        value: &Json,
        path: &str,
        read: impl Fn(&Json) -> Result<Matcher, String>,
    ) -> Option<Matcher> {
        let (list, single) = match value {
            Json::List(list) => (list.as_slice(), false),
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
        let numbers = list
            .iter()
            .filter(|value| value.as_number().is_some())
            .count();
        if self.problems.len() == before && numbers != 0 && numbers != list.len() {
            self.refuse(path, "expected only strings or only numbers, found both; AWS takes no mixed list, so keep one type");
        }
        (self.problems.len() == before).then_some(Matcher::AnythingBut(matchers))
    }
}

fn string<'j>(value: &'j Json) -> Result<&'j str, String> {
    value.as_text().ok_or_else(|| {
        format!(
            "expected a string, found {}; write one string in quotes",
            found(value)
        )
    })
}

/// A number to compare others with.
fn number(digits: &str) -> Result<Number<'static>, String> {
    let number = Number::new(Cow::Owned(digits.to_owned()));
    match number.value() {
        Some(_) => Ok(number),
        None => Err(format!(
            "expected a number that a double can hold, found `{}`; AWS compares no others, so write fewer digits",
            shorten(digits)
        )),
    }
}

fn exists(value: &Json) -> Result<Matcher, String> {
    match value {
        Json::Literal("true") => Ok(Matcher::Exists),
        Json::Literal("false") => Ok(Matcher::Absent),
        other => Err(format!(
            "expected `true` or `false`, found {}; write it without quotes",
            found(other)
        )),
    }
}

/// `prefix` and `suffix`: a string, or an object for ignoring case.
fn affix(
    value: &Json,
    plain: fn(String) -> Matcher,
    ignoring_case: fn(String) -> Matcher,
) -> Result<Matcher, String> {
    match value {
        Json::Text(text) => Ok(plain(text.clone().into_owned())),
        Json::Object(object) => match object.as_slice() {
            [(name, Json::Text(text))] if name == "equals-ignore-case" => {
                Ok(ignoring_case(text.clone().into_owned()))
            }
            _ => Err("expected a string or `{\"equals-ignore-case\": \"…\"}`, found another object; write one of the two".into()),
        },
        other => Err(format!(
            "expected a string or `{{\"equals-ignore-case\": \"…\"}}`, found {}; for several, give each an operator of its own",
            found(other)
        )),
    }
}

fn numeric(value: &Json) -> Result<Matcher, String> {
    const EXAMPLE: &str = "write for example `[\">\", 0]` or `[\">=\", 0, \"<\", 5]`";
    let Json::List(list) = value else {
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
        let [comparison, limit] = pair else { continue };
        let comparison = comparison
            .as_text()
            .filter(|text| ["=", "<", "<=", ">", ">="].contains(text))
            .ok_or_else(|| {
                format!(
                    "expected `=`, `<`, `<=`, `>` or `>=`, found {}; {EXAMPLE}",
                    found(comparison)
                )
            })?;
        let Some(digits) = limit.as_number() else {
            return Err(format!(
                "expected a number after `{comparison}`, found {}; write it without quotes",
                found(limit)
            ));
        };
        let inclusive = comparison.ends_with('=');
        pairs.push((
            comparison,
            Bound {
                number: number(digits)?,
                inclusive,
            },
        ));
    }
    match pairs.as_slice() {
        [("=", bound)] => Ok(Matcher::Number(bound.number.clone())),
        [(">" | ">=", low)] => Ok(Matcher::Range(Some(low.clone()), None)),
        [("<" | "<=", high)] => Ok(Matcher::Range(None, Some(high.clone()))),
        [(">" | ">=", low), ("<" | "<=", high)] => {
            if low
                .number
                .compare(&high.number)
                .is_some_and(|order| order.is_lt())
            {
                Ok(Matcher::Range(Some(low.clone()), Some(high.clone())))
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
