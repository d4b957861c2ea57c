//! A plan for people: two tables and a sentence.

use std::fmt::{self, Display};

use super::prices::AS_OF;
use super::{Confidence, Plan, Source};

/// How wide the column with what to do is, in characters.
const REMEDY: usize = 60;

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

impl Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { question, load, .. } = self;
        writeln!(
            f,
            "{} messages a second in the mean ({} a day), {} in the busiest one\n",
            number(load.mean),
            number(load.mean * 86_400.0),
            number(load.peak)
        )?;
        let mut limits = Table::new(&[
            "in the order in which they are hit",
            "need",
            "limit",
            "used",
            "what to do",
        ]);
        for limit in &self.limits {
            let of = |number: String| format!("{number}{}", limit.unit);
            limits.row([
                limit.name.to_owned(),
                of(number(limit.need)),
                of(number(limit.limit)) + mark(limit.source),
                percent(limit.used_percent),
                match limit.used_percent > 100.0 {
                    true => format!("over it, {}: {}", limit.over_it, limit.what_to_do),
                    false => limit.what_to_do.clone(),
                },
            ]);
        }
        writeln!(f, "{limits}")?;
        let mut costs = Table::new(&["a month of 30 days", "quantity", "price", "cost", ""]);
        for cost in &self.costs {
            costs.row([
                cost.part.to_owned(),
                format!("{} {}", number(cost.quantity), cost.unit),
                cost.price.clone() + mark(cost.source),
                dollars(cost.dollars_a_month),
                String::new(),
            ]);
        }
        costs.row([
            "together".to_owned(),
            String::new(),
            String::new(),
            dollars(self.dollars_a_month),
            String::new(),
        ]);
        writeln!(f, "{costs}")?;
        let free = if question.free_tier {
            ", less the free tiers"
        } else {
            ""
        };
        writeln!(
            f,
            "List prices of us-east-1 as of {AS_OF}{free}. Not in them: Momento (its price is not known here), what workflows call,\nand data on its way out of AWS. ~ read in part or over a year ago, ? at second hand: docs/scaling.md names the sources.\n"
        )?;
        writeln!(f, "{}", self.verdict)
    }
}

/// Columns of text: the first and the last to the left, the others to the right. The last is wrapped.
struct Table(Vec<[String; 5]>);

impl Table {
    fn new(head: &[&str; 5]) -> Self {
        Self(vec![head.map(str::to_owned)])
    }

    fn row(&mut self, row: [String; 5]) {
        self.0.push(row);
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            let widths = self.0.iter().map(|row| row[column].chars().count());
            widths.max().unwrap_or(0)
        };
        let [a, b, c, d] = [0, 1, 2, 3].map(width);
        for [name, need, limit, used, rest] in &self.0 {
            let mut lines = wrap(rest).into_iter();
            let first = lines.next().unwrap_or_default();
            let line = format!("{name:a$}  {need:>b$}  {limit:>c$}  {used:>d$}  {first}");
            writeln!(f, "{}", line.trim_end())?;
            let indent = a + b + c + d + 8;
            for line in lines {
                writeln!(f, "{:indent$}{line}", "")?;
            }
        }
        Ok(())
    }
}

/// Breaks a text at blanks into lines of [`REMEDY`] characters.
fn wrap(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= REMEDY => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
