//! Checks a template before its deployment, without an account.
//!
//! [`check`] reads a template with the state machines that it names, or a bare routes document, and collects all findings.
//! Values from the account, or from a parameter without a default, are not judged. docs/check.md lists the findings.

mod alarms;
mod another;
mod asl;
mod code;
mod concurrency;
pub mod deployed;
mod finding;
mod findings;
mod functions;
mod iam;
mod jsonata;
mod machines;
mod parameters;
mod queues;
mod references;
mod report;
mod routes;
mod rules;
mod scalars;
mod secrets;
mod source;
mod template;
mod together;
mod triggers;
mod variables;
mod workflows;

use std::collections::BTreeSet;
use std::path::Path;

pub use code::{Code, StackCode};
pub use finding::{Finding, Severity};
pub use findings::Findings;
pub use report::{Checked, Report, shown, to_json};
use source::{Source, repeats};
use template::Template;
use together::Site;

/// Checks a file: a bridge's template, that of a workflow in a stack of its own, or a routes document.
///
/// A JSON object with `routes` at its top is a routes document; any other file is a template, with the state machines' files
/// beside it. Findings show `path` as given. An unreadable file is a finding, too.
pub fn check(path: &Path) -> Report {
    let (findings, checked, _) = check_alone(path);
    Report::new(path.display().to_string(), findings, checked)
}

/// Checks each file, and compares the templates with each other: the report of a file has its findings beside the others.
pub fn check_all(paths: &[impl AsRef<Path>]) -> Vec<Report> {
    let mut known = BTreeSet::new();
    let (mut files, mut sites) = (Vec::new(), Vec::new());
    for path in paths.iter().map(AsRef::as_ref) {
        let (findings, checked, site) = check_alone(path);
        files.push((path.display().to_string(), findings, checked));
        // A file named twice has no conflict with itself.
        let full = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if known.insert(full) {
            sites.extend(site);
        }
    }
    let mut together = Findings::default();
    together::check(&sites, &mut together);
    let reports = files.into_iter().map(|(name, mut findings, checked)| {
        let of_file = together
            .found
            .extract_if(.., |finding| finding.file == name);
        findings.found.extend(of_file);
        Report::new(name, findings, checked)
    });
    reports.collect()
}

/// Checks a file by itself. A template is returned for a comparison with others.
fn check_alone(path: &Path) -> (Findings, Checked, Option<Site>) {
    let mut findings = Findings::default();
    let source = match Source::read(path, path.display().to_string()) {
        Ok(source) => source,
        Err(finding) => {
            findings.found.push(finding);
            return (findings, Checked::default(), None);
        }
    };
    if source.value.get("routes").is_some() && source.value.get("Resources").is_none() {
        let checked = Checked {
            routes: routes::check_bare(&source, &mut findings),
            ..Checked::default()
        };
        return (findings, checked, None);
    }
    if !source.is_template() {
        let text = "expected a template with `Resources` or a routes document with `routes`, found neither; name another file";
        findings.add(&source, "", Code::FileUnreadable, text);
        return (findings, Checked::default(), None);
    }
    let (checked, routes, names) = check_template(&source, path, &mut findings);
    let site = Site::new(source, checked.functions > 0, routes, names);
    (findings, checked, Some(site))
}

/// Checks a template; returns its routes, and the [names](together::fixed_names) of its state machines.
fn check_template(
    source: &Source,
    path: &Path,
    findings: &mut Findings,
) -> (Checked, Vec<routes::Route>, Vec<(String, String)>) {
    for repeated in source.places.repeated() {
        let text = format!(
            "{}: CloudFormation takes the last value; remove the others",
            repeats(&repeated.name)
        );
        findings.push(
            source,
            repeated.place,
            Code::RepeatedName,
            Severity::Warning,
            text,
        );
    }
    let template = Template::new(source);
    references::check(&template, findings);
    parameters::check(&template, findings);
    let functions = functions::read(&template);
    let all = routes::check(&template, &functions, findings);
    let folder = path.parent().unwrap_or(Path::new(""));
    let machines = machines::check(&template, folder, &all, findings);
    workflows::check(&template, &functions, &all, &machines, findings);
    let ours = all.iter().filter(|route| !route.is_of_another_bridge());
    let routes: Vec<_> = ours.cloned().collect();
    variables::check(&template, &functions, findings);
    let replying = routes.iter().filter(|route| route.replies());
    let replying = replying.map(routes::Route::name).collect();
    functions::check(&template, &functions, replying, findings);
    triggers::check(&template, &functions, findings);
    concurrency::check(&template, &functions, findings);
    queues::check(&template, &functions, findings);
    alarms::check(&template, &functions, &all, findings);
    let rules = rules::check(&template, &functions, &routes, &machines, findings);
    iam::check(&template, &functions, &routes, &machines, findings);
    secrets::check(&template, &functions, findings);
    scalars::check(&template, &functions, &all, findings);
    let names = together::fixed_names(&machines, !functions.is_empty());
    let checked = Checked {
        routes: all.len(),
        machines: machines.len(),
        functions: functions.len(),
        rules,
    };
    (checked, all, names)
}
