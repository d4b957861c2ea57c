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
mod triggers;
mod variables;
mod workflows;

use std::path::Path;

pub use code::{Code, StackCode};
pub use finding::{Finding, Severity};
pub use findings::Findings;
pub use report::{Checked, Report, shown, to_json};
use source::{Source, repeats};
use template::Template;

/// Checks a file: a bridge's template, that of a workflow in a stack of its own, or a routes document.
///
/// A JSON object with `routes` at its top is a routes document; any other file is a template, with the state machines' files
/// beside it. Findings show `path` as given. An unreadable file is a finding, too.
pub fn check(path: &Path) -> Report {
    let mut findings = Findings::default();
    let checked = match Source::read(path, path.display().to_string()) {
        Err(finding) => {
            findings.found.push(finding);
            Checked::default()
        }
        Ok(source)
            if source.value.get("routes").is_some() && source.value.get("Resources").is_none() =>
        {
            Checked {
                routes: routes::check_bare(&source, &mut findings),
                ..Checked::default()
            }
        }
        Ok(source) => check_template(&source, path, &mut findings),
    };
    Report::new(path.display().to_string(), findings, checked)
}

fn check_template(source: &Source, path: &Path, findings: &mut Findings) -> Checked {
    if !source.is_template() {
        let text = "expected a template with `Resources` or a routes document with `routes`, found neither; name another file";
        findings.add(source, "", Code::FileUnreadable, text);
        return Checked::default();
    }
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
    Checked {
        routes: all.len(),
        machines: machines.len(),
        functions: functions.len(),
        rules,
    }
}
