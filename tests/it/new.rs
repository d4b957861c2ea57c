//! `bridge new` in a folder of its own, and its output deployed beside a bridge.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use futures_util::StreamExt;
use momento::topics::ValueKind;
use workflow_bridge::tools::local::{Options, Stack};

use crate::deployed::{RUNTIME, SOON, binaries, stack};

/// A folder outside the clone.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn make(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bridge"));
        command.arg("new").args(arguments).current_dir(&self.0);
        command.output().unwrap()
    }

    /// All files by name, for comparison.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let (mut open, mut files) = (vec![self.0.clone()], BTreeMap::new());
        while let Some(path) = open.pop() {
            match fs::read_dir(&path) {
                Ok(entries) => open.extend(entries.map(|entry| entry.unwrap().path())),
                Err(_) => {
                    let name = path.strip_prefix(&self.0).unwrap().to_owned();
                    files.insert(name, fs::read(&path).unwrap());
                }
            }
        }
        files
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn it_writes_one_folder_and_refuses_a_taken_name() {
    let folder = Folder::new("new-twice");
    let output = folder.make(&["shout", "--dry-run"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    for part in [
        "# in ",
        "# would write shout/template.yaml:\n",
        "# would write shout/shout.asl.json:\n",
        "\"StartAt\"",
    ] {
        assert!(printed.contains(part), "{printed}");
    }
    assert!(folder.files().is_empty(), "nothing was written");

    let output = folder.make(&["shout"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    let here = folder.0.canonicalize().unwrap();
    let beginning = format!("In {}:\n  + shout/template.yaml\n", here.display());
    assert!(printed.starts_with(&beginning), "{printed}");
    for part in [
        "  cargo bridge local --with shout\n",
        "  cargo bridge tail shout-out\n",
        "  cargo bridge publish shout-in hello\n",
        "  sam deploy -t shout/template.yaml --stack-name workflow-bridge-shout --resolve-s3 --capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND\n",
    ] {
        assert!(printed.contains(part), "{printed}");
    }
    let files = folder.files();
    let names: Vec<_> = files.keys().map(|file| file.to_str().unwrap()).collect();
    assert_eq!(names, ["shout/shout.asl.json", "shout/template.yaml"]);

    let refused = |arguments: &[&str], part: &str| {
        let output = folder.make(arguments);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(part), "{error}");
        assert_eq!(text(&output.stdout), "");
    };
    refused(&["shout"], "expected no `shout` in this folder, found one");
    refused(&["shout.it"], "expected a name of 1 to 32 characters");
    refused(&["uppercase"], "the bridge has a workflow of that name");
    refused(&["mine", "--like", "stroe"], "did you mean `store`?");
    refused(
        &["mine", "--arn", "arn:aws:sqs:x"],
        "expected the ARN of a state machine",
    );
    assert_eq!(folder.files(), files, "nothing was written");
}

#[test]
fn it_writes_only_below_the_folder_that_it_is_started_in() {
    let folder = Folder::new("new-dir");
    let workflows = folder.0.join("workflows");
    fs::create_dir(&workflows).unwrap();
    fs::create_dir(folder.0.join("here")).unwrap();
    let make = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bridge"));
        command.arg("new").args(arguments);
        command.current_dir(folder.0.join("here")).output().unwrap()
    };
    let elsewhere = workflows.to_str().unwrap();
    std::os::unix::fs::symlink(&workflows, folder.0.join("here/link")).unwrap();
    for dir in ["..", elsewhere, "link", "../workflows", "none"] {
        let output = make(&["shout", "--dir", dir]);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(
            error.contains("folder") && error.contains("`--dir`"),
            "{error}"
        );
    }
    assert_eq!(fs::read_dir(&workflows).unwrap().count(), 0);

    let output = folder.make(&["shout", "--dir", "workflows"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    for part in [
        "  + workflows/shout/template.yaml\n",
        "cargo bridge local --with workflows/shout\n",
        "sam deploy -t workflows/shout/template.yaml --stack-name workflow-bridge-shout ",
    ] {
        assert!(printed.contains(part), "{printed}");
    }
    assert!(workflows.join("shout/shout.asl.json").is_file());
}

#[test]
fn a_route_to_an_existing_state_machine_names_the_missing_rights() {
    let folder = Folder::new("new-arn");
    let machine = "arn:aws:states:eu-west-1:123456789012:stateMachine:";
    let output = folder.make(&["ours", "--arn", &format!("{machine}workflow-bridge_ours")]);
    let printed = text(&output.stdout);
    assert!(
        printed.contains("sam deploy") && !printed.contains("states:"),
        "{printed}"
    );

    let arn = &format!("{machine}Orders:live");
    let output = folder.make(&["orders", "--arn", arn]);
    let printed = text(&output.stdout);
    for part in [
        "{Effect: Allow, Action: states:StartExecution, Resource: \"arn:aws:states:eu-west-1:123456789012:stateMachine:Orders\"}\n",
        "{Effect: Allow, Action: states:DescribeExecution, Resource: \"arn:aws:states:eu-west-1:123456789012:execution:Orders:*\"}\n",
        "{Effect: Allow, Action: states:ListExecutions, Resource: \"arn:aws:states:eu-west-1:123456789012:stateMachine:Orders\"}\n",
        "WorkflowEnds",
    ] {
        assert!(printed.contains(part), "{printed}");
    }
    let files = folder.files();
    let template = text(&files[Path::new("orders/template.yaml")]);
    assert!(
        template.contains(&format!("to: {{stateMachine: \"{arn}\"}}")),
        "{template}"
    );
    assert_eq!(files.len(), 2, "a template for each route");
}

#[test]
fn a_removal_takes_only_what_new_wrote() {
    let folder = Folder::new("new-removed");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bridge"));
        command.args(arguments).current_dir(&folder.0);
        let output = command.output().unwrap();
        (
            output.status.code(),
            text(&output.stdout) + &text(&output.stderr),
        )
    };
    let arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:Orders:live";
    for options in [
        &[][..],
        &["--like", "count"],
        &["--function", "python"],
        &["--function", "node"],
        &["--arn", arn],
    ] {
        let made = [&["new", "gone"], options].concat();
        assert_eq!(run(&made).0, Some(0));
        let files = folder.files();
        let (code, printed) = run(&["remove", "gone", "--dry-run"]);
        assert_eq!(code, Some(0), "{printed}");
        assert!(
            printed.contains("# would remove gone/template.yaml\n"),
            "{printed}"
        );
        assert_eq!(folder.files(), files, "nothing was removed");
        let (code, printed) = run(&["remove", "gone"]);
        assert_eq!(code, Some(0), "{printed}");
        assert!(
            printed.contains("  - gone/template.yaml\n") && printed.contains("  - gone\n"),
            "{printed}"
        );
        assert!(!folder.0.join("gone").exists(), "{options:?}");
    }

    // A change and a file of another name.
    run(&["new", "kept", "--function", "python"]);
    let function = folder.0.join("kept/function");
    fs::write(function.join("app.py"), "mine").unwrap();
    fs::write(function.join("more.py"), "mine").unwrap();
    let (code, printed) = run(&["remove", "kept"]);
    assert_eq!(code, Some(1));
    assert!(
        printed.contains("found changes in `function/app.py`") && printed.contains("--force"),
        "{printed}"
    );
    assert!(
        folder.0.join("kept/template.yaml").is_file(),
        "nothing was removed"
    );
    let (code, printed) = run(&["remove", "kept", "--force"]);
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.contains("kept/function/more.py stays"), "{printed}");
    assert!(!function.join("app.py").exists() && function.join("more.py").is_file());

    for (arguments, part) in [
        (&["remove", "kept"][..], "found no `template.yaml`"),
        (
            &["remove", "none"],
            "expected the folder `none`, found none",
        ),
        (
            &["remove", "../new-removed"],
            "expected a name of 1 to 32 characters",
        ),
        (&["remove", "kept", "--dir", ".."], "`--dir`"),
    ] {
        let (code, printed) = run(arguments);
        assert_eq!(code, Some(1), "{printed}");
        assert!(printed.contains(part), "{printed}");
    }
    std::os::unix::fs::symlink("kept", folder.0.join("link")).unwrap();
    assert!(run(&["remove", "link"]).1.contains("a symbolic link"));
}

#[test]
fn the_new_workflow_deploys_unchanged() {
    let folder = Folder::new("new-deployed");
    for arguments in [&["shout"][..], &["fast", "--like", "express-enrich"]] {
        let output = folder.make(arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    RUNTIME.block_on(async {
        let mut options = Options::new(binaries()).unwrap();
        options.with = vec![folder.0.join("shout"), folder.0.join("fast")];
        let emulator = Arc::clone(stack().await.emulator());
        let stack = Stack::start_in(emulator, options).await.unwrap();
        let client = stack.momento_client().unwrap();
        let back = async |inbound: &str, outbound: &str| {
            let mut subscription = client.subscribe("demo", outbound).await.unwrap();
            client.publish("demo", inbound, "hello").await.unwrap();
            let item = tokio::time::timeout(SOON, subscription.next()).await;
            match item.expect("a result").expect("a subscription").kind {
                ValueKind::Text(text) => text,
                ValueKind::Binary(_) => panic!("binary on {outbound}"),
            }
        };
        assert_eq!(back("shout-in", "shout-out").await, "HELLO");
        assert_eq!(back("uppercase-in", "uppercase-out").await, "HELLO");
        let known: serde_json::Value =
            serde_json::from_str(&back("fast-in", "fast-out").await).unwrap();
        assert_eq!(known["topic"], "fast-in");
        stack.stop().await;
    });
}
