//! The findings of `bridge check`: tests/fixtures/check has a case for each kind.

mod command;
mod definitions;
mod local;
mod mutations;
mod together;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use workflow_bridge::tools::check::{Code, Severity, StackCode, check};
use workflow_bridge::tools::terminal::Style;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn fixtures() -> PathBuf {
    root().join("tests/fixtures/check")
}

/// The files of a folder of fixtures, without the `.expected` ones.
fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(fixtures().join(folder)).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_none_or(|end| end != "expected"));
    files.sort();
    files
}

/// An empty folder, removed after the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("bridge-check-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Every finding in the fixtures' format: `file:line:column code`, then `warning` for a warning.
fn found(file: &Path) -> Vec<String> {
    let findings = check(file).findings.into_iter().map(|finding| {
        let name = Path::new(&finding.file)
            .file_name()
            .unwrap()
            .to_string_lossy()
            .into_owned();
        let warning = match finding.severity {
            Severity::Error => "",
            Severity::Warning => " warning",
        };
        // Each text is a full sentence.
        assert!(
            finding.text.len() > 40 && !finding.text.contains('\n'),
            "{}",
            finding.text
        );
        format!(
            "{name}:{}:{} {}{warning}",
            finding.place.line,
            finding.place.column,
            finding.code.name()
        )
    });
    findings.collect()
}

fn codes(findings: &[String]) -> Vec<String> {
    let codes = findings
        .iter()
        .filter_map(|finding| finding.split(' ').nth(1));
    codes.map(str::to_owned).collect()
}

/// The templates that patches change: the first is that of a patch for a definition alone.
const TEMPLATES: [&str; 3] = ["base.yaml", "collected.yaml", "workflow.yaml"];

/// Applies a patch, and returns the changed template with its expected findings.
fn patched(case: &Path, folder: &Path) -> (PathBuf, Vec<String>) {
    for name in TEMPLATES.into_iter().chain(["base.asl.json"]) {
        fs::copy(fixtures().join(name), folder.join(name)).unwrap();
    }
    let text = fs::read_to_string(case).unwrap();
    let mut expected = Vec::new();
    let mut template = TEMPLATES[0];
    for part in text.split("@@ ").skip(1) {
        let (name, lines) = part.split_once('\n').unwrap();
        template = TEMPLATES
            .into_iter()
            .find(|known| *known == name)
            .unwrap_or(template);
        let of = |mark: char| {
            lines
                .lines()
                .filter_map(move |line| line.strip_prefix(mark))
                .map(|line| format!("{line}\n"))
                .collect::<String>()
        };
        let file = folder.join(name);
        let before = fs::read_to_string(&file).unwrap();
        assert_eq!(
            before.matches(&of('-')).count(),
            1,
            "{}: the lines of {name}",
            case.display()
        );
        fs::write(file, before.replace(&of('-'), &of('+'))).unwrap();
        expected.extend(
            lines
                .lines()
                .filter_map(|line| line.strip_prefix("= "))
                .map(str::to_owned),
        );
    }
    (folder.join(template), expected)
}

#[test]
fn every_mistake_is_found_at_its_line() {
    let scratch = Scratch::new("broken");
    let mut seen = BTreeSet::new();
    let mut cases = 0;
    for case in files("patches") {
        let (file, expected) = patched(&case, &scratch.0);
        let found = found(&file);
        assert_eq!(found, expected, "{}", case.display());
        assert!(
            !found.is_empty(),
            "{}: expected findings, found none",
            case.display()
        );
        seen.extend(codes(&found));
        cases += 1;
    }
    for folder in ["definitions", "routes", "templates"] {
        for case in files(folder) {
            let name = case.file_name().unwrap().to_string_lossy().into_owned();
            let expected =
                fs::read_to_string(case.with_file_name(format!("{name}.expected"))).unwrap();
            let mut file = case.clone();
            if folder == "definitions" {
                file = scratch.0.join("template.yaml");
                fs::copy(&case, scratch.0.join(&name)).unwrap();
                let template = format!(
                    "Resources:\n  Machine:\n    Type: AWS::Serverless::StateMachine\n    Properties: {{DefinitionUri: {name}, Role: \"arn:aws:iam::123456789012:role/machine\"}}\n"
                );
                fs::write(&file, template).unwrap();
            }
            let found = found(&file);
            assert_eq!(
                found,
                expected.lines().collect::<Vec<_>>(),
                "{}",
                case.display()
            );
            assert!(
                !found.is_empty(),
                "{}: expected findings, found none",
                case.display()
            );
            seen.extend(codes(&found));
            cases += 1;
        }
    }
    assert!(cases >= 95, "{cases}");
    let unseen: Vec<_> = Code::ALL
        .iter()
        .map(|code| code.name())
        .filter(|name| !seen.contains(*name) && !together::CODES.contains(name))
        .collect();
    assert!(unseen.is_empty(), "no case shows {unseen:?}");
}

