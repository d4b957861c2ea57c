//! A plan for people: two tables and a sentence.

use std::fmt::{self, Display, Write as _};

use super::prices::AS_OF;
use super::{Confidence, Plan, Source};

/// How wide the column with what to do is, in characters: as wide as there is room, within these.
const REMEDY: (usize, usize) = (30, 60);

/// With thousands separated: `34,722`.
pub fn whole(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut grouped = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Three digits at least, as far as there are any: `0.0123`, `1.23`, `123`, `1,235`.
fn number(number: f64) -> String {
    let decimals = match number {
        n if n >= 100.0 || n.fract() == 0.0 => return whole(n),
        n if n >= 10.0 => 1,
        n if n >= 1.0 => 2,
        n if n >= 0.01 => 3,
        _ => return "< 0.01".to_owned(),
    };
    format!("{number:.decimals$}")
}

pub fn percent(percent: f64) -> String {
    match percent {
        p if p >= 1000.0 => format!("{} times", whole(p / 100.0)),
        p if p >= 10.0 => format!("{} %", whole(p)),
        p if p >= 0.1 => format!("{p:.1} %"),
        0.0 => "0 %".to_owned(),
        _ => "< 0.1 %".to_owned(),
    }
}

/// `$0.20`, `$13.33`, `$0.0125`.
pub fn price(dollars: f64) -> String {
    let cents = format!("{dollars:.2}");
    let exact = format!("{dollars}");
    if dollars < 1.0 && exact.len() > cents.len() {
        return format!("${exact}");
    }
    format!("${cents}")
}

fn dollars(dollars: f64) -> String {
    match dollars {
        d if d >= 1000.0 => format!("${}", whole(d)),
        d if d < 0.005 => "$0.00".to_owned(),
        d => format!("${d:.2}"),
    }
}

fn mark(source: Source) -> &'static str {
    match source.confidence {
        Confidence::High => "",
        Confidence::Medium => " ~",
        Confidence::Low => " ?",
    }
}

impl Plan {
    /// The plan on pages so many characters wide; what has to be longer is.
    pub fn text(&self, columns: usize) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut text, columns);
        text
    }

    fn write(&self, out: &mut String, columns: usize) -> fmt::Result {
        let Self { question, load, .. } = self;
        writeln!(
            out,
            "{} messages a second in the mean ({} a day), {} in the busiest one\n",
            number(load.mean),
            number(load.mean * 86_400.0),
            number(load.peak)
        )?;
        writeln!(out, "{}", self.table_of_limits(columns))?;
        writeln!(out, "{}", self.table_of_costs(columns))?;
        let free = if question.free_tier {
            ", less the free tiers"
        } else {
            ""
        };
        writeln!(
            out,
            "List prices of us-east-1 as of {AS_OF}{free}. Not in them: Momento (its price is not\nknown here), what workflows call, and data on its way out of AWS.\n~ read in part or over a year ago, ? at second hand: docs/scaling.md names the sources.\n"
        )?;
        writeln!(out, "{}", self.verdict)
    }

    fn table_of_limits(&self, columns: usize) -> Table {
        let head = [
            "in the order in which they are hit",
            "need",
            "limit",
            "used",
            "what to do",
        ];
        let rows = self.limits.iter().map(|limit| {
            let of = |number: String| format!("{number}{}", limit.unit);
            let what_to_do = if limit.used_percent > 100.0 {
                format!("over it, {}: {}", limit.over_it, limit.what_to_do)
            } else {
                limit.what_to_do.clone()
            };
            [
                limit.name.to_owned(),
                of(number(limit.need)),
                of(number(limit.limit)) + mark(limit.source),
                percent(limit.used_percent),
                what_to_do,
            ]
        });
        Table::new(columns, head, rows)
    }

    fn table_of_costs(&self, columns: usize) -> Table {
        let row = |part: &str, quantity, price, month| {
            [
                part.to_owned(),
                quantity,
                price,
                dollars(month),
                String::new(),
            ]
        };
        let rows = self.costs.iter().map(|cost| {
            let quantity = format!("{} {}", number(cost.quantity), cost.unit);
            let price = cost.price.clone() + mark(cost.source);
            row(cost.part, quantity, price, cost.dollars_a_month)
        });
        let sum = row(
            "together",
            String::new(),
            String::new(),
            self.dollars_a_month,
        );
        let head = ["a month of 30 days", "quantity", "price", "cost", ""];
        Table::new(columns, head, rows.chain([sum]))
    }
}

/// Columns of text: the first and the last to the left, the others to the right. The last is wrapped.
struct Table {
    rows: Vec<[String; 5]>,
    columns: usize,
}

impl Table {
    fn new(columns: usize, head: [&str; 5], rows: impl Iterator<Item = [String; 5]>) -> Self {
        let head = head.map(str::to_owned);
        Self {
            rows: [head].into_iter().chain(rows).collect(),
            columns,
        }
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            let widths = self.rows.iter().map(|row| row[column].chars().count());
            widths.max().unwrap_or(0)
        };
        let [a, b, c, d] = [0, 1, 2, 3].map(width);
        let indent = a + b + c + d + 8;
        let (least, most) = REMEDY;
        let room = self.columns.saturating_sub(indent).clamp(least, most);
        for [name, need, limit, used, rest] in &self.rows {
            let mut lines = wrap(rest, room).into_iter();
            let first = lines.next().unwrap_or_default();
            let line = format!("{name:a$}  {need:>b$}  {limit:>c$}  {used:>d$}  {first}");
            writeln!(f, "{}", line.trim_end())?;
            for line in lines {
                writeln!(f, "{:indent$}{line}", "")?;
            }
        }
        Ok(())
    }
}

/// Breaks a text at blanks into lines of so many characters.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
