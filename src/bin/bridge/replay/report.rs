//! The output of a replay: lines of JSON for programs, a table and a summary for people.

use std::fmt::Write as _;

use serde_json::{Value, json};
use workflow_bridge::tools::letters::{Dead, DeadQueue};
use workflow_bridge::tools::replay::run::{Fate, Tally};
use workflow_bridge::tools::terminal::{Style, preview};
use workflow_bridge::tools::trace::words::time;

/// Rows of a table of problems, at most.
pub const MOST_PROBLEMS: usize = 20;

/// Lines of a detail in a terminal, at most.
const DETAIL_LINES: usize = 3;

/// The narrowest terminal for a table.
const NARROWEST: usize = 60;

/// One record in a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    at_ms: i64,
    route: String,
    reason: &'static str,
    attempts: String,
    subject: String,
    id: String,
    detail: String,
}

impl Row {
    pub fn new(dead: &Dead, fate: &Fate) -> Self {
        let none = || "-".to_owned();
        let shown = |text: &str| preview(text, usize::MAX);
        let detail = match fate {
            Fate::NotSent(error) => format!("not sent: {error}"),
            Fate::NotDeleted(error) => format!("sent, but still here: {error}"),
            Fate::CameBack => format!("came back: {}", dead.detail),
            _ => dead.detail.clone(),
        };
        let subject = dead.subject.as_deref().map(|subject| {
            // The part of an ARN that differs between executions.
            let name = subject.split_once(":execution:").map(|(_, name)| name);
            shown(name.unwrap_or(subject))
        });
        let reason = match (fate, dead.reason) {
            (_, Some(reason)) => reason.name(),
            (Fate::NoLetter, None) => "no letter",
            (_, None) => "-",
        };
        Self {
            at_ms: dead.at_ms,
            route: dead.route.as_deref().map_or_else(none, shown),
            reason,
            attempts: dead.attempts.map_or_else(none, |n| n.to_string()),
            subject: subject.unwrap_or_else(none),
            id: shown(&dead.id),
            detail: shown(&detail),
        }
    }
}

/// The rows, oldest first, each with its detail below. `width` is the terminal's, if there is one.
pub fn table(kind: DeadQueue, mut rows: Vec<Row>, width: Option<usize>, style: Style) -> String {
    rows.sort();
    let width = width.map_or(usize::MAX, |width| width.max(NARROWEST));
    let longest = |head: &str, of: fn(&Row) -> &str| {
        let lengths = rows.iter().map(|row| of(row).chars().count());
        lengths.max().unwrap_or_default().max(head.len())
    };
    let route = longest("route", |row| &row.route);
    let reason = longest("reason", |row| row.reason);
    let tries = longest("tries", |row| &row.attempts);
    let line = |time: &str, r: &str, why: &str, n: &str, what: &str| {
        format!("{time:<20}  {r:<route$}  {why:<reason$}  {n:>tries$}  {what}")
    };
    let mut text = String::new();
    let what = match kind {
        DeadQueue::Messages => "message",
        DeadQueue::Results => "execution",
    };
    let head = line("last try", "route", "reason", "tries", what);
    let _ = writeln!(text, "{}", style.dim(head));
    for row in rows {
        let start = line(&time(row.at_ms), &row.route, row.reason, &row.attempts, "");
        let room = width.saturating_sub(start.chars().count());
        let _ = writeln!(text, "{start}{}", cut_front(&row.subject, room));
        let beside = width.saturating_sub(4 + row.id.chars().count());
        if row.detail.chars().count() <= beside {
            let _ = writeln!(text, "  {}  {}", style.dim(&row.id), row.detail);
        } else {
            let _ = writeln!(text, "  {}", style.dim(&row.id));
            for part in wrap(&row.detail, width.saturating_sub(4)) {
                let _ = writeln!(text, "    {part}");
            }
        }
    }
    text
}

/// A record for programs.
pub fn line(kind: DeadQueue, dead: &Dead, fate: &Fate) -> Value {
    let mut line = json!(fate);
    line["queue"] = json!(kind.name());
    line["id"] = json!(dead.id);
    line["route"] = json!(dead.route);
    line["reason"] = json!(dead.reason);
    line["detail"] = json!(dead.detail);
    line["attempts"] = json!(dead.attempts);
    line["last_at"] = json!(dead.at_ms);
    line["subject"] = json!(dead.subject);
    line
}