/// The template of the bridge, and that of each example.
fn shipped() -> Vec<PathBuf> {
    let examples = fs::read_dir(root().join("examples")).unwrap();
    let templates = examples.map(|example| example.unwrap().path().join("template.yaml"));
    let mut files: Vec<_> = templates.filter(|file| file.exists()).collect();
    assert!(files.len() >= 7, "{files:?}");
    files.sort();
    files.insert(0, root().join("template.yaml"));
    files
}

#[test]
fn sound_files_give_no_findings() {
    let sound = files("sound")
        .into_iter()
        .filter(|file| !file.to_string_lossy().ends_with(".asl.json"));
    let templates = TEMPLATES.map(|name| fixtures().join(name));
    for file in shipped()
        .into_iter()
        .chain([root().join("relay.yaml")])
        .chain(sound)
        .chain(templates)
    {
        assert_eq!(found(&file), Vec::<String>::new(), "{}", file.display());
    }
}

#[test]
fn a_task_may_belong_to_any_state_machine() {
    let scratch = Scratch::new("any-task");
    let file = scratch.0.join("base.yaml");
    for name in ["base.yaml", "base.asl.json"] {
        fs::copy(fixtures().join(name), scratch.0.join(name)).unwrap();
    }
    let tasks = "[states:SendTaskSuccess, states:SendTaskFailure], Resource: ";
    let text = fs::read_to_string(&file).unwrap();
    let any = text.replace(&format!("{tasks}!Ref Upper"), &format!("{tasks}'*'"));
    assert_ne!(any, text);
    fs::write(&file, any).unwrap();
    assert_eq!(found(&file), Vec::<String>::new());
}

#[test]
fn the_workflow_of_each_example_is_checked() {
    for file in shipped().into_iter().skip(1) {
        let checked = check(&file).checked;
        assert!(checked.routes > 0, "{}: {checked:?}", file.display());
        let starts = !file.to_string_lossy().contains("on-the-bus");
        assert_eq!(checked.machines, usize::from(starts), "{}", file.display());
    }
}

#[test]
fn the_documented_codes_are_the_existing_ones() {
    let text = fs::read_to_string(root().join("docs/check.md")).unwrap();
    let rows = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    // The rules of the States Language are in a separate table, by field.
    let documented: BTreeSet<_> = rows
        .map(|(name, _)| name)
        .filter(|name| name.starts_with(char::is_lowercase))
        .collect();
    let known = Code::ALL.iter().map(|code| code.name());
    let known = known.chain(StackCode::ALL.iter().map(|code| code.name()));
    let known: BTreeSet<_> = known.collect();
    assert_eq!(documented, known);
}

#[test]
fn findings_never_repeat_a_secret() {
    let scratch = Scratch::new("secrets");
    for case in ["secret-in-a-variable", "secret-that-is-shown"] {
        patched(
            &fixtures().join(format!("patches/{case}.patch")),
            &scratch.0,
        );
        let shown = check(&scratch.0.join("base.yaml")).shown(Style::plain());
        assert!(
            shown.contains("secret-in-plain") && !shown.contains("eyJ") && !shown.contains("hush"),
            "{shown}"
        );
    }
    let shown = check(&fixtures().join("templates/parameters.yaml")).shown(Style::plain());
    assert!(
        !shown.contains("eyJ") && !shown.contains("0123456789"),
        "{shown}"
    );
}
