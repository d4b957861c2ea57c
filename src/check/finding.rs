//! One thing that is wrong, and where.

use super::code::Code;
use super::source::Source;
use crate::local::template::Place;

/// Whether a finding keeps a template from being deployed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Error,
    Warning,
}

impl Severity {
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing to mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub file: String,
    pub place: Place,
    pub code: Code,
    pub severity: Severity,
    /// What was expected, what was found and what to do.
    pub text: String,
}

/// What was found so far.
#[derive(Debug, Default)]
pub struct Findings {
    pub(super) found: Vec<Finding>,
}

impl Findings {
    /// An error at the part of a file that `pointer` leads to.
    pub(super) fn add(
        &mut self,
        source: &Source,
        pointer: &str,
        code: Code,
        text: impl Into<String>,
    ) {
        self.push(
            source,
            source.places.of(pointer),
            code,
            Severity::Error,
            text.into(),
        );
    }

    /// Something that works, and that nobody can have meant.
    pub(super) fn warn(
        &mut self,
        source: &Source,
        pointer: &str,
        code: Code,
        text: impl Into<String>,
    ) {
        self.push(
            source,
            source.places.of(pointer),
            code,
            Severity::Warning,
            text.into(),
        );
    }

    pub(super) fn push(
        &mut self,
        source: &Source,
        place: Place,
        code: Code,
        severity: Severity,
        text: String,
    ) {
        self.found.push(Finding {
            file: source.name.clone(),
            place,
            code,
            severity,
            text,
        });
    }
}
