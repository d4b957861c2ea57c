//! Plain scalars as in YAML 1.1, and so in CloudFormation.
//!
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-formats.html>: YAML 1.1 without timestamps,
//! so a date stays a text. The patterns are those of <https://yaml.org/type/>; a float may do without its point or the
//! sign of its exponent, as in SnakeYAML.

use serde_json::{Number, Value};

/// The value of a text without quotes; `None` for the numbers that JSON lacks.
pub(super) fn plain(text: &str) -> Option<Value> {
    if is_null(text) {
        return Some(Value::Null);
    }
    if let Some(flag) = flag(text) {
        return Some(Value::Bool(flag));
    }
    match integer(text).or_else(|| float(text)) {
        Some(number) => number.map(Value::Number),
        None => Some(text.into()),
    }
}

/// Whether YAML 1.2, and with it most readers, sees another value: `no`, `010`, `1_000`, `12:30`.
pub(super) fn is_surprising(text: &str, value: &Value) -> bool {
    match value {
        Value::Bool(_) => !["true", "false"].contains(&text.to_ascii_lowercase().as_str()),
        Value::Number(number) => {
            let digits = text.trim_start_matches(['-', '+']).as_bytes();
            let octal = !number.is_f64()
                && digits.len() > 1
                && digits[0] == b'0'
                && (digits[1].is_ascii_digit() || digits[1] == b'b');
            octal || digits.iter().any(|byte| b"_:".contains(byte))
        }
        _ => false,
    }
}

fn is_null(text: &str) -> bool {
    ["", "~", "null", "Null", "NULL"].contains(&text)
}

fn flag(text: &str) -> Option<bool> {
    let lower = text.to_ascii_lowercase();
    let mut capital = lower.clone();
    capital.get_mut(..1)?.make_ascii_uppercase();
    // `yEs` is a text.
    if ![&lower, &capital, &lower.to_ascii_uppercase()]
        .iter()
        .any(|spelling| *spelling == text)
    {
        return None;
    }
    match lower.as_str() {
        "yes" | "true" | "on" => Some(true),
        "no" | "false" | "off" => Some(false),
        _ => None,
    }
}

/// A number, or `None` inside for one that JSON lacks.
type Read = Option<Option<Number>>;

fn integer(text: &str) -> Read {
    /// A double holds every whole number below it.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    let negative = text.starts_with('-');
    let in_radix = |digits: &str, radix: u32| {
        let known = |c: char| c == '_' || c.is_digit(radix);
        let plain: String = digits.chars().filter(|c| *c != '_').collect();
        (digits.chars().all(known) && !plain.is_empty()).then_some((plain, radix))
    };
    let (digits, radix) = match body.as_bytes() {
        [b'0', b'b', ..] => in_radix(&body[2..], 2)?,
        [b'0', b'x', ..] => in_radix(&body[2..], 16)?,
        [b'0', _, ..] => in_radix(body, 8)?,
        [b'1'..=b'9', ..] if body.contains(':') => {
            let whole = in_base_60(body)?;
            let whole = if negative { -whole } else { whole };
            let exact = whole.abs() < EXACT;
            return Some(match exact {
                true => Some((whole as i64).into()),
                false => Number::from_f64(whole),
            });
        }
        [b'0'..=b'9', ..] => in_radix(body, 10)?,
        _ => return None,
    };
    let number = match u64::from_str_radix(&digits, radix) {
        Ok(whole) if !negative => Some(whole.into()),
        Ok(whole) => match 0_i64.checked_sub_unsigned(whole) {
            Some(whole) => Some(whole.into()),
            None => Number::from_f64(-(whole as f64)),
        },
        Err(_) => {
            let digit = |whole: f64, c: char| {
                whole * f64::from(radix) + f64::from(c.to_digit(radix).unwrap_or_default())
            };
            let whole = digits.chars().fold(0.0, digit);
            Number::from_f64(if negative { -whole } else { whole })
        }
    };
    Some(number)
}

