//! The files of one running stack: its template and the definitions that it names.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::Value;

use crate::tools::check::{self, Report, Severity};
use crate::tools::local::code::{self, Code};
use crate::tools::local::stack::Workflow;
use crate::tools::template;

/// The files of a stack.
#[derive(Clone, Debug)]
pub struct Source {
    /// None for the bridge.
    pub workflow: Option<String>,
    template: PathBuf,
    /// The change to the bridge's template before it is deployed.
    edit: fn(&mut Value) -> Result<()>,
    /// The template and its definitions, as far as it could be read last.
    files: BTreeSet<PathBuf>,
    /// The code of its functions and layers, as far as it could be read last.
    functions: Vec<(String, Code)>,
    /// The errors of the deployed version, which do not stop the next one.
    accepted: Errors,
}

/// Errors, without their places, which move with every edit.
type Errors = BTreeSet<(String, &'static str, String)>;

impl Source {
    pub fn new(
        workflow: Option<String>,
        template: PathBuf,
        edit: fn(&mut Value) -> Result<()>,
    ) -> Self {
        Self {
            workflow,
            files: BTreeSet::from([template.clone()]),
            template,
            edit,
            functions: Vec::new(),
            accepted: BTreeSet::new(),
        }
    }

    fn folder(&self) -> &Path {
        self.template.parent().unwrap_or_else(|| Path::new("."))
    }

    /// The template and the definitions that it names now; those known before while it cannot be read. Reads the code of the
    /// functions, too.
    pub fn files(&mut self) -> &BTreeSet<PathBuf> {
        if let Ok(template) = template::read(&self.template) {
            let uris = definitions(&template);
            let uris = uris.into_iter().map(|uri| self.folder().join(uri));
            self.files = uris.chain([self.template.clone()]).collect();
            // A missing file of a function is reported by the update.
            if let Ok(functions) = code::functions(&template, self.folder()) {
                self.functions = functions;
            }
        }
        &self.files
    }

    /// Whether one of these files is its own.
    pub fn has_any(&self, files: &BTreeSet<PathBuf>) -> bool {
        !self.files.is_disjoint(files)
    }

    /// The files of its functions' code, apart from Rust, which is built on request.
    pub fn code_files(&self) -> Vec<PathBuf> {
        let codes = self.functions.iter();
        codes.flat_map(|(_, code)| code.files()).collect()
    }

    /// The code of its functions that one of these files belongs to.
    pub fn code_of(&self, files: &BTreeSet<PathBuf>) -> Vec<Code> {
        let codes = self.functions.iter().map(|(_, code)| code);
        let codes = codes.filter(|code| files.iter().any(|file| code.has(file)));
        codes.cloned().collect()
    }

    /// Whether the file is its template, a definition or code of its functions.
    pub fn has(&self, file: &Path) -> bool {
        self.files.contains(file) || self.functions.iter().any(|(_, code)| code.has(file))
    }

    /// The findings of `bridge check`.
    pub fn check(&self) -> Report {
        check::check(&self.template)
    }

    /// The number of errors that the deployed version does not have.
    pub fn new_errors(&self, report: &Report) -> usize {
        errors(report).difference(&self.accepted).count()
    }

    /// Takes this version's errors as those of the deployed one.
    pub fn accept(&mut self, report: &Report) {
        self.accepted = errors(report);
    }

    /// The template as it is deployed.
    pub fn read(&self) -> Result<Value> {
        if self.workflow.is_some() {
            return Ok(Workflow::read(self.folder())?.template);
        }
        let mut template = template::read(&self.template)?;
        (self.edit)(&mut template)?;
        template::inline_definitions(&mut template, self.folder())?;
        template::place_code(&mut template, self.folder())?;
        template::check_replies(&template)?;
        Ok(template)
    }
}

fn errors(report: &Report) -> Errors {
    let errors = report.findings.iter();
    let errors = errors.filter(|finding| finding.severity == Severity::Error);
    let key = |finding: &check::Finding| {
        (
            finding.file.clone(),
            finding.code.name(),
            finding.text.clone(),
        )
    };
    errors.map(key).collect()
}

/// The files in the `DefinitionUri` of a template's state machines.
fn definitions(template: &Value) -> Vec<String> {
    let resources = template["Resources"].as_object().into_iter().flatten();
    let uris = resources
        .filter_map(|(_, resource)| resource.pointer("/Properties/DefinitionUri")?.as_str());
    uris.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::testing::scratch::Scratch;

    const MACHINE: &str =
        "Type: AWS::Serverless::StateMachine, Properties: {Role: r, DefinitionUri: ";

    #[test]
    fn the_files_are_the_template_and_the_definitions_that_it_names() {
        let scratch = Scratch::new();
        let file = |name: &str| scratch.path().join(name);
        let text = |definition: &str| format!("Resources: {{M: {{{MACHINE}{definition}}}}}}}");
        let mut source = Source::new(None, file("template.yaml"), |_| Ok(()));
        assert_eq!(source.files(), &BTreeSet::from([file("template.yaml")]));
        fs::write(file("template.yaml"), text("m.json")).unwrap();
        let both = BTreeSet::from([file("template.yaml"), file("m.json")]);
        assert_eq!(source.files(), &both);
        assert!(source.has_any(&BTreeSet::from([file("m.json")])));
        // A broken template still has its files.
        fs::write(file("template.yaml"), "Resources: {").unwrap();
        assert_eq!(source.files(), &both);
        fs::write(file("template.yaml"), text("n.json")).unwrap();
        source.files();
        assert!(!source.has_any(&BTreeSet::from([file("m.json")])));
    }

    #[test]
    fn only_errors_that_the_deployed_version_does_not_have_count() {
        let scratch = Scratch::new();
        let template = scratch.path().join("template.yaml");
        let text = "Resources:\n  A: {Type: AWS::SQS::Queue, Properties: {QueueName: !Ref B}}\n";
        fs::write(&template, text).unwrap();
        let mut source = Source::new(None, template.clone(), |_| Ok(()));
        let report = source.check();
        assert_eq!(source.new_errors(&report), 1, "{report:?}");
        source.accept(&report);
        // The same error, a line further down.
        fs::write(&template, format!("# a comment\n{text}")).unwrap();
        assert_eq!(source.new_errors(&source.check()), 0);
        fs::write(&template, text.replace("!Ref B", "!Ref C")).unwrap();
        assert_eq!(source.new_errors(&source.check()), 1);
    }
}
