//! All findings of one check, as text and as JSON.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::{Value, json};

use super::finding::{Finding, Severity};
use super::findings::Findings;
use crate::tools::terminal::Style;

/// How many parts were checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    pub routes: usize,
    pub machines: usize,
    /// Of the bridge.
    pub functions: usize,
    /// Into the bridge's queues.
    pub rules: usize,
}

/// The result of a check.
#[derive(Clone, Debug)]
pub struct Report {
    file: String,
    /// By file, the checked one first, and by place.
    pub findings: Vec<Finding>,
    pub checked: Checked,
}

impl Report {
    pub(super) fn new(file: String, findings: Findings, checked: Checked) -> Self {
        let mut findings = findings.found;
        findings.sort_by(|a, b| {
            let key = |finding: &Finding| {
                (
                    finding.file != file,
                    finding.file.clone(),
                    finding.place,
                    finding.code,
                    finding.text.clone(),
                )
            };
            key(a).cmp(&key(b))
        });
        findings.dedup();
        Self {
            file,
            findings,
            checked,
        }
    }

    /// The number of findings of a severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .count()
    }

    /// One line for each finding, with a blank line between files, and a summary line.
    pub fn shown(&self, style: Style) -> String {
        shown(std::slice::from_ref(self), style)
    }

    /// The report as JSON.
    pub fn to_json(&self) -> Value {
        to_json(std::slice::from_ref(self))
    }

    /// The line for a file without findings.
    fn nothing(&self, style: Style) -> String {
        let Checked {
            routes,
            machines,
            functions,
            rules,
        } = self.checked;
        let parts = [
            (routes, "route"),
            (machines, "state machine"),
            (functions, "function"),
            (rules, "rule"),
        ];
        let parts = parts.iter().filter(|(n, _)| *n > 0);
        let parts: Vec<_> = parts.map(|(n, noun)| count(*n, noun)).collect();
        let checked = match parts.as_slice() {
            [] => "its references, parameters and secrets; it has no routes, and no function of the bridge".to_owned(),
            [only] => only.clone(),
            [most @ .., last] => format!("{} and {last}", most.join(", ")),
        };
        let mark = style.good("✓");
        format!("{mark} {}: nothing to mend in {checked}", self.file)
    }
}

/// The reports of several files: one line for each finding, with a blank line between files, and a summary line.
pub fn shown(reports: &[Report], style: Style) -> String {
    let mut shown = String::new();
    for report in reports.iter().filter(|report| report.findings.is_empty()) {
        // Writing to a string cannot fail.
        let _ = writeln!(shown, "{}", report.nothing(style));
    }
    let mut last = None;
    for finding in reports.iter().flat_map(|report| &report.findings) {
        let is_other = last.is_some_and(|last| last != &finding.file);
        if is_other || (last.is_none() && !shown.is_empty()) {
            shown.push('\n');
        }
        last = Some(&finding.file);
        let _ = writeln!(shown, "{}", line(finding, style));
    }
    if last.is_some() {
        let _ = writeln!(shown, "\n{}", summary(reports, style));
    }
    shown
}

fn summary(reports: &[Report], style: Style) -> String {
    let (errors, warnings) = (
        sum(reports, Severity::Error),
        sum(reports, Severity::Warning),
    );
    let found = counted(errors, warnings);
    let findings = reports.iter().flat_map(|report| &report.findings);
    let files: BTreeSet<_> = findings.map(|finding| &finding.file).collect();
    let mark = mark(errors, style);
    format!(
        "{mark} {found} in {}; docs/check.md explains each code",
        count(files.len(), "file")
    )
}

/// The reports of several files as JSON.
pub fn to_json(reports: &[Report]) -> Value {
    let findings = reports.iter().flat_map(|report| &report.findings);
    let findings = findings.map(|finding| {
        json!({
            "file": finding.file, "line": finding.place.line, "column": finding.place.column,
            "code": finding.code.name(), "severity": finding.severity.name(), "text": finding.text,
        })
    });
    let checked = |count: fn(&Checked) -> usize| -> usize {
        reports.iter().map(|report| count(&report.checked)).sum()
    };
    json!({
        "findings": findings.collect::<Vec<_>>(),
        "errors": sum(reports, Severity::Error),
        "warnings": sum(reports, Severity::Warning),
        "checked": {
            "routes": checked(|checked| checked.routes),
            "state_machines": checked(|checked| checked.machines),
            "functions": checked(|checked| checked.functions),
            "rules": checked(|checked| checked.rules),
        },
    })
}

fn sum(reports: &[Report], severity: Severity) -> usize {
    reports.iter().map(|report| report.count(severity)).sum()
}

/// The mark before a summary with findings.
pub fn mark(errors: usize, style: Style) -> String {
    match errors {
        0 => style.bold("!"),
        _ => style.bad("✗"),
    }
}

/// `1 error and 2 warnings`, without what there is none of.
pub fn counted(errors: usize, warnings: usize) -> String {
    let parts = [(errors, "error"), (warnings, "warning")];
    let parts = parts.iter().filter(|(n, _)| *n > 0);
    let parts: Vec<_> = parts.map(|(n, noun)| count(*n, noun)).collect();
    parts.join(" and ")
}

/// `file:line:column: code: sentence`
pub fn line(finding: &Finding, style: Style) -> String {
    let Finding {
        file,
        place,
        code,
        severity,
        text,
    } = finding;
    let code = coloured(code.name(), *severity, style);
    let at = style.dim(format_args!("{file}:{}:{}:", place.line, place.column));
    format!("{at} {code}: {text}")
}

/// A code, marked as a warning where it is one.
pub fn coloured(code: &str, severity: Severity, style: Style) -> String {
    match severity {
        Severity::Error => style.bad(code),
        Severity::Warning => format!("{} (warning)", style.bold(code)),
    }
}

/// `1 route`, `2 routes`
pub fn count(n: usize, noun: &str) -> String {
    match n {
        1 => format!("1 {noun}"),
        _ => format!("{n} {noun}s"),
    }
}
