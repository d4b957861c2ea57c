//! Runs the Python tests: the local stack's corrections to the emulator, and the files that deploy the relay. Also a test that
//! needs only the emulator.

use std::process::Command;
use std::time::Duration;

use workflow_bridge::adapters::aws::objects::S3Objects;
use workflow_bridge::domain::ports::Objects;
use workflow_bridge::tools::local::python;
use workflow_bridge::tools::local::workspace::Workspace;
use workflow_bridge::tools::local::{Account, Emulator, Port};
use workflow_bridge::tools::terminal::Progress;

#[tokio::test]
async fn the_emulator_answers_as_aws_does() {
    unittest("tests/emulator").await;
}

#[tokio::test]
async fn the_files_that_deploy_the_relay_agree() {
    unittest("tests/shipped").await;
}

/// Runs the tests in a folder of the clone.
async fn unittest(folder: &'static str) {
    let workspace = Workspace::find().unwrap();
    let python = python::environment(&workspace, &Progress::silent())
        .await
        .unwrap();
    let root = workspace.root().to_owned();
    let tests = move || {
        let mut command = Command::new(python);
        // `-B`: bytecode beside the tests would dirty the clone.
        command
            .args(["-B", "-m", "unittest", "discover", "-s", folder])
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

#[tokio::test]
async fn a_presigned_url_gives_access_to_its_object() {
    let workspace = Workspace::find().unwrap();
    let emulator = Emulator::start(&workspace, Port::Free, &Progress::silent())
        .await
        .unwrap();
    let account = Account::new(emulator.endpoint(), &Account::fresh_id());
    let bucket = format!("claims-{}", account.id());
    account.create_bucket(&bucket).await.unwrap();
    let objects = S3Objects::new(account.config(), bucket);
    let value = "wörld ".repeat(300_000);
    let minute = Duration::from_secs(60);
    let url = objects.store("workflow-bridge/ab", &value, minute).await;
    let url = url.unwrap();
    let read = reqwest::get(&url).await.unwrap();
    assert_eq!(read.status(), 200);
    assert!(read.text().await.unwrap() == value);
    // The emulator checks the signature as S3 does.
    let longer = url.replace("X-Amz-Expires=60", "X-Amz-Expires=61");
    assert_ne!(longer, url);
    assert_eq!(reqwest::get(longer).await.unwrap().status(), 403);

    let nowhere = S3Objects::new(account.config(), "no-such-bucket".to_owned());
    let fault = nowhere.store("k", "v", minute).await.unwrap_err();
    assert_eq!(fault.code, "NoSuchBucket");
}
