//! The command line of `bridge check`.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::*;

fn bridge(arguments: &[&str], folder: &Path) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bridge"));
    let output = command
        .arg("check")
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
    )
}

#[test]
fn the_command_reports_all_findings_at_once() {
    let (code, out) = bridge(&[], root());
    assert!(
        code == 0
            && out.starts_with("✓ template.yaml: nothing to mend in ")
            && out.lines().count() == 1,
        "{out}"
    );

    let (_, of_folder) = bridge(&["examples/count"], root());
    assert!(
        of_folder.starts_with("✓ examples/count/template.yaml: nothing"),
        "{of_folder}"
    );

    let (code, out) = bridge(&["many-problems.json"], &fixtures().join("routes"));
    let last = out.lines().last().unwrap();
    assert!(
        code == 1
            && out.starts_with("many-problems.json:4:15: route-unparsable: route `has a space`: "),
        "{out}"
    );
    assert_eq!(
        last,
        "✗ 8 errors in 1 file; docs/check.md explains each code"
    );

    // A definition that Step Functions refuses is an error without a route, too.
    let scratch = Scratch::new("command");
    fs::copy(
        fixtures().join("definitions/no-end.asl.json"),
        scratch.0.join("a.asl.json"),
    )
    .unwrap();
    let template = "Resources: {A: {Type: AWS::Serverless::StateMachine, Properties: {DefinitionUri: a.asl.json}}}";
    fs::write(scratch.0.join("template.yaml"), template).unwrap();
    let (code, out) = bridge(&[], &scratch.0);
    assert!(
        code == 1 && out.starts_with("a.asl.json:3:13: asl-no-end: "),
        "{out}"
    );

    let (code, out) = bridge(&["--json", "loops.json"], &fixtures().join("routes"));
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (
            code,
            &json["errors"],
            &json["warnings"],
            &json["checked"]["routes"]
        ),
        (1, &2.into(), &0.into(), &2.into())
    );
    let first = &json["findings"][0];
    assert_eq!(
        (
            &first["file"],
            &first["line"],
            &first["column"],
            &first["code"],
            &first["severity"]
        ),
        (
            &"loops.json".into(),
            &6.into(),
            &16.into(),
            &"route-loop".into(),
            &"error".into()
        )
    );

    let (code, out) = bridge(&["nowhere.yaml"], &scratch.0);
    assert!(
        code == 1 && out.contains("nowhere.yaml:1:1: file-unreadable: "),
        "{out}"
    );
}

#[test]
fn several_files_are_checked_at_once() {
    let files = shipped();
    let names: Vec<_> = files
        .iter()
        .map(|file| file.strip_prefix(root()).unwrap().to_str().unwrap())
        .collect();
    let (code, out) = bridge(&names, root());
    assert_eq!((code, out.lines().count()), (0, names.len()), "{out}");
    for (line, name) in out.lines().zip(&names) {
        assert!(line.starts_with(&format!("✓ {name}: nothing")), "{line}");
    }

    let mixed = ["../workflow.yaml", "loops.json", "many-problems.json"];
    let (code, out) = bridge(&mixed, &fixtures().join("routes"));
    assert_eq!(code, 1, "{out}");
    assert!(
        out.starts_with("✓ ../workflow.yaml: nothing to mend in 3 routes and 1 state machine\n\nloops.json:6:16: route-loop: ")
            && out.contains("\n\nmany-problems.json:4:15: route-unparsable: ")
            && out.ends_with("\n\n✗ 10 errors in 2 files; docs/check.md explains each code\n"),
        "{out}"
    );
    let arguments = ["--json", mixed[0], mixed[1], mixed[2]];
    let (_, out) = bridge(&arguments, &fixtures().join("routes"));
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["errors"], 10, "{json:#}");
    assert_eq!(json["checked"]["state_machines"], 1);
    let files = json["findings"].as_array().unwrap().iter();
    let files: BTreeSet<_> = files.map(|finding| finding["file"].as_str()).collect();
    assert_eq!(files.len(), 2);
}

#[test]
fn a_stack_and_files_are_not_checked_at_once() {
    for arguments in [
        &["--stack", "x", "template.yaml"][..],
        &["--local", "template.yaml"],
        &["--stack", "x", "--local"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_bridge"))
            .arg("check")
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}
