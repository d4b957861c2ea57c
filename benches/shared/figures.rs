//! The runs of a bench, and Markdown tables of their figures.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::json;

/// One run of one subject.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// The conditions. Only runs under the same ones are compared.
    pub setting: Vec<String>,
    pub subject: String,
    pub round: usize,
    /// By name and unit.
    pub figures: BTreeMap<&'static str, f64>,
}

/// The content of a column.
#[derive(Clone, Copy)]
pub enum Show {
    /// The runs' median, with this many digits.
    Median(usize),
    /// The same, with the least and the most.
    Spread(usize),
    /// The median over that of the reference.
    Ratio,
    /// The figure over that of the reference in the same round: median and middle half.
    RatioByRound,
    Sum,
}

/// Rows for the runs whose settings have as many parts as there are headings, by setting and subject.
pub struct Table<'a> {
    pub settings: &'a [&'a str],
    pub subjects: &'a [&'a str],
    pub columns: &'a [(&'static str, Show)],
    /// The subject that the ratios of this one refer to.
    pub reference: &'a dyn Fn(&str) -> &'static str,
}

impl Table<'_> {
    /// Empty without runs.
    pub fn of(&self, runs: &[Run]) -> String {
        let mut settings: Vec<&Vec<String>> = Vec::new();
        for Run { setting, .. } in runs {
            if setting.len() == self.settings.len() && !settings.contains(&setting) {
                settings.push(setting);
            }
        }
        let mut rows = Vec::new();
        for setting in settings {
            for &subject in self.subjects {
                let cells = self.columns.iter().map(|&(figure, show)| {
                    let cell = self.cell(runs, setting, subject, figure, show);
                    cell.unwrap_or_default()
                });
                let cells: Vec<_> = cells.collect();
                if cells.iter().any(|cell| !cell.is_empty()) {
                    rows.push([&setting[..], &[subject.to_owned()], &cells].concat());
                }
            }
        }
        let columns = self.columns.iter().map(|(figure, show)| match show {
            Show::Ratio | Show::RatioByRound => "ratio",
            Show::Median(_) | Show::Spread(_) | Show::Sum => figure,
        });
        let columns: Vec<_> = columns.collect();
        match rows.is_empty() {
            true => String::new(),
            false => markdown(&[self.settings, &["subject"], &columns].concat(), &rows),
        }
    }

    fn cell(
        &self,
        runs: &[Run],
        setting: &[String],
        subject: &str,
        figure: &str,
        show: Show,
    ) -> Option<String> {
        let mut own = values(runs, setting, subject, figure);
        let middle = median(own.clone())?;
        let reference = (self.reference)(subject);
        Some(match show {
            Show::Median(digits) => format!("{middle:.digits$}"),
            Show::Spread(digits) => {
                let (least, most) = (percentile(&mut own, 0), percentile(&mut own, 100));
                format!("{middle:.digits$} ({least:.digits$} to {most:.digits$})")
            }
            Show::Ratio => {
                let reference = median(values(runs, setting, reference, figure))?;
                format!("{:.2}", middle / reference)
            }
            Show::RatioByRound => {
                let of = |run: &Run, subject: &str| {
                    let its = run.setting == setting && run.subject == subject;
                    run.figures.get(figure).filter(|_| its).copied()
                };
                let ratio = |run: &Run| {
                    let mut round = runs.iter().filter(|other| other.round == run.round);
                    let ratio = of(run, subject)? / round.find_map(|other| of(other, reference))?;
                    // A run with less CPU time than the unit of `/proc` has no ratio.
                    Some(ratio).filter(|ratio| ratio.is_finite())
                };
                let mut ratios: Vec<_> = runs.iter().filter_map(ratio).collect();
                let middle = median(ratios.clone())?;
                let (low, high) = (percentile(&mut ratios, 25), percentile(&mut ratios, 75));
                format!("{middle:.2} ({low:.2} to {high:.2})")
            }
            Show::Sum => own.iter().sum::<f64>().to_string(),
        })
    }
}

/// A figure of all runs of a subject under a setting.
pub fn values<S>(runs: &[Run], setting: &[S], subject: &str, figure: &str) -> Vec<f64>
where
    String: PartialEq<S>,
{
    let own = runs.iter();
    let own = own.filter(|run| run.subject.as_str() == subject && run.setting == setting);
    own.filter_map(|run| run.figures.get(figure).copied())
        .collect()
}

/// The middle value, or the mean of the two in the middle.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let upper = values.get(values.len() / 2)?;
    let lower = values.get((values.len() - 1) / 2)?;
    Some(f64::midpoint(*lower, *upper))
}

/// The percentile by nearest rank; 0 without samples. Sorts them.
pub fn percentile(samples: &mut [f64], percent: usize) -> f64 {
    samples.sort_unstable_by(f64::total_cmp);
    let rank = (samples.len() * percent).div_ceil(100);
    let sample = samples.get(rank.saturating_sub(1));
    sample.copied().unwrap_or_default()
}

/// A table with columns as wide as their widest cell, figures to the right.
pub fn markdown(header: &[&str], rows: &[Vec<String>]) -> String {
    let header: Vec<_> = header.iter().map(|&cell| cell.to_owned()).collect();
    let widths = header.iter().enumerate().map(|(column, heading)| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0).max(heading.chars().count())
    });
    let widths: Vec<_> = widths.collect();
    let rule = widths
        .iter()
        .map(|width| format!("{}:", "-".repeat(*width)));
    let line = |cells: &Vec<String>| {
        let cells = cells.iter().zip(&widths);
        let cells = cells.map(|(cell, width)| format!(" {cell:>width$} |"));
        format!("|{}\n", cells.collect::<String>())
    };
    let rule = format!("|-{}|\n", rule.collect::<Vec<_>>().join("|-"));
    let rows: String = rows.iter().map(line).collect();
    line(&header) + &rule + &rows
}

/// Writes all runs to a file.
pub fn save(file: &Path, machine: &str, runs: &[Run]) -> Result<()> {
    let document = json!({"machine": machine, "runs": runs});
    let text = serde_json::to_string_pretty(&document)?;
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}
