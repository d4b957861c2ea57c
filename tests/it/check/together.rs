//! Several files: what one has, and another must not have.

use std::path::PathBuf;

use workflow_bridge::tools::check::{Finding, Severity, check_all};

use super::{Scratch, fixtures, shipped};

/// The codes of findings between files only.
pub const CODES: [&str; 2] = ["machine-twice", "bridge-differs"];

/// A bridge, a workflow, and a second one, with these texts of the second replaced.
struct Files {
    _scratch: Scratch,
    files: Vec<PathBuf>,
}

impl Files {
    fn new(name: &str, changes: &[(&str, &str)]) -> Self {
        let scratch = Scratch::new(name);
        let read = |name: &str| std::fs::read_to_string(fixtures().join(name)).unwrap();
        let mut second = read("workflow.yaml");
        // Names of its own.
        let own = [
            ("greet", "part"),
            ("name: answers", "name: replies"),
            ("topic: answers", "topic: replies"),
            ("audit", "log"),
            ("\"orders/*\"", "\"bills/*\""),
        ];
        for (from, to) in own.iter().chain(changes) {
            assert!(second.contains(from), "{from}");
            second = second.replace(from, to);
        }
        let texts = [
            ("collected.yaml", read("collected.yaml")),
            ("workflow.yaml", read("workflow.yaml")),
            ("second.yaml", second),
            ("base.asl.json", read("base.asl.json")),
        ];
        for (name, text) in &texts {
            std::fs::write(scratch.0.join(name), text).unwrap();
        }
        let files = texts[..3].iter().map(|(name, _)| scratch.0.join(name));
        Self {
            files: files.collect(),
            _scratch: scratch,
        }
    }

    fn findings(&self) -> Vec<Finding> {
        let reports = check_all(&self.files).into_iter();
        reports.flat_map(|report| report.findings).collect()
    }
}

#[test]
fn files_without_a_conflict_give_no_findings() {
    assert_eq!(Files::new("sound", &[]).findings(), []);
    let mut files = shipped();
    // Named twice, and in another way.
    files.push(files[1].clone());
    files.push(files[1].parent().unwrap().join("./template.yaml"));
    for report in check_all(&files) {
        assert_eq!(report.findings, []);
    }
}

/// A description, the changes of the second file, the code, the other file in the text, and the severity.
type Case = (
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
    &'static str,
    Severity,
);

#[test]
fn a_conflict_between_files_names_both() {
    const REPLY: &str = "reply: {topics: [part-out]";
    let cases: [Case; 8] = [
        (
            "a route's name",
            &[("name: part", "name: greet")],
            "route-unparsable",
            "workflow.yaml",
            Severity::Error,
        ),
        (
            "the bridge's route",
            &[("name: part", "name: own")],
            "route-unparsable",
            "collected.yaml",
            Severity::Error,
        ),
        (
            "a loop to the bridge",
            &[(REPLY, "reply: {topics: [own-in]")],
            "route-loop",
            "collected.yaml",
            Severity::Error,
        ),
        (
            "a loop from the first",
            &[("topic: part-in", "topic: greet-out")],
            "route-loop",
            "second.yaml",
            Severity::Error,
        ),
        (
            "a state machine",
            &[("_part\n", "_greet\n")],
            "machine-twice",
            "workflow.yaml",
            Severity::Error,
        ),
        (
            "the same messages",
            &[("\"bills/*\"", "\"orders/*\"")],
            "route-duplicate",
            "workflow.yaml",
            Severity::Error,
        ),
        (
            "fewer messages",
            &[("\"bills/*\"", "\"orders/new\"")],
            "route-shadowed",
            "workflow.yaml",
            Severity::Warning,
        ),
        (
            "another bridge",
            &[("Default: workflow-bridge", "Default: other")],
            "bridge-differs",
            "workflow.yaml",
            Severity::Warning,
        ),
    ];
    let mut seen = Vec::new();
    for (what, changes, code, other, severity) in cases {
        let files = Files::new(code, changes);
        let findings = files.findings();
        assert!(!findings.is_empty(), "{what}: nothing found");
        for finding in findings {
            let shown = format!("{what}: {finding:?}");
            assert_eq!(
                (finding.code.name(), finding.severity),
                (code, severity),
                "{shown}"
            );
            // The place is in one file, and the text names the other.
            let file = match other {
                "second.yaml" => "workflow.yaml",
                _ => "second.yaml",
            };
            assert!(
                finding.file.ends_with(file) && finding.place.line > 5,
                "{shown}"
            );
            assert!(finding.text.contains(&format!("{other}`")), "{shown}");
            seen.push(finding.code.name());
        }
    }
    assert!(CODES.iter().all(|code| seen.contains(code)));
}

#[test]
fn files_of_two_bridges_are_no_conflict() {
    // Another bridge has routes of the same names; its state machines have its prefix.
    let files = Files::new(
        "bridges",
        &[
            ("Default: workflow-bridge", "Default: other"),
            ("name: part", "name: greet"),
        ],
    );
    let findings = files.findings();
    let codes: Vec<_> = findings.iter().map(|finding| finding.code.name()).collect();
    assert!(
        codes.iter().all(|code| *code == "bridge-differs"),
        "{findings:?}"
    );
    // Two bridges have routes of one name, too.
    let bridge = fixtures().join("collected.yaml");
    let mut files = files.files;
    files.truncate(1);
    files.push(bridge);
    assert!(
        check_all(&files)
            .iter()
            .all(|report| report.findings.is_empty())
    );
}
