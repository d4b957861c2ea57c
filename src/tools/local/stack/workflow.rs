//! The stacks of workflows, beside that of the bridge.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::tools::template;

/// The template in a workflow's directory.
const TEMPLATE: &str = "template.yaml";

/// A directory with the template of a workflow's stack.
#[derive(Clone, Debug)]
pub struct Workflow {
    /// The directory's name, with `-` for `_`.
    pub name: String,
    /// With the definitions of its state machines in place, and the places of its functions' code absolute.
    pub template: Value,
}

impl Workflow {
    /// The path of a directory's template.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn file(directory: &Path) -> Result<PathBuf> {
        let file = directory.join(TEMPLATE);
        if !file.is_file() {
            bail!(
                "expected a directory with a `{TEMPLATE}`, found none in `{}`: name one such as `examples/count`",
                directory.display()
            );
        }
        Ok(file)
    }

    /// Reads a directory's template.
    ///
    /// # Errors
    ///
    /// When there is none, or it has mistakes that prevent a deployment.
    pub fn read(directory: &Path) -> Result<Self> {
        let file = Self::file(directory)?;
        let mut template = template::read(&file)?;
        template::inline_definitions(&mut template, directory)
            .with_context(|| format!("`{}`", file.display()))?;
        template::place_code(&mut template, directory)
            .with_context(|| format!("`{}`", file.display()))?;
        let name = name(directory)?;
        Ok(Self { name, template })
    }

    /// Reads the templates of directories with names of their own.
    pub(super) fn read_all(directories: &[PathBuf]) -> Result<Vec<Self>> {
        let mut known: BTreeMap<String, &Path> = BTreeMap::new();
        let mut workflows = Vec::new();
        for directory in directories {
            let workflow = Self::read(directory)?;
            if let Some(other) = known.insert(workflow.name.clone(), directory) {
                bail!(
                    "expected directories with names of their own, since their stacks have them too, found `{}` and `{}`: rename one",
                    other.display(),
                    directory.display()
                );
            }
            workflows.push(workflow);
        }
        Ok(workflows)
    }
}

/// The name of a directory, for its stack.
fn name(directory: &Path) -> Result<String> {
    let full = directory
        .canonicalize()
        .with_context(|| format!("cannot find `{}`", directory.display()))?;
    let name = full.file_name().unwrap_or_default().to_string_lossy();
    let is_valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.is_empty() || !name.chars().all(is_valid) {
        bail!(
            "expected a directory whose name has only letters, digits, `-` and `_`, since its stack has it too, found `{name}`: rename it"
        );
    }
    // An underscore cannot be in a stack's name.
    Ok(name.replace('_', "-"))
}

/// The values of those parameters that a template has.
pub(super) fn parameters(template: &Value, values: &[(&str, &str)]) -> BTreeMap<String, String> {
    let known = values
        .iter()
        .filter(|(name, _)| !template["Parameters"][*name].is_null());
    known
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::scratch::Scratch;
    use crate::tools::template::parse;

    #[test]
    fn a_directory_gives_its_name_and_its_template() {
        let scratch = Scratch::new();
        let directory = scratch.path().join("greet");
        std::fs::create_dir(&directory).unwrap();
        let error = Workflow::read(&directory).unwrap_err().to_string();
        assert!(
            error.contains("`template.yaml`") && error.contains("greet"),
            "{error}"
        );

        let machine =
            "M: {Type: AWS::Serverless::StateMachine, Properties: {DefinitionUri: ../m.asl.json}}";
        let template = format!("Resources:\n  {machine}\n");
        std::fs::write(directory.join(TEMPLATE), template).unwrap();
        let error = format!("{:#}", Workflow::read(&directory).unwrap_err());
        assert!(error.contains("m.asl.json"), "{error}");
        std::fs::write(scratch.path().join("m.asl.json"), r#"{"StartAt": "A"}"#).unwrap();
        let workflow = Workflow::read(&directory).unwrap();
        assert_eq!(workflow.name, "greet");
        assert_eq!(
            workflow.template["Resources"]["M"]["Properties"]["Definition"]["StartAt"],
            "A"
        );
        assert_eq!(Workflow::read(&directory.join(".")).unwrap().name, "greet");

        let twice = [directory.clone(), directory.join(".")];
        let error = Workflow::read_all(&twice).unwrap_err().to_string();
        assert!(error.contains("names of their own"), "{error}");
        let renamed = scratch.path().join("gr_eet");
        std::fs::rename(&directory, &renamed).unwrap();
        assert_eq!(Workflow::read(&renamed).unwrap().name, "gr-eet");
        let odd = scratch.path().join("gr eet");
        std::fs::rename(&renamed, &odd).unwrap();
        let error = Workflow::read(&odd).unwrap_err().to_string();
        assert!(error.contains("`gr eet`"), "{error}");
    }

    #[test]
    fn a_template_gets_the_parameters_that_it_has() {
        let template = parse("Parameters: {Bridge: {Type: String}}").unwrap();
        let values = [("Bridge", "x"), ("CacheName", "demo")];
        let given = parameters(&template, &values);
        assert_eq!(given, [("Bridge".to_owned(), "x".to_owned())].into());
        assert!(parameters(&Value::Null, &values).is_empty());
    }
}
