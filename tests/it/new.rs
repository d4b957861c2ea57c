//! `bridge new` in a clone of its own, and its output deployed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use futures_util::StreamExt;
use momento::topics::ValueKind;
use workflow_bridge::tools::local::{Options, Stack};
use workflow_bridge::tools::template;

use crate::deployed::{RUNTIME, SOON, binaries, stack};

/// The files of the clone that the command reads and writes.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("statemachines")).unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for file in ["Cargo.toml", "template.yaml"] {
            fs::copy(root.join(file), folder.join(file)).unwrap();
        }
        for entry in fs::read_dir(root.join("statemachines")).unwrap() {
            let entry = entry.unwrap();
            let copy = folder.join("statemachines").join(entry.file_name());
            fs::copy(entry.path(), copy).unwrap();
        }
        Self(folder)
    }

    fn make(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bridge"));
        command.arg("new").args(arguments).current_dir(&self.0);
        command.env("CARGO_TARGET_DIR", env!("CARGO_TARGET_TMPDIR"));
        command.output().unwrap()
    }

    /// All files by name, for comparison.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let folders = [self.0.clone(), self.0.join("statemachines")];
        let entries = folders
            .iter()
            .flat_map(|folder| fs::read_dir(folder).unwrap());
        let files = entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_file());
        files
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn it_prints_its_changes_and_refuses_a_taken_name() {
    let clone = Folder::new("new-twice");
    let before = clone.files();
    let output = clone.make(&["shout", "--dry-run"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    for part in [
        "statemachines/shout.asl.json",
        "  ShoutStateMachine:\n",
        "${ShoutRoute.Value}",
        "\"StartAt\"",
    ] {
        assert!(printed.contains(part), "{printed}");
    }
    assert_eq!(clone.files(), before, "nothing was written");

    let output = clone.make(&["shout"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    for part in [
        "cargo bridge local",
        "cargo bridge tail shout-out",
        "cargo bridge publish shout-in hello",
    ] {
        assert!(printed.contains(part), "{printed}");
    }
    let after = clone.files();
    assert_eq!(after.len(), before.len() + 1);

    let refused = |arguments: &[&str], part: &str| {
        let output = clone.make(arguments);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(part), "{error}");
        assert_eq!(text(&output.stdout), "");
    };
    refused(&["shout"], "expected a new name, found `shout`");
    refused(
        &["shout", "--dry-run"],
        "expected a new name, found `shout`",
    );
    refused(&["Shout"], "expected a name of 1 to 32 characters");
    refused(
        &["mine", "--like", "nothing"],
        "found `nothing`: take one of `uppercase`",
    );
    assert_eq!(clone.files(), after, "nothing was written");

    // Only the file of the state machine exists.
    fs::write(clone.0.join("statemachines/mine.asl.json"), "mine").unwrap();
    let after = clone.files();
    refused(
        &["mine"],
        "there is a file `statemachines/mine.asl.json` already",
    );
    assert_eq!(clone.files(), after, "nothing was written");
}

#[test]
fn the_new_workflow_deploys_unchanged() {
    let clone = Folder::new("new-deployed");
    for arguments in [&["shout"][..], &["fast", "--like", "express-enrich"]] {
        let output = clone.make(arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    let file = clone.0.join("template.yaml");
    template::check_replies(&template::read(&file).unwrap()).unwrap();
    RUNTIME.block_on(async {
        let mut options = Options::new(binaries()).unwrap();
        options.template = file;
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
