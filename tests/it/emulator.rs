//! The corrections that the local stack makes to its AWS emulator, tested in the emulator's own Python.

use std::process::Command;

use workflow_bridge::local::console::Progress;
use workflow_bridge::local::python;
use workflow_bridge::local::workspace::Workspace;

#[tokio::test]
async fn the_emulator_answers_as_aws_does() {
    let workspace = Workspace::find().unwrap();
    let python = python::environment(&workspace, &Progress::silent())
        .await
        .unwrap();
    let root = workspace.root().to_owned();
    let tests = move || {
        let mut command = Command::new(python);
        // Bytecode beside the tests would dirty the clone.
        command
            .args(["-B", "-m", "unittest", "discover", "-s", "tests/emulator"])
            .current_dir(root)
            .output()
    };
    let output = tokio::task::spawn_blocking(tests).await.unwrap().unwrap();
    let report = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && report.contains("\nOK"),
        "{report}"
    );
}
