//! The command line.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use workflow_bridge::domain::inbound::signature::sign;
use workflow_bridge::tools::local::workspace::Workspace;

fn bridge(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bridge"));
    for variable in ["MOMENTO_API_KEY", "MOMENTO_ENDPOINT"] {
        command.env_remove(variable);
    }
    command
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn succeeded(output: &Output) -> String {
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{:?}\n{out}\n{err}", output.status);
    out
}

#[test]
fn every_command_has_help_with_an_example() {
    let commands = [
        "local", "check", "publish", "tail", "sign", "send", "replay", "relay", "serve", "health",
        "draw", "new", "explain", "schema",
    ];
    for command in commands {
        let help = succeeded(&bridge(&[command, "--help"]).output().unwrap());
        assert!(
            help.contains("Usage:") && help.contains("cargo bridge"),
            "{help}"
        );
    }
    let all = succeeded(&bridge(&["--help"]).output().unwrap());
    for command in commands {
        assert!(all.contains(&format!("  {command} ")), "{all}");
    }
}

#[test]
fn sign_prints_the_header() {
    let mut command = bridge(&[
        "sign",
        "--secret-env",
        "SECRET",
        "tests/fixtures/routes.json",
    ]);
    let output = command.env("SECRET", "hush").output().unwrap();
    let body = std::fs::read("tests/fixtures/routes.json").unwrap();
    assert_eq!(succeeded(&output).trim(), sign("hush", &body));
}

#[test]
fn two_concurrent_runs_of_once_both_print_hello_in_capitals() {
    let start = || {
        bridge(&["local", "--once"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let both = [start(), start()].map(|child| child.wait_with_output().unwrap());
    for output in &both {
        let out = succeeded(output);
        assert!(out.contains("`hello` came back as `HELLO`"), "{out}");
    }
}

#[test]
fn every_demonstration_succeeds() {
    let unknown = bridge(&["local", "--demo", "nope"]).output().unwrap();
    let err = String::from_utf8(unknown.stderr).unwrap();
    let names = err.split("expected one of ").nth(1).unwrap();
    let names: Vec<_> = names.split(", found").next().unwrap().split(", ").collect();
    assert!(names.contains(&"uppercase"), "{names:?}");
    for name in names {
        let mut command = bridge(&["local", "--demo", name]);
        let out = succeeded(&command.output().unwrap());
        assert!(
            out.contains("✓ ") && out.contains(&format!("{name}: ")),
            "{out}"
        );
    }
}

#[test]
fn once_works_through_the_relay() {
    let output = bridge(&["local", "--relay", "--once"]).output().unwrap();
    let out = succeeded(&output);
    assert!(out.contains("`hello` came back as `HELLO`"), "{out}");
}

/// A running `bridge local` and its processes.
struct Local {
    child: Child,
    output: Vec<String>,
}

impl Local {
    fn start() -> Self {
        let child = bridge(&["local"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            child,
            output: Vec::new(),
        }
    }

    /// Reads its output until a line contains `wanted`.
    fn read_until(&mut self, wanted: &str) {
        let lines = BufReader::new(self.child.stdout.as_mut().unwrap()).lines();
        for line in lines.map_while(Result::ok) {
            let found = line.contains(wanted);
            self.output.push(line);
            if found {
                return;
            }
        }
        panic!("no `{wanted}` in the output: {:#?}", self.output);
    }

    /// The run folder, in the command line or working directory of every process of this stack.
    fn folder(&self) -> String {
        format!("run-{}-", self.child.id())
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([name, &pid])
                .status()
                .unwrap()
                .success()
        );
    }
}

/// Processes whose command line or working directory names `folder`.
fn processes_of(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let path: PathBuf = entry.path();
        let cmdline = text(&std::fs::read(path.join("cmdline")).unwrap_or_default());
        let cwd = std::fs::read_link(path.join("cwd")).unwrap_or_default();
        if cmdline.contains(folder) || cwd.to_string_lossy().contains(folder) {
            found.push(format!("{} {cmdline}", path.display()));
        }
    }
    found
}

/// Waits until no process names `folder`.
fn all_gone(folder: &str) {
    let began = std::time::Instant::now();
    while !processes_of(folder).is_empty() {
        assert!(
            began.elapsed().as_secs() < 30,
            "still there: {:#?}",
            processes_of(folder)
        );
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn no_process_and_no_folder_outlives_it() {
    for (signal, code) in [("-TERM", Some(0)), ("-INT", Some(0)), ("-KILL", None)] {
        let mut local = Local::start();
        local.read_until("ready");
        let folder = local.folder();
        assert!(!processes_of(&folder).is_empty(), "the emulator runs");
        local.signal(signal);
        assert_eq!(local.child.wait().unwrap().code(), code, "{signal}");
        if code.is_some() {
            assert!(!stays(&folder), "the run folder after {signal}");
        }
        all_gone(&folder);
    }
    // Ended during its start.
    let mut local = Local::start();
    let folder = local.folder();
    let began = std::time::Instant::now();
    while processes_of(&folder).is_empty() && began.elapsed().as_secs() < 60 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    local.signal("-TERM");
    assert_eq!(local.child.wait().unwrap().code(), Some(143));
    assert!(!stays(&folder), "the run folder after a stopped start");
    all_gone(&folder);
}

/// Whether there is a run folder whose name begins with this.
#[cfg(target_os = "linux")]
fn stays(folder: &str) -> bool {
    let workspace = Workspace::find().unwrap();
    let mut entries = std::fs::read_dir(workspace.dir()).unwrap();
    entries.any(|entry| {
        entry
            .unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with(folder)
    })
}

#[test]
fn a_stack_without_python_fails_with_an_error() {
    let output = bridge(&["local", "--once"])
        .env("PATH", "/nonexistent")
        .output()
        .unwrap();
    let err = text(&output.stderr);
    assert!(!output.status.success() && err.contains("error:"), "{err}");
}
