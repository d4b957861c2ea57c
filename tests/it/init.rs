//! `bridge init`: a project outside of the clone.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder outside of the clone. The target folder of a clone lies inside of it, so this one is the system's.
struct Outside(PathBuf);

impl Outside {
    fn new() -> Self {
        let name = format!(
            "bridge-init-{}-{:016x}",
            std::process::id(),
            rand::random::<u64>()
        );
        let folder = std::env::temp_dir().canonicalize().unwrap().join(name);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn files(&self, project: &str) -> BTreeSet<String> {
        let root = self.0.join(project);
        let (mut open, mut files) = (vec![root.clone()], BTreeSet::new());
        while let Some(path) = open.pop() {
            match fs::read_dir(&path) {
                Ok(entries) => open.extend(entries.map(|entry| entry.unwrap().path())),
                Err(_) => {
                    let name = path.strip_prefix(&root).unwrap();
                    files.insert(name.to_str().unwrap().to_owned());
                }
            }
        }
        files
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn clone() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn bridge(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bridge"));
    command
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn init(outside: &Outside, arguments: &[&str]) -> Output {
    let project = outside.0.join("mine");
    let mut all = vec!["init", project.to_str().unwrap()];
    all.extend(arguments);
    bridge(clone(), &all)
}

const OF_THIS_MACHINE: [&str; 2] = [".cargo/config.toml", ".workflow-bridge/clone"];

#[test]
fn a_project_has_its_workflow_and_no_machine_path_in_a_commit() {
    for (function, more) in [
        (None, &[][..]),
        (Some("python"), &["function/app.py"]),
        (Some("node"), &["function/index.mjs"]),
    ] {
        let outside = Outside::new();
        let options = function.map_or(vec![], |language| vec!["--function", language]);
        let dry: Vec<_> = options.iter().copied().chain(["--dry-run"]).collect();
        let output = init(&outside, &dry);
        let printed = text(&output.stdout);
        assert!(
            printed.contains("# would write template.yaml:\n"),
            "{printed}"
        );
        assert!(!outside.0.join("mine").exists(), "nothing was written");

        let output = init(&outside, &options);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let printed = text(&output.stdout);
        let project = outside.0.join("mine");
        let beginning = format!(
            "In {}, with the clone {}:\n",
            project.display(),
            clone().display()
        );
        assert!(printed.starts_with(&beginning), "{printed}");
        for part in [
            "cargo bridge local\n",
            "cargo bridge tail mine-out\n",
            "cargo bridge publish mine-in ",
        ] {
            assert!(printed.contains(part), "{printed}");
        }
        let own = [".gitignore", "README.md", "mine.asl.json", "template.yaml"];
        let names = own.iter().chain(more).chain(&OF_THIS_MACHINE);
        assert_eq!(
            outside.files("mine"),
            names.map(|name| (*name).to_owned()).collect()
        );
        let read = |name: &str| fs::read_to_string(project.join(name)).unwrap();
        for name in own.iter().chain(more) {
            let text = read(name);
            for place in [clone(), outside.0.as_path()] {
                assert!(!text.contains(place.to_str().unwrap()), "{name}: {text}");
            }
        }
        let readme = read("README.md");
        assert!(readme.lines().count() <= 10, "{readme}");
        assert!(
            readme.contains("sam deploy -t ./template.yaml --stack-name workflow-bridge-mine"),
            "{readme}"
        );
        assert!(read("template.yaml").contains("# In this folder, beside"));
        let ignored = read(".gitignore");
        for name in OF_THIS_MACHINE {
            let folder = name.split('/').next().unwrap();
            assert!(ignored.contains(&format!("/{folder}/\n")), "{ignored}");
        }

        // The other commands work in the project, and `check` finds nothing.
        let output = bridge(&project, &["check", "template.yaml"]);
        assert!(
            output.status.success(),
            "{}{}",
            text(&output.stdout),
            text(&output.stderr)
        );
        let output = bridge(&project, &["tail", "mine-out"]);
        assert!(text(&output.stderr).contains("expected a running local stack"));
        // A second time, and on another machine: only the connection is made.
        fs::remove_dir_all(project.join(".workflow-bridge")).unwrap();
        fs::write(project.join("README.md"), "mine").unwrap();
        let output = init(&outside, &[]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(read("README.md"), "mine");
        assert_eq!(read(OF_THIS_MACHINE[1]), format!("{}\n", clone().display()));
    }
}

#[test]
fn a_folder_that_would_lose_something_is_refused() {
    let outside = Outside::new();
    let refused = |arguments: &[&str], part: &str| {
        let output = init(&outside, arguments);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(part), "{error}");
    };
    refused(&["--name", "a b"], "expected a name of 1 to 32 characters");
    refused(&["--like", "stroe"], "did you mean `store`?");
    assert!(!outside.0.join("mine").exists());
    fs::create_dir_all(outside.0.join("mine/.git")).unwrap();
    fs::write(outside.0.join("mine/notes.txt"), "x").unwrap();
    refused(&[], "expected a new or empty folder, found `notes.txt`");
    fs::remove_file(outside.0.join("mine/notes.txt")).unwrap();
    fs::create_dir(outside.0.join("mine/.cargo")).unwrap();
    fs::write(outside.0.join("mine/template.yaml"), "Resources: {}").unwrap();
    fs::write(outside.0.join("mine/.cargo/config.toml"), "[build]\n").unwrap();
    refused(&[], "expected no `.cargo/config.toml` in the project");

    let output = bridge(clone(), &["init", "examples/mine"]);
    let error = text(&output.stderr);
    assert!(
        error.contains("expected a folder outside of the clone"),
        "{error}"
    );
    let output = bridge(&outside.0, &["init", "other"]);
    let error = text(&output.stderr);
    assert!(
        error.contains("inside a clone of workflow-bridge"),
        "{error}"
    );
}
