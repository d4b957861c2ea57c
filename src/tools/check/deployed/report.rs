//! The findings at a deployed stack, as text and as JSON.

use std::fmt::{self, Write};

use serde_json::{Value, json};

use super::Open;
use crate::domain::ports::ParameterState;
use crate::tools::check::code::StackCode;
use crate::tools::check::finding::Severity;
use crate::tools::check::report::{coloured, count, counted, mark};
use crate::tools::terminal::Style;

/// One problem at a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackFinding {
    /// A parameter, a state machine or another part of the stack.
    pub subject: String,
    pub code: StackCode,
    pub severity: Severity,
    /// Expected, found, remedy.
    pub text: String,
}

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackReport {
    /// The stack, for people.
    pub place: String,
    /// The version of the collected routes.
    pub version: Option<u64>,
    /// The parameters with routes, by name.
    pub parameters: Vec<(String, ParameterState)>,
    /// The state machines with open executions, by name.
    pub open: Vec<(String, Open)>,
    pub findings: Vec<StackFinding>,
}

impl StackReport {
    pub(super) fn new(place: &str) -> Self {
        Self {
            place: place.to_owned(),
            version: None,
            parameters: Vec::new(),
            open: Vec::new(),
            findings: Vec::new(),
        }
    }

    /// The number of findings of a severity.
    pub fn count(&self, severity: Severity) -> usize {
        let findings = self.findings.iter();
        findings.filter(|one| one.severity == severity).count()
    }

    /// A line for each parameter, each state machine with open executions and each finding, and a summary line.
    pub fn shown(&self, style: Style) -> String {
        let mut shown = String::new();
        // Writing to a string cannot fail.
        for (name, state) in &self.parameters {
            let state = described(state);
            let _ = writeln!(shown, "{}  {name}  {state}", style.dim("parameter"));
        }
        for (name, open) in &self.open {
            let _ = writeln!(shown, "{}       {name}  {open}", style.dim("open"));
        }
        if !shown.is_empty() && !self.findings.is_empty() {
            shown.push('\n');
        }
        for finding in &self.findings {
            let code = coloured(finding.code.name(), finding.severity, style);
            let subject = style.dim(format_args!("{}:", finding.subject));
            let _ = writeln!(shown, "{subject} {code}: {}", finding.text);
        }
        if !shown.is_empty() {
            shown.push('\n');
        }
        let (errors, warnings) = (self.count(Severity::Error), self.count(Severity::Warning));
        let _ = match self.findings.as_slice() {
            [] => {
                let mark = style.good("✓");
                let checked = count(self.parameters.len(), "parameter");
                let place = &self.place;
                writeln!(
                    shown,
                    "{mark} {place}: nothing to mend in {checked} with routes"
                )
            }
            _ => {
                let mark = mark(errors, style);
                let found = counted(errors, warnings);
                let place = &self.place;
                writeln!(
                    shown,
                    "{mark} {found} at {place}; docs/check.md explains each code"
                )
            }
        };
        shown
    }

    /// The report as JSON.
    pub fn to_json(&self) -> Value {
        let parameters = self.parameters.iter().map(|(name, state)| {
            json!({
                "name": name, "version": state.version, "routes": state.routes, "refused": state.refused,
            })
        });
        let open = self.open.iter().map(|(name, open)| {
            json!({ "state_machine": name, "executions": open.executions, "more": open.more })
        });
        let findings = self.findings.iter().map(|finding| {
            json!({
                "subject": finding.subject, "code": finding.code.name(),
                "severity": finding.severity.name(), "text": finding.text,
            })
        });
        json!({
            "stack": self.place,
            "version": self.version,
            "parameters": parameters.collect::<Vec<_>>(),
            "open": open.collect::<Vec<_>>(),
            "findings": findings.collect::<Vec<_>>(),
            "errors": self.count(Severity::Error),
            "warnings": self.count(Severity::Warning),
        })
    }
}

/// The versions of a parameter, and its routes in use.
fn described(state: &ParameterState) -> String {
    let routes: Vec<_> = state
        .routes
        .iter()
        .map(|name| format!("`{name}`"))
        .collect();
    let used = match state.version {
        0 => "no version in use".to_owned(),
        version => format!("version {version}: {}", routes.join(", ")),
    };
    match &state.refused {
        Some(refusal) => format!("{used}; version {} is refused", refusal.version),
        None => used,
    }
}

/// `1 open execution`, `1000 open executions or more`
impl fmt::Display for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&count(self.executions, "open execution"))?;
        f.write_str(if self.more { " or more" } else { "" })
    }
}
