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
    PossibleValuesParser::new(Reason::ALL.map(Reason::name)).try_map(|name| {
        let known = Reason::ALL.into_iter().find(|reason| reason.name() == name);
        known.ok_or("expected a reason")
    })
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
    let expected = || {
        "expected a time such as `2026-01-31T09:30:00Z` or `2026-01-31`, or a number with `s`, `m`, `h` or `d` for seconds, minutes, hours or days ago".to_owned()
    };
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let unit_ms = match &text[digits.len()..] {
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(expected()),
        };
        let ago = digits
            .parse()
            .ok()
            .and_then(|n: i64| n.checked_mul(unit_ms));
        return ago
            .map(|ago| now_ms.saturating_sub(ago))
            .ok_or_else(|| "expected a shorter time".to_owned());
    }
    let midnight = format!("{text}T00:00:00Z");
    let text = if text.len() == "2026-01-31".len() {
        &midnight
    } else {
        text
    };
    let time = DateTime::from_str(text, Format::DateTimeWithOffset).map_err(|_| expected())?;
    time.to_millis().map_err(|_| expected())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dead(route: &str, reason: Reason, id: &str, at_ms: i64) -> Dead {
        Dead {
            id: id.to_owned(),
            route: Some(route.to_owned()),
            reason: Some(reason),
            at_ms,
            ..Dead::default()
        }
    }

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
        for text in [
            "",
            "h",
            "2",
            "2 h",
            "2w",
            "-2h",
            "2h30m",
            "yesterday",
            "2026-13-01",
            "99999999999999999999d",
            "9999999999999999d",
            "2026-01-31T09:30:00",
            "ü2h",
        ] {
            assert!(since(text, NOW).is_err(), "{text}");
        }
    }

    #[test]
    fn every_reason_has_its_own_name() {
        let mut names = Reason::ALL.map(Reason::name);
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    }

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

    #[test]
    fn a_letter_has_to_pass_every_filter() {
        let (refused, gave_up) = (Some(Reason::Refused), Some(Reason::GaveUp));
        let letter = dead("uppercase", Reason::Refused, "abc", 1_000);
        for (choice, takes) in [
            (Choice::default(), true),
            (choice("other uppercase", None, None, ""), true),
            (choice("upper", None, None, ""), false),
            (choice("", refused, None, ""), true),
            (choice("", gave_up, None, ""), false),
            (choice("", None, Some(1_000), ""), true),
            (choice("", None, Some(1_001), ""), false),
            (choice("", None, None, "abc"), true),
            (choice("", None, None, "ab"), false),
            (choice("uppercase", gave_up, None, ""), false),
        ] {
            assert_eq!(choice.takes(&letter), takes, "{choice:?}");
        }
    }

    #[test]
    fn a_record_without_a_letter_fails_filters_by_route_and_reason() {
        let raw = Dead {
            route: None,
            reason: None,
            ..dead("x", Reason::Refused, "abc", 1_000)
        };
        assert!(Choice::default().takes(&raw));
        assert!(!choice("x", None, None, "").takes(&raw));
        assert!(!choice("", Some(Reason::Refused), None, "").takes(&raw));
    }
}
