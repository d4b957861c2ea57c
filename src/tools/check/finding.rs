//! One finding and its place.

use super::code::Code;
use crate::tools::template::Place;

/// Whether a finding makes the exit code 1.
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

/// One problem in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub file: String,
    pub place: Place,
    pub code: Code,
    pub severity: Severity,
    /// Expected, found, remedy.
    pub text: String,
}
