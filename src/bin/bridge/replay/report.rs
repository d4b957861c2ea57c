//! The output of a replay: lines of JSON for programs, a table and a summary for people.

use std::fmt::Write as _;

use serde_json::{Value, json};
use workflow_bridge::tools::letters::{Dead, DeadQueue};
use workflow_bridge::tools::replay::run::{Fate, Tally};
use workflow_bridge::tools::terminal::{Style, shown, time};

/// Rows of a table of problems, at most.
pub const MOST_PROBLEMS: usize = 20;

/// Lines of a detail in a terminal, at most.
const DETAIL_LINES: usize = 3;

/// The narrowest terminal for a table.
const NARROWEST: usize = 60;

/// One record in a table: times sort first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    at_ms: i64,
    /// Route, reason and attempts.
    cells: [String; 3],
    subject: String,
    id: String,
    detail: String,
}

impl Row {
    pub fn new(dead: &Dead, fate: &Fate) -> Self {
        let detail = match fate {
            Fate::NotSent(error) => format!("not sent: {error}"),
            Fate::NotDeleted(error) => format!("sent, but still here: {error}"),
            Fate::CameBack => format!("came back: {}", dead.detail),
            _ => dead.detail.clone(),
        };
        let reason = match (fate, dead.reason) {
            (_, Some(reason)) => reason.name(),
            (Fate::NoLetter, None) => "no letter",
            (_, None) => "-",
        };
        let attempts = dead.attempts.map_or("-".to_owned(), |n| n.to_string());
        let subject = dead.subject.as_deref().unwrap_or("-");
        // The part of an ARN that differs between executions.
        let (_, subject) = subject.split_once(":execution:").unwrap_or(("", subject));
        Self {
            at_ms: dead.at_ms,
            cells: [
                shown(dead.route.as_deref().unwrap_or("-")),
                reason.to_owned(),
                attempts,
            ],
            subject: shown(subject),
            id: shown(&dead.id),
            detail: shown(&detail),
        }
    }
}