fn float(text: &str) -> Read {
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    let signed = |number: f64| match text.starts_with('-') {
        true => Number::from_f64(-number),
        false => Number::from_f64(number),
    };
    if [".inf", ".Inf", ".INF"].contains(&body) || [".nan", ".NaN", ".NAN"].contains(&text) {
        return Some(None);
    }
    let (base, exponent) = match body.split_once(['e', 'E']) {
        Some((base, exponent)) => (base, Some(exponent)),
        None => (body, None),
    };
    let digits = |part: &str| part.bytes().all(|b| b == b'_' || b.is_ascii_digit());
    let begins = |part: &str| part.starts_with(|c: char| c.is_ascii_digit()) && digits(part);
    if let Some(exponent) = exponent {
        let bare = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        if bare.is_empty() || !bare.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
    }
    let known = match base.split_once('.') {
        Some((whole, part)) if whole.contains(':') && exponent.is_none() && digits(part) => {
            let part: String = part.chars().filter(|c| *c != '_').collect();
            let part: f64 = format!("0.{part}0").parse().ok()?;
            return Some(signed(in_base_60(whole)? + part));
        }
        Some(("", part)) => begins(part) && body.len() == text.len(),
        Some((whole, part)) => begins(whole) && digits(part),
        None => begins(base) && exponent.is_some(),
    };
    let plain: String = body.chars().filter(|c| *c != '_').collect();
    let whole: f64 = plain.parse().ok().filter(|_| known)?;
    Some(signed(whole))
}

/// Groups of a clock, such as `12:30:00`: each after the first from 0 to 59.
fn in_base_60(text: &str) -> Option<f64> {
    let mut groups = text.split(':');
    let first = groups.next()?;
    let known = |b: u8| b == b'_' || b.is_ascii_digit();
    if !first.starts_with(|c: char| c.is_ascii_digit()) || !first.bytes().all(known) {
        return None;
    }
    let first: String = first.chars().filter(|c| *c != '_').collect();
    groups.try_fold(first.parse().ok()?, |sum: f64, group| {
        let digits = !group.is_empty() && group.len() <= 2;
        let digits = digits && group.bytes().all(|b| b.is_ascii_digit());
        let group: u8 = group.parse().ok().filter(|group| digits && *group < 60)?;
        Some(sum * 60.0 + f64::from(group))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plain_scalars_have_the_types_of_yaml_1_1() {
        let same = [
            "yEs",
            "y",
            "n",
            "08",
            "0o10",
            "1:99",
            "0:30",
            "12:5:61",
            "-",
            "+",
            ".",
            "_1",
            "1e",
            "2012-10-17",
            "2001-12-14t21:59:43.10-05:00",
            "1.2.3",
            "0x",
            "0b2",
            "=",
            "<<",
            "é",
            "Nan",
            "a1",
            "10.0.0.0/8",
            "12:30:00 x",
            "+.5",
            "1,000",
        ];
        for text in same {
            assert_eq!(plain(text), Some(json!(text)), "{text}");
            assert!(!is_surprising(text, &json!(text)), "{text}");
        }
        let surprising = [
            ("yes", json!(true)),
            ("No", json!(false)),
            ("ON", json!(true)),
            ("off", json!(false)),
            ("010", json!(8)),
            ("-010", json!(-8)),
            ("0_7", json!(7)),
            ("0b1_01", json!(5)),
            ("1_000", json!(1000)),
            ("12:30:00", json!(45000)),
            ("-1:30", json!(-90)),
            ("1:30.5", json!(90.5)),
            ("1_0.5", json!(10.5)),
        ];
        for (text, value) in surprising {
            assert_eq!(plain(text), Some(value.clone()), "{text}");
            assert!(is_surprising(text, &value), "{text}");
        }
        let others = [
            ("", Value::Null),
            ("~", Value::Null),
            ("NULL", Value::Null),
            ("true", json!(true)),
            ("FALSE", json!(false)),
            ("0", json!(0)),
            ("-7", json!(-7)),
            ("+7", json!(7)),
            ("0x1F", json!(31)),
            ("123456789012", json!(123_456_789_012_u64)),
            ("18446744073709551615", json!(u64::MAX)),
            ("18446744073709551616", json!(18_446_744_073_709_551_616.0)),
            ("-9223372036854775808", json!(i64::MIN)),
            ("0.5", json!(0.5)),
            (".5", json!(0.5)),
            ("1e3", json!(1000.0)),
            ("1.0", json!(1.0)),
            ("1.5e-3", json!(0.0015)),
        ];
        for (text, value) in others {
            assert_eq!(plain(text), Some(value.clone()), "{text}");
            assert!(!is_surprising(text, &value), "{text}");
        }
        for text in [".inf", "-.INF", ".nan"] {
            assert_eq!(plain(text), None, "{text}");
        }
    }
}
