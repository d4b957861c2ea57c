//! The files of a new workflow, found again for their removal.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use walkdir::WalkDir;

use super::{Language, SHIPPED, Scaffold, Source, TEMPLATE, check_name, scaffold};
use crate::tools::template;

/// What a removal takes away and what it leaves, relative to the workflow's folder.
#[derive(Debug, Default, PartialEq)]
pub struct Removal {
    /// As `bridge new` writes them.
    pub unchanged: Vec<String>,
    /// Of its names, with another content.
    pub changed: Vec<String>,
    /// Of other names.
    pub others: Vec<String>,
}

/// What is left of a folder.
#[derive(Debug, PartialEq, Eq)]
pub enum Left {
    Nothing,
    /// Files of other names.
    Others,
}

/// Compares the files in `folder` with those of each workflow that `bridge new` makes under this name.
///
/// # Errors
///
/// When the name is illegal, or the folder has none of these files.
pub fn removal(name: &str, folder: &Path) -> Result<Removal> {
    check_name(name)?;
    let template = fs::read_to_string(folder.join(TEMPLATE)).unwrap_or_default();
    let arn = target(&template);
    let sources = SHIPPED.iter().map(|(like, ..)| Source::Like(like));
    let sources = sources.chain([Source::Function(Language::Node)]);
    let sources = sources.chain(arn.as_deref().map(Source::Existing));
    let made: Vec<Scaffold> = sources
        .filter_map(|source| scaffold(name, source).ok())
        .collect();
    let written: BTreeSet<&(String, String)> = made.iter().flat_map(|one| &one.files).collect();
    let names: BTreeSet<&str> = written.iter().map(|(name, _)| name.as_str()).collect();
    let mut found = Removal::default();
    for file in files(folder)? {
        let text = fs::read_to_string(folder.join(&file)).unwrap_or_default();
        let entry = (file.clone(), text);
        match (names.contains(file.as_str()), written.contains(&entry)) {
            (true, true) => found.unchanged.push(file),
            (true, false) => found.changed.push(file),
            (false, _) => found.others.push(file),
        }
    }
    if !found
        .unchanged
        .iter()
        .chain(&found.changed)
        .any(|file| file == TEMPLATE)
    {
        bail!(
            "expected the workflow `{name}` in `{}`, found no `{TEMPLATE}` there",
            folder.display()
        );
    }
    Ok(found)
}

impl Removal {
    /// The files to remove.
    pub fn files(&self) -> impl Iterator<Item = &String> {
        self.unchanged.iter().chain(&self.changed)
    }

    /// Removes the files, and the folders that are empty then.
    pub fn run(&self, folder: &Path) -> Result<Left> {
        for file in self.files() {
            let path = folder.join(file);
            fs::remove_file(&path)
                .with_context(|| format!("cannot remove `{}`", path.display()))?;
            let above = path
                .ancestors()
                .skip(1)
                .take_while(|above| *above != folder);
            // A folder with other files stays.
            above.for_each(|above| drop(fs::remove_dir(above)));
        }
        match fs::remove_dir(folder) {
            Ok(()) => Ok(Left::Nothing),
            Err(_) => Ok(Left::Others),
        }
    }
}

/// The state machine of the only route in a template.
fn target(text: &str) -> Option<String> {
    let template = template::parse(text).ok()?;
    let route = &template["Resources"]["Route"]["Properties"]["Value"]["Fn::ToJsonString"];
    route["to"]["stateMachine"].as_str().map(str::to_owned)
}

/// All files below a folder.
fn files(folder: &Path) -> Result<Vec<String>> {
    if !folder.is_dir() {
        bail!("expected the folder `{}`, found none", folder.display());
    }
    let mut files = Vec::new();
    for entry in WalkDir::new(folder).sort_by_file_name() {
        let entry = entry.with_context(|| format!("cannot list `{}`", folder.display()))?;
        if !entry.file_type().is_dir() {
            let path: PathBuf = entry
                .path()
                .strip_prefix(folder)
                .unwrap_or(entry.path())
                .into();
            files.push(path.to_string_lossy().into_owned());
        }
    }
    Ok(files)
}