/// The rows, oldest first, each with its detail below. `width` is the terminal's, if there is one.
pub fn table(kind: DeadQueue, mut rows: Vec<Row>, width: Option<usize>, style: Style) -> String {
    rows.sort();
    let width = width.map_or(usize::MAX, |width| width.max(NARROWEST));
    let heads = ["route", "reason", "tries"].map(str::to_owned);
    let mut widths = heads.each_ref().map(String::len);
    for (n, cell) in rows.iter().flat_map(|row| row.cells.iter().enumerate()) {
        widths[n] = widths[n].max(cell.chars().count());
    }
    let [one, two, three] = widths;
    let line = |time: &str, [route, reason, tries]: &[String; 3]| {
        format!("{time:<20}  {route:<one$}  {reason:<two$}  {tries:>three$}  ")
    };
    let what = match kind {
        DeadQueue::Messages => "message",
        DeadQueue::Results => "execution",
    };
    let mut text = style.dim(line("since", &heads) + what) + "\n";
    for row in rows {
        let start = line(&time(row.at_ms), &row.cells);
        let room = width.saturating_sub(start.chars().count());
        let _ = writeln!(text, "{start}{}", cut_front(&row.subject, room));
        let beside = width.saturating_sub(4 + row.id.chars().count());
        let id = style.dim(&row.id);
        if row.detail.chars().count() <= beside {
            let _ = writeln!(text, "  {id}  {}", row.detail);
        } else {
            let _ = writeln!(text, "  {id}");
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

/// The counts for people, and remedies.
pub fn summary(kind: DeadQueue, dry_run: bool, tally: &Tally) -> (String, Vec<String>) {
    let ended = tally.broke_off.iter();
    let mut hints: Vec<_> = ended.map(|why| format!("ended early: {why}")).collect();
    if tally.stopped {
        hints.push("interrupted; everything else stays as it is".to_owned());
    }
    if tally.limit_reached {
        hints.push("stopped at the limit; there may be more".to_owned());
    }
    for (count, hint) in [
        (
            tally.not_sent.to_string(),
            "could not be put back and stay where they are",
        ),
        (
            tally.not_deleted.to_string(),
            "put back, but still here too: another replay starts no execution of a STANDARD state machine twice",
        ),
        (
            tally.came_back.to_string(),
            "came back at once: fix the cause in the details before the next replay",
        ),
        (
            grouped(tally.no_letter),
            "no letter: such a record matches no filter and stays until it is deleted",
        ),
    ] {
        if count != "0" {
            hints.push(format!("{count} {hint}"));
        }
    }
    (headline(kind, dry_run, tally), hints)
}

fn headline(kind: DeadQueue, dry_run: bool, tally: &Tally) -> String {
    let queue = kind.name();
    let ended = tally.broke_off.is_some();
    if tally.found == 0 {
        let did = if ended { "saw" } else { "found" };
        return format!("{did} no dead letters of {queue}");
    }
    let did = if dry_run { "would replay" } else { "replayed" };
    let all = !(tally.limit_reached || tally.stopped || ended);
    let of = if all { "of" } else { "of the first" };
    let unmatched = match tally.not_matching {
        1 => "does not match",
        _ => "do not match",
    };
    let rest = [
        (tally.not_matching, unmatched),
        (tally.over_limit, "over the limit"),
        (tally.came_back, "came back"),
        (tally.no_letter, "no letter"),
        (tally.not_sent + tally.not_deleted, "failed"),
    ];
    let rest = rest.iter().filter(|(count, _)| *count > 0);
    let rest = rest.map(|(count, what)| format!("{} {what}", grouped(*count)));
    let rest = match rest.collect::<Vec<_>>().join(", ") {
        rest if rest.is_empty() => rest,
        rest => format!(" ({rest})"),
    };
    let plural = if tally.found == 1 { "" } else { "s" };
    let (replayed, found) = (grouped(tally.replayed), grouped(tally.found));
    format!("{did} {replayed} {of} {found} dead letter{plural} of {queue}{rest}")
}

/// Thousands separated by commas: `12,345`.
pub fn grouped(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", grouped(number / 1000), number % 1000),
    }
}

/// The text in lines of at most `width`, [`DETAIL_LINES`] of them, with a mark for the rest.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some((end, _)) = rest.char_indices().nth(width) {
        if lines.len() + 1 == DETAIL_LINES {
            let shown: String = rest.chars().take(width.saturating_sub(1)).collect();
            lines.push(format!("{}…", shown.trim_end()));
            return lines;
        }
        // Breaks between words, unless that would leave most of the line empty: ARNs are long.
        let space = rest[..end].rfind(' ').filter(|space| *space > end / 3);
        let (line, more) = rest.split_at(space.unwrap_or(end));
        lines.push(line.to_owned());
        rest = more.trim_start();
    }
    lines.extend((!rest.is_empty()).then(|| rest.to_owned()));
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

    fn dead(route: &str, reason: Reason, at_ms: i64, subject: &str) -> Dead {
        Dead {
            id: "1".to_owned(),
            route: Some(route.to_owned()),
            reason: Some(reason),
            detail: "because".to_owned(),
            attempts: Some(3),
            at_ms,
            subject: Some(subject.to_owned()),
            ..Dead::default()
        }
    }

    #[test]
    fn a_table_fits_the_terminal_and_shows_the_oldest_first() {
        let topic = format!("demo/{}#42", "t".repeat(100));
        let mut long = dead(
            "uppercase",
            Reason::InputTooLarge,
            1_769_850_001_999,
            &topic,
        );
        (long.id, long.detail) = ("0".repeat(32), "word ".repeat(40));
        let mut first = dead("a", Reason::Refused, 1_769_850_000_000, "demo/in#1");
        first.detail = "one\ntwo\x1b[2J".to_owned();
        let table = |width| {
            let rows = [&long, &first].map(|dead| Row::new(dead, &Fate::WouldReplay));
            table(DeadQueue::Messages, rows.to_vec(), width, Style::plain())
        };
        for width in [80, 120] {
            let text = table(Some(width));
            let lines: Vec<_> = text.lines().collect();
            assert!(
                lines.iter().all(|line| line.chars().count() <= width)
                    && lines[1].starts_with("2026-01-31T09:00:00Z  a          refused "),
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
        let narrow = table(Some(1));
        assert!(narrow.ends_with("…\n"), "{narrow}");
        assert!(table(None).contains(long.detail.trim()));
    }

    #[test]
    fn a_row_names_the_execution_and_the_error() {
        let arn = "arn:aws:states:us-east-1:1:execution:Upper:name";
        let mut letter = dead("r", Reason::Refused, 0, arn);
        let row = Row::new(&letter, &Fate::NotSent("AccessDenied: no".to_owned()));
        assert_eq!(row.subject, "Upper:name");
        assert_eq!(row.detail, "not sent: AccessDenied: no");
        letter.reason = None;
        assert_eq!(Row::new(&letter, &Fate::NoLetter).cells[1], "no letter");
        assert_eq!(Row::new(&letter, &Fate::WouldReplay).cells[1], "-");
    }

    #[test]
    fn the_summary_has_counts_and_remedies() {
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
            let expected = (line.to_owned(), Vec::new());
            assert_eq!(summary(DeadQueue::Messages, false, tally), expected);
        }
        let (line, _) = summary(DeadQueue::Results, true, &tally);
        assert!(line.starts_with("would replay 1,200 of 1,500 dead letters of results"));
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
        let (line, hints) = summary(DeadQueue::Messages, false, &tally);
        assert_eq!(
            line,
            "replayed 5 of the first 10 dead letters of messages (1 over the limit, 1 came back, 1 no letter, 2 failed)"
        );
        assert_eq!(hints.len(), 5, "{hints:?}");
    }

    #[test]
    fn lines_for_programs_carry_no_payload() {
        let mut letter = dead("r", Reason::Refused, 5, "demo/in#1");
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