/// The counts for programs.
pub fn counts(kind: DeadQueue, dry_run: bool, tally: &Tally) -> Value {
    let mut counts = json!(tally);
    counts["summary"] = json!(kind.name());
    counts["dry_run"] = json!(dry_run);
    counts
}

/// The counts for people, with remedies, one line each.
pub fn summary(kind: DeadQueue, dry_run: bool, tally: &Tally) -> Vec<String> {
    let mut lines = vec![headline(kind, dry_run, tally)];
    let mut hint = |text: String| lines.push(format!("  {text}"));
    if let Some(why) = &tally.broke_off {
        hint(format!("ended early: {why}"));
    }
    if tally.stopped {
        hint("interrupted; everything else stays as it is".to_owned());
    }
    if tally.limit_reached {
        hint("stopped at the limit; there may be more".to_owned());
    }
    for (count, hints) in [
        (
            tally.not_sent,
            "could not be put back and stay where they are",
        ),
        (
            tally.not_deleted,
            "put back, but still here too: another replay sends them again, which does no harm",
        ),
        (
            tally.came_back,
            "came back at once: fix the cause in the details before the next replay",
        ),
    ] {
        if count > 0 {
            hint(format!("{count} {hints}"));
        }
    }
    if tally.no_letter > 0 {
        hint(format!(
            "{} no letter: such a record matches no filter and stays until it is deleted",
            grouped(tally.no_letter)
        ));
    }
    lines
}

fn headline(kind: DeadQueue, dry_run: bool, tally: &Tally) -> String {
    let queue = kind.name();
    if tally.found == 0 {
        return match tally.broke_off {
            Some(_) => format!("saw no dead letters of {queue}"),
            None => format!("found no dead letters of {queue}"),
        };
    }
    let did = if dry_run { "would replay" } else { "replayed" };
    let all = !(tally.limit_reached || tally.stopped || tally.broke_off.is_some());
    let of = if all { "of" } else { "of the first" };
    let mut rest = Vec::new();
    match tally.not_matching {
        0 => {}
        1 => rest.push("1 does not match".to_owned()),
        n => rest.push(format!("{} do not match", grouped(n))),
    }
    for (count, what) in [
        (tally.over_limit, "over the limit"),
        (tally.came_back, "came back"),
        (tally.no_letter, "no letter"),
        (tally.not_sent + tally.not_deleted, "failed"),
    ] {
        if count > 0 {
            rest.push(format!("{} {what}", grouped(count)));
        }
    }
    let rest = match rest.is_empty() {
        true => String::new(),
        false => format!(" ({})", rest.join(", ")),
    };
    let letters = if tally.found == 1 {
        "letter"
    } else {
        "letters"
    };
    let (replayed, found) = (grouped(tally.replayed), grouped(tally.found));
    format!("{did} {replayed} {of} {found} dead {letters} of {queue}{rest}")
}

/// Thousands separated by commas: `12,345`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The text in lines of at most `width`, [`DETAIL_LINES`] of them, with a mark for the rest.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.char_indices().nth(width).map(|(end, _)| end);
        let Some(end) = end else {
            lines.push(rest.to_owned());
            break;
        };
        if lines.len() + 1 == DETAIL_LINES {
            let shown: String = rest.chars().take(width.saturating_sub(1)).collect();
            lines.push(format!("{}…", shown.trim_end()));
            break;
        }
        // Breaks between words, unless that would leave most of the line empty: ARNs are long.
        let space = rest[..end].rfind(' ').filter(|space| *space > end / 3);
        let (line, more) = rest.split_at(space.unwrap_or(end));
        lines.push(line.to_owned());
        rest = more.trim_start();
    }
    lines
}

/// The text, or as much of its end as fits: the distinguishing numbers are there.
fn cut_front(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return text.to_owned();
    }
    let tail = text.chars().skip(length + 1 - width.max(1));
    format!("…{}", tail.collect::<String>())
}

#[cfg(test)]
mod tests {
    use workflow_bridge::domain::inbound::letter::Reason;
    use workflow_bridge::tools::letters::Payload;

    use super::*;

    fn dead(route: &str, reason: Reason, id: &str, at_ms: i64) -> Dead {
        Dead {
            id: id.to_owned(),
            route: Some(route.to_owned()),
            reason: Some(reason),
            detail: "because".to_owned(),
            attempts: Some(3),
            at_ms,
            subject: Some("demo/in#1".to_owned()),
            ..Dead::default()
        }
    }

