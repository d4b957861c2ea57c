//! The diagrams of the workflows and the command that draws them.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn bridge(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bridge"));
    command.args(arguments).current_dir(folder);
    command.env("CARGO_TARGET_DIR", env!("CARGO_TARGET_TMPDIR"));
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_diagram_in_the_docs_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = bridge(root, &["draw", "--check"]);
    let printed = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{printed}");
    assert_eq!(printed, "");
}

#[test]
fn every_page_is_in_the_index() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/workflows");
    let index = fs::read_to_string(folder.join("README.md")).unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            name == "README.md" || index.contains(&format!("]({name})")),
            "{name}"
        );
    }
}

#[test]
fn a_changed_state_machine_is_reported_and_drawn() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("drawing");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("statemachines")).unwrap();
    fs::create_dir_all(folder.join("docs/workflows")).unwrap();
    fs::write(
        folder.join("Cargo.toml"),
        "[package]\nname = \"workflow-bridge\"\n",
    )
    .unwrap();
    let machine = |name: &str, kind: &str| {
        let definition = format!(r#"{{"StartAt": "A", "States": {{"A": {{"Type": "{kind}"}}}}}}"#);
        fs::write(
            folder.join(format!("statemachines/{name}.asl.json")),
            definition,
        )
        .unwrap();
    };
    let page = folder.join("docs/workflows/mine.md");
    fs::write(&page, "# mine\n<!-- drawing -->\n<!-- drawing -->\n").unwrap();
    machine("mine", "Succeed");
    machine("other", "Fail"); // has no page

    let stale = |output: Output| {
        assert_eq!(output.status.code(), Some(1));
        let printed = text(&output.stdout);
        assert!(
            printed.starts_with("docs/workflows/mine.md: ") && printed.lines().count() == 1,
            "{printed}"
        );
    };
    stale(bridge(&folder, &["draw", "--check"]));
    assert!(!fs::read_to_string(&page).unwrap().contains("mermaid"));

    let output = bridge(&folder, &["draw"]);
    assert!(output.status.success());
    let printed = text(&output.stdout);
    assert!(
        printed.starts_with("drew docs/workflows/mine.md\n") && printed.contains("A<br/>Fail"),
        "{printed}"
    );
    assert!(text(&output.stderr).contains("no page `docs/workflows/other.md`"));
    let drawn = fs::read_to_string(&page).unwrap();
    assert!(
        drawn.contains("```mermaid\n") && drawn.contains("A<br/>Succeed"),
        "{drawn}"
    );
    assert!(bridge(&folder, &["draw", "--check"]).status.success());

    machine("mine", "Fail");
    stale(bridge(&folder, &["draw", "--check"]));

    machine("mine", "Sing");
    let output = bridge(&folder, &["draw", "statemachines/mine.asl.json"]);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        error.contains("cannot draw `statemachines/mine.asl.json`: state `A`")
            && error.contains("`Sing`"),
        "{error}"
    );
}
