//! All findings of one check, as text and as JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use super::finding::{Finding, Severity};
use super::findings::Findings;
use crate::tools::console::Style;

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
        let mut shown = String::new();
        let mut last = None;
        for finding in &self.findings {
            if last.is_some_and(|last| last != &finding.file) {
                shown.push('\n');
            }
            last = Some(&finding.file);
            // Writing to a string cannot fail.
            let _ = writeln!(shown, "{}", line(finding, style));
        }
        if !self.findings.is_empty() {
            shown.push('\n');
        }
        shown + &self.summary(style) + "\n"
    }

    fn summary(&self, style: Style) -> String {
        let Checked {
            routes,
            machines,
            functions,
            rules,
        } = self.checked;
        if self.findings.is_empty() {
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
            return format!("{mark} {}: nothing to mend in {checked}", self.file);
        }
        let (errors, warnings) = (self.count(Severity::Error), self.count(Severity::Warning));
        let parts = [(errors, "error"), (warnings, "warning")];
        let parts: Vec<_> = parts
            .iter()
            .filter(|(n, _)| *n > 0)
            .map(|(n, noun)| count(*n, noun))
            .collect();
        let mut files: Vec<_> = self.findings.iter().map(|finding| &finding.file).collect();
        files.dedup();
        let sum = format!("{} in {}", parts.join(" and "), count(files.len(), "file"));
        let mark = if errors > 0 {
            style.bad("✗")
        } else {
            style.bold("!")
        };
        format!("{mark} {sum}; docs/check.md explains each code")
    }

    /// The report as JSON.
    pub fn to_json(&self) -> Value {
        let findings = self.findings.iter().map(|finding| {
            json!({
                "file": finding.file, "line": finding.place.line, "column": finding.place.column,
                "code": finding.code.name(), "severity": finding.severity.name(), "text": finding.text,
            })
        });
        let Checked {
            routes,
            machines,
            functions,
            rules,
        } = self.checked;
        json!({
            "findings": findings.collect::<Vec<_>>(),
            "errors": self.count(Severity::Error),
            "warnings": self.count(Severity::Warning),
            "checked": {"routes": routes, "state_machines": machines, "functions": functions, "rules": rules},
        })
    }
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
    let code = match severity {
        Severity::Error => style.bad(code.name()),
        Severity::Warning => format!("{} (warning)", style.bold(code.name())),
    };
    let at = style.dim(format_args!("{file}:{}:{}:", place.line, place.column));
    format!("{at} {code}: {text}")
}

/// `1 route`, `2 routes`
pub fn count(n: usize, noun: &str) -> String {
    match n {
        1 => format!("1 {noun}"),
        _ => format!("{n} {noun}s"),
    }
}
