//! Collects the findings of one check.

use super::code::Code;
use super::finding::{Finding, Severity};
use super::source::Source;
use crate::tools::template::Place;

/// The findings so far.
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
        let place = source.places.of(pointer);
        self.push(source, place, code, Severity::Error, text.into());
    }

    /// A warning about a valid but surely unintended value.
    pub(super) fn warn(
        &mut self,
        source: &Source,
        pointer: &str,
        code: Code,
        text: impl Into<String>,
    ) {
        let place = source.places.of(pointer);
        self.push(source, place, code, Severity::Warning, text.into());
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
