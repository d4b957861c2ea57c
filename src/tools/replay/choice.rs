//! The filters of a replay, and times as people write them.

use aws_smithy_types::date_time::{DateTime, Format};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::clock::now_ms;
use crate::domain::inbound::letter::Reason;
use crate::tools::letters::Dead;

/// Filters of a replay, as options of the command line: a letter has to match one value of each given option.
#[derive(Args, Clone, Debug, Default)]
pub struct Choice {
    /// Only those of this route; may be given several times
    #[arg(long = "route", value_name = "ROUTE")]
    pub routes: Vec<String>,

    /// Only those with this reason; may be given several times
    #[arg(long = "reason", value_name = "REASON", value_parser = reason())]
    pub reasons: Vec<Reason>,

    /// Only those last tried at or after this time: `2026-01-31`, `2026-01-31T09:30:00Z`, or an age: `90s`, `30m`, `2h`, `7d`
    #[arg(long, value_name = "TIME", value_parser = |text: &str| since(text, now_ms()))]
    pub since: Option<i64>,

    /// Only those of the message or event with this id; may be given several times
    #[arg(long = "id", value_name = "ID")]
    pub ids: Vec<String>,
}

fn reason() -> impl TypedValueParser<Value = Reason> {
    PossibleValuesParser::new(Reason::ALL.map(Reason::name))
        .try_map(|name| Reason::named(&name).ok_or("expected a reason"))
}

impl Choice {
    /// Whether a record passes the filters.
    ///
    /// A record without a letter has neither a route nor a reason, so it fails these two filters.
    pub fn takes(&self, dead: &Dead) -> bool {
        fn any<T: PartialEq>(wanted: &[T], found: Option<&T>) -> bool {
            wanted.is_empty() || found.is_some_and(|found| wanted.contains(found))
        }
        any(&self.routes, dead.route.as_ref())
            && any(&self.reasons, dead.reason.as_ref())
            && any(&self.ids, Some(&dead.id))
            && self.since.is_none_or(|since| dead.at_ms >= since)
    }
}

/// A time, or an age before now, in ms since the epoch.
pub fn since(text: &str, now_ms: i64) -> Result<i64, String> {
    let expected = "expected a time such as `2026-01-31T09:30:00Z` or `2026-01-31`, or a number with `s`, `m`, `h` or `d` for seconds, minutes, hours or days ago";
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let unit_ms: i64 = match &text[digits.len()..] {
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(expected.to_owned()),
        };
        let ago = digits.parse().ok().and_then(|n| unit_ms.checked_mul(n));
        let ago = ago.ok_or("expected a shorter time")?;
        return Ok(now_ms.saturating_sub(ago));
    }
    let midnight = match text.len() {
        10 => "T00:00:00Z",
        _ => "",
    };
    let time = DateTime::from_str(&format!("{text}{midnight}"), Format::DateTimeWithOffset).ok();
    let ms = time.and_then(|time| time.to_millis().ok());
    ms.ok_or_else(|| expected.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    #[test]
    fn times_and_ages_are_parsed() {
        for (text, ms) in [
            ("90s", NOW - 90_000),
            ("30m", NOW - 1_800_000),
            ("2h", NOW - 7_200_000),
            ("7d", NOW - 604_800_000),
            ("1970-01-02", 86_400_000),
            ("1970-01-01T00:00:01Z", 1_000),
            ("1970-01-01T00:00:01.5Z", 1_500),
            ("1970-01-01T02:00:01+02:00", 1_000),
        ] {
            assert_eq!(since(text, NOW), Ok(ms), "{text}");
        }
        let unclear = "|h|2|2 h|2w|-2h|2h30m|yesterday|2026-13-01|99999999999999999999d|9999999999999999d|2026-01-31T09:30:00|ü2h";
        for text in unclear.split('|') {
            assert!(since(text, NOW).is_err(), "{text}");
        }
    }

    #[test]
    fn every_reason_has_its_own_name() {
        let mut names = Reason::ALL.map(Reason::name);
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn a_letter_has_to_pass_every_filter() {
        /// Filters by route, reason, time and id; an empty text is no filter.
        fn choice(route: &str, reason: Option<Reason>, since: Option<i64>, id: &str) -> Choice {
            let given = |text: &str| text.split_whitespace().map(str::to_owned).collect();
            Choice {
                routes: given(route),
                reasons: reason.into_iter().collect(),
                since,
                ids: given(id),
            }
        }
        let (refused, gave_up) = (Some(Reason::Refused), Some(Reason::GaveUp));
        let letter = Dead {
            id: "abc".to_owned(),
            route: Some("uppercase".to_owned()),
            reason: refused,
            at_ms: 1_000,
            ..Dead::default()
        };
        // A record without a letter has neither a route nor a reason.
        let raw = Dead {
            route: None,
            reason: None,
            ..letter.clone()
        };
        for (choice, takes, takes_raw) in [
            (Choice::default(), true, true),
            (choice("other uppercase", None, None, ""), true, false),
            (choice("upper", None, None, ""), false, false),
            (choice("", refused, None, ""), true, false),
            (choice("", gave_up, None, ""), false, false),
            (choice("", None, Some(1_000), ""), true, true),
            (choice("", None, Some(1_001), ""), false, false),
            (choice("", None, None, "abc"), true, true),
            (choice("", None, None, "ab"), false, false),
            (choice("uppercase", gave_up, None, ""), false, false),
        ] {
            assert_eq!(choice.takes(&letter), takes, "{choice:?}");
            assert_eq!(choice.takes(&raw), takes_raw, "{choice:?}");
        }
    }
}
