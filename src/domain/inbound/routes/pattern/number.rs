//! Numbers as AWS's engine compares them.

use std::borrow::Cow;
use std::cmp::Ordering;

/// A JSON number. One that is exactly a double's shortest decimal is compared by value: 300, 300.0 and 3e2 are one number.
/// Any other (2^53 + 1, say) equals only itself, digit by digit, and lies in no range.
#[derive(Debug, Clone)]
pub(super) struct Number<'a> {
    pub(super) text: Cow<'a, str>,
    value: Option<f64>,
}

/// Decimals of so many digits always survive a double.
const SAFE_DIGITS: usize = 15;

impl<'a> Number<'a> {
    pub(super) fn new(text: Cow<'a, str>) -> Self {
        let value = value(&text);
        Self { text, value }
    }

    /// `None` if no double holds the number.
    pub(super) fn value(&self) -> Option<f64> {
        self.value
    }

    /// As a JSON number, or as a text if a tree would lose digits.
    pub(super) fn to_json(&self) -> serde_json::Value {
        let text = self.text.as_ref();
        let whole = text.parse::<i64>().map(Into::into);
        let whole = whole.or_else(|_| text.parse::<u64>().map(Into::into));
        whole.unwrap_or_else(|_| self.value.map_or_else(|| text.into(), Into::into))
    }

    /// `None` if either has no order.
    pub(super) fn compare(&self, other: &Number) -> Option<Ordering> {
        self.value?.partial_cmp(&other.value?)
    }
}

impl PartialEq<Number<'_>> for Number<'_> {
    fn eq(&self, other: &Number) -> bool {
        match (self.value, other.value) {
            (Some(a), Some(b)) => a == b,
            (None, None) => self.text == other.text,
            _ => false,
        }
    }
}

fn value(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.len() <= SAFE_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse::<i64>().ok().map(|whole| whole as f64);
    }
    let value: f64 = text.parse().ok()?;
    let exact = || Decimal::new(text) == Decimal::new(&format!("{value:e}"));
    (value.is_finite() && exact()).then_some(value)
}

/// The value of a number's text without its sign: significant digits, and the power of ten of the first.
#[derive(PartialEq)]
struct Decimal {
    digits: String,
    power: i64,
}

impl Decimal {
    fn new(text: &str) -> Self {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse().unwrap_or(i64::MAX / 2)),
            None => (text, 0),
        };
        let mantissa = mantissa.strip_prefix('-').unwrap_or(mantissa);
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        let digits = all.trim_start_matches('0');
        let zeros = all.len() - digits.len();
        let digits = digits.trim_end_matches('0');
        if digits.is_empty() {
            let (digits, power) = (String::new(), 0);
            return Self { digits, power };
        }
        let shift = |length: usize| i64::try_from(length).unwrap_or(i64::MAX / 4);
        Self {
            digits: digits.to_owned(),
            power: exponent + shift(whole.len()) - shift(zeros),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(text: &str) -> Number<'_> {
        Number::new(Cow::Borrowed(text))
    }

    #[test]
    fn numbers_are_compared_by_value() {
        for text in ["300", "300.0", "3e2", "3.0E+2", "0.3e3", "30000e-2"] {
            assert_eq!(number(text), number("300"), "{text}");
        }
        assert_eq!(number("-0.0"), number("0"));
        assert_eq!(number("0e99"), number("-0"));
        for (less, more) in [
            ("-1e300", "-9007199254740992"),
            ("0.5", "1e300"),
            ("-1", "1"),
        ] {
            let order = number(less).compare(&number(more));
            assert_eq!(order, Some(Ordering::Less), "{less} < {more}");
        }
    }

    #[test]
    fn a_number_that_no_double_holds_equals_only_itself() {
        for text in [
            "9007199254740993",
            "18446744073709551616",
            "0.30000000000000001",
            "1e-400",
            "1e999",
            "1e99999999999999999999",
            "123456789012345678901234567890",
        ] {
            assert_eq!(number(text).value(), None, "{text}");
            assert_eq!(number(text), number(text));
            assert_eq!(number(text).compare(&number("1")), None);
        }
        assert_ne!(number("9007199254740993"), number("9007199254740993.0"));
        assert_ne!(number("9007199254740993"), number("9007199254740992"));
        for text in [
            "9007199254740992",
            "1e23",
            "5e-324",
            "0.1",
            "123456789012345.6",
        ] {
            assert!(number(text).value().is_some(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_double_is_held(value in any::<f64>()) {
            let (plain, short) = (value.to_string(), format!("{value:e}"));
            prop_assume!(value.is_finite());
            prop_assert_eq!(number(&plain).value(), Some(value));
            prop_assert_eq!(number(&short), number(&plain));
        }

        #[test]
        fn short_decimals_are_held(digits in 0u64..10u64.pow(15), power in -300i32..280) {
            let text = format!("{digits}e{power}");
            prop_assert!(number(&text).value().is_some());
        }

        #[test]
        fn no_text_panics(text in any::<String>(), near in "[-+0-9.eE]{0,30}") {
            number(&text);
            number(&near);
        }
    }
}
