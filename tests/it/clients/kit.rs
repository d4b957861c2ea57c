//! A runtime with an SDK, and programs that use it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use workflow_bridge::tools::local::workspace::{Workspace, lock_file};

/// The timeout for a line, so that no test hangs.
const LINE_TIMEOUT: Duration = Duration::from_secs(120);
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The folder and the runtime of programs.
pub struct Kit {
    folder: PathBuf,
    /// Runs a file; `None` if the file is a program itself.
    runtime: Option<PathBuf>,
}

impl Kit {
    /// Node 20.14 or later with the SDKs of `examples/clients/javascript/package-lock.json`.
    pub fn node() -> Option<Self> {
        let node = found("node", "--version", |version| {
            let mut numbers = version.trim_start_matches('v').split('.');
            let mut number = || numbers.next()?.parse::<u32>().ok();
            Some((number()?, number()?)).filter(|&version| version >= (20, 14))
        })?;
        let needs = ["package.json", "package-lock.json"];
        let folder = installed("javascript", &needs, |folder| {
            let mut npm = Command::new("npm");
            npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
            run(npm.current_dir(folder));
        });
        Some(Self {
            folder,
            runtime: Some(node),
        })
    }

    /// Python 3.11 or later with the SDK of `examples/clients/python/requirements.txt`.
    pub fn python() -> Option<Self> {
        let python = found("python3", "--version", |version| {
            let (major, minor) = version.strip_prefix("Python ")?.split_once('.')?;
            let minor = minor.split('.').next()?.parse::<u32>().ok()?;
            (major == "3" && minor >= 11).then_some(minor)
        })?;
        let folder = installed("python", &["requirements.txt"], |folder| {
            let venv = folder.join("venv");
            run(Command::new(&python).args(["-m", "venv"]).arg(&venv));
            let mut pip = Command::new(venv.join("bin/pip"));
            pip.args(["install", "--quiet", "--requirement"]);
            run(pip.arg(folder.join("requirements.txt")));
        });
        let runtime = Some(folder.join("venv/bin/python"));
        Some(Self { folder, runtime })
    }

    /// The examples of this crate, built here because `cargo test --test it` does not build them.
    pub fn rust() -> Self {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(ROOT).args([
            "build",
            "--quiet",
            "--locked",
            "--features",
            "cli",
            "--example",
            "publish",
            "--example",
            "subscribe",
        ]);
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        // Build scripts that read these variables would run again.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_PKG_") {
                cargo.env_remove(&*name);
            }
        }
        run(&mut cargo);
        let tests = std::env::current_exe().unwrap();
        let profile = tests.parent().and_then(Path::parent).unwrap();
        Self {
            folder: profile.join("examples"),
            runtime: None,
        }
    }

    /// A program with the port of the Topics server.
    pub fn command(&self, arguments: &[&str], port: u16) -> Command {
        let mut command = match &self.runtime {
            Some(runtime) => Command::new(runtime),
            None => Command::new(self.folder.join(arguments[0])),
        };
        let rest = if self.runtime.is_some() { 0 } else { 1 };
        command
            .args(&arguments[rest..])
            .current_dir(&self.folder)
            .env("MOMENTO_PORT", port.to_string())
            .env_remove("MOMENTO_API_KEY")
            .env_remove("MOMENTO_ENDPOINT")
            .env("NO_PROXY", "127.0.0.1");
        command
    }
}

/// The runtime, or `None` and a printed sentence if its version does not fit.
fn found<T>(name: &str, ask: &str, fits: impl Fn(&str) -> Option<T>) -> Option<PathBuf> {
    let version = Command::new(name).arg(ask).output().ok();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    if version.as_deref().map(str::trim).and_then(fits).is_some() {
        return Some(name.into());
    }
    println!("skipped: expected `{name}`, new enough for the SDK, found {version:?}");
    None
}

/// A folder with the SDK and the programs that use it. Dependencies are installed once.
fn installed(language: &str, needs: &[&str], install: impl FnOnce(&Path)) -> PathBuf {
    let examples = Path::new(ROOT).join("examples/clients").join(language);
    let needs: Vec<_> = needs
        .iter()
        .map(|name| (name, fs::read(examples.join(name)).unwrap()))
        .collect();
    let all = needs.iter().flat_map(|(_, bytes)| bytes).copied();
    let all = ring::digest::digest(&ring::digest::SHA256, &all.collect::<Vec<_>>());
    let name = format!("clients-{language}-{}", &hex::encode(all)[..12]);
    let workspace = Workspace::find().unwrap();
    let folder = workspace.dir().join(name);
    let lock = lock_file(&folder.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    let complete = folder.join("complete");
    if !complete.exists() {
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        for (name, bytes) in needs {
            fs::write(folder.join(name), bytes).unwrap();
        }
        install(&folder);
        fs::write(complete, "").unwrap();
    }
    for from in [examples, Path::new(ROOT).join("tests/clients")] {
        for file in fs::read_dir(from).unwrap() {
            let file = file.unwrap().path();
            if matches!(
                file.extension().and_then(|end| end.to_str()),
                Some("mjs" | "py")
            ) {
                put(&file, &folder);
            }
        }
    }
    folder
}

/// Copies a file only if it differs, since another test may be reading it.
fn put(file: &Path, folder: &Path) {
    let to = folder.join(file.file_name().unwrap());
    let bytes = fs::read(file).unwrap();
    if fs::read(&to).ok().as_ref() != Some(&bytes) {
        fs::write(to, bytes).unwrap();
    }
}

fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
}

/// A program that prints lines until it is killed.
pub struct Follower {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Follower {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            let mut lines = out.lines().map_while(Result::ok);
            lines.try_for_each(|line| sender.send(line))
        });
        Self { child, lines }
    }

    /// The next line. The program shares this process's stderr.
    pub fn line(&mut self) -> String {
        self.lines.recv_timeout(LINE_TIMEOUT).expect("a line")
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
