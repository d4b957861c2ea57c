//! docs/reference.md has every command, reason and variable.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use workflow_bridge::domain::inbound::letter::Reason;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The names in backticks in the first column of the table below a heading.
fn names(page: &str, head: &str) -> BTreeSet<String> {
    let (_, table) = page.split_once(head).unwrap();
    let rows = table
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with('|'));
    let first = rows.filter_map(|row| row.split('|').nth(1));
    let quoted = first.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    quoted.map(str::to_owned).collect()
}

fn page() -> String {
    std::fs::read_to_string(root().join("docs/reference.md")).unwrap()
}

#[test]
fn every_command_is_in_the_reference() {
    let output = Command::new(env!("CARGO_BIN_EXE_bridge"))
        .arg("--help")
        .output()
        .unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let (_, commands) = help.split_once("Commands:").unwrap();
    let commands = commands.lines().skip(1).take_while(|line| !line.is_empty());
    let commands = commands.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let commands: BTreeSet<_> = commands
        .filter(|name| !["", "help"].contains(name))
        .map(str::to_owned)
        .collect();
    assert_eq!(names(&page(), "| command | does | more |\n"), commands);
}

#[test]
fn every_reason_is_in_the_reference() {
    let reasons = Reason::ALL.map(|reason| reason.name().to_owned()).into();
    assert_eq!(names(&page(), "| reason | of | meaning |\n"), reasons);
}

#[test]
fn every_variable_of_the_reference_is_read() {
    let read = ["src", "template.yaml"].map(|name| root().join(name));
    let (mut open, mut text) = (Vec::from(read), String::new());
    while let Some(path) = open.pop() {
        match std::fs::read_dir(&path) {
            Ok(entries) => open.extend(entries.map(|entry| entry.unwrap().path())),
            Err(_) => text += &std::fs::read_to_string(&path).unwrap(),
        }
    }
    for name in names(&page(), "| variable | read by | default | meaning |\n") {
        let uses = [format!("\"{name}\""), format!("env = \"{name}\"")];
        let named_by_clap = name == "LISTEN" || name == "MAX_IN_FLIGHT";
        assert!(
            named_by_clap || uses.iter().any(|one| text.contains(one)),
            "`{name}` is read nowhere"
        );
    }
}