    #[test]
    fn a_table_fits_the_terminal_and_shows_the_oldest_first() {
        let mut long = dead(
            "uppercase",
            Reason::InputTooLarge,
            &"0".repeat(32),
            1_769_850_001_999,
        );
        long.detail = "word ".repeat(40);
        long.subject = Some(format!("demo/{}#42", "t".repeat(100)));
        let mut first = dead("a", Reason::Refused, "1", 1_769_850_000_000);
        first.detail = "one\ntwo\x1b[2J".to_owned();
        let row = |dead| Row::new(dead, &Fate::WouldReplay);
        let rows = || [&long, &first].map(row).to_vec();
        for width in [80, 120] {
            let text = table(DeadQueue::Messages, rows(), Some(width), Style::plain());
            assert!(
                text.lines().all(|line| line.chars().count() <= width),
                "{text}"
            );
            let lines: Vec<_> = text.lines().collect();
            assert!(
                lines[1].starts_with("2026-01-31T09:00:00Z  a          refused "),
                "{text}"
            );
            assert_eq!(lines[2], "  1  one\\ntwo\\u{1b}[2J");
            assert!(lines[3].contains('…') && lines[3].ends_with("tt#42"));
            let most = &lines[5..];
            assert!(
                most.len() <= DETAIL_LINES && most[0].ends_with("word"),
                "{text}"
            );
        }
        let narrow = table(DeadQueue::Messages, rows(), Some(1), Style::plain());
        assert!(narrow.ends_with("…\n"), "{narrow}");
        let whole = table(DeadQueue::Messages, rows(), None, Style::plain());
        assert!(whole.contains(long.detail.trim()));
    }

    #[test]
    fn a_row_names_the_execution_and_the_error() {
        let mut letter = dead("r", Reason::Refused, "1", 0);
        letter.subject = Some("arn:aws:states:us-east-1:1:execution:Upper:name".to_owned());
        let row = Row::new(&letter, &Fate::NotSent("AccessDenied: no".to_owned()));
        assert_eq!(row.subject, "Upper:name");
        assert_eq!(row.detail, "not sent: AccessDenied: no");
        letter.reason = None;
        assert_eq!(Row::new(&letter, &Fate::NoLetter).reason, "no letter");
        assert_eq!(Row::new(&letter, &Fate::WouldReplay).reason, "-");
    }

    #[test]
    fn the_summary_has_counts_and_remedies() {
        let of = |tally: &Tally| summary(DeadQueue::Messages, false, tally).join("\n");
        let counted = |found, replayed| Tally {
            found,
            replayed,
            not_matching: found - replayed,
            ..Tally::default()
        };
        let tally = counted(1_500, 1_200);
        for (tally, line) in [
            (&counted(0, 0), "found no dead letters of messages"),
            (&counted(1, 1), "replayed 1 of 1 dead letter of messages"),
            (
                &tally,
                "replayed 1,200 of 1,500 dead letters of messages (300 do not match)",
            ),
        ] {
            assert_eq!(of(tally), line);
        }
        assert!(
            summary(DeadQueue::Results, true, &tally)[0]
                .starts_with("would replay 1,200 of 1,500 dead letters of results")
        );
        let tally = Tally {
            found: 10,
            replayed: 5,
            came_back: 1,
            no_letter: 1,
            not_sent: 1,
            not_deleted: 1,
            over_limit: 1,
            limit_reached: true,
            ..Tally::default()
        };
        let text = of(&tally);
        assert!(text.starts_with("replayed 5 of the first 10 dead letters of messages (1 over the limit, 1 came back, 1 no letter, 2 failed)\n"), "{text}");
        assert_eq!(text.lines().count(), 6, "{text}");
    }

    #[test]
    fn lines_for_programs_carry_no_payload() {
        let mut letter = dead("r", Reason::Refused, "1", 5);
        letter.send = Some(Payload("hush".to_owned()));
        let fate = Fate::NotSent("why".to_owned());
        let line = line(DeadQueue::Results, &letter, &fate);
        assert_eq!(
            (&line["reason"], &line["outcome"], &line["error"]),
            (&json!("refused"), &json!("not_sent"), &json!("why"))
        );
        assert!(!line.to_string().contains("hush"));
    }
}
