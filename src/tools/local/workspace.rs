//! The local stack's folder: `target/bridge` beside the crate's `Cargo.toml`, or `.workflow-bridge` in a project outside of the
//! clone.
//!
//! A held lock file marks the folder of a living process: the system releases the lock when the process ends, even by a
//! crash. Process ids are in folder names for people only.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

const PACKAGE: &str = "name = \"workflow-bridge\"";
const LOCK: &str = "lock";
const STATE: &str = "local.json";
const RUN_PREFIX: &str = "run-";

/// The crate's folder and the local stack's folder.
#[derive(Clone, Debug)]
pub struct Workspace {
    root: PathBuf,
    dir: PathBuf,
    /// The folder of a project outside of the clone.
    project: Option<PathBuf>,
}

/// The addresses and secrets of a running local stack, for other commands. Kept in a file of mode 0600.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub pid: u32,
    /// Milliseconds since the epoch; other commands use the newest running stack.
    pub started_at: u64,
    pub topics_endpoint: String,
    pub api_key: String,
    pub cache: String,
    pub aws_endpoint: String,
    /// The emulator's account, used as the access key id.
    pub account: String,
    pub webhook_url: String,
    pub signing_secret: String,
    /// Whether a relay delivers the messages, in place of webhooks.
    #[serde(default)]
    pub relay: bool,
    /// The template's outputs; empty in the state of an older version.
    #[serde(default)]
    pub outputs: BTreeMap<String, String>,
    /// The address of its console, without the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console: Option<String>,
}

/// The number of this process's run folders.
static RUN_FOLDERS: AtomicUsize = AtomicUsize::new(0);

/// Time for other threads to remove their run folders before the process ends.
pub const REMOVED_WITHIN: Duration = Duration::from_secs(5);

/// Waits until the run folders of this process are removed; false if that takes longer than `within`.
///
/// Tasks that own one are dropped on other threads. Without this, the process may end first, and a folder of several hundred MB
/// stays until the next start.
pub fn await_removal(within: Duration) -> bool {
    let end = Instant::now() + within;
    let is_there = || RUN_FOLDERS.load(Ordering::Acquire) > 0;
    while is_there() && Instant::now() < end {
        sleep(Duration::from_millis(5));
    }
    !is_there()
}

/// One run's own folder; removed when dropped.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    _lock: File,
}

impl Workspace {
    /// The file of a project that names the clone on this machine.
    pub const CONNECTION: &'static str = ".workflow-bridge/clone";

    /// Finds the crate, or a project connected with one, upwards from the current directory.
    pub fn find() -> Result<Self> {
        let here = std::env::current_dir().context("cannot find the current directory")?;
        Self::above(&here)
    }

    fn above(here: &Path) -> Result<Self> {
        for dir in here.ancestors() {
            if is_crate(dir) {
                return Self::new(dir, &shared(dir));
            }
            let connection = dir.join(Self::CONNECTION);
            if let Ok(root) = fs::read_to_string(&connection) {
                let root = Path::new(root.trim_end());
                if !is_crate(root) {
                    bail!(
                        "expected a clone of workflow-bridge in `{}`, which `{}` names, found none: run `cargo bridge init {}` in the clone",
                        root.display(),
                        connection.display(),
                        dir.display(),
                    );
                }
                let scratch = connection.parent().unwrap_or(dir);
                let project = Some(dir.to_owned());
                return Ok(Self {
                    project,
                    ..Self::new(root, scratch)?
                });
            }
        }
        bail!(
            "expected to be run inside a clone of workflow-bridge or a project of `cargo bridge init`, found none in `{}` or above it: change into the clone first",
            here.display(),
        );
    }

    /// A workspace for the crate in `root` that writes to `dir`.
    pub fn new(root: &Path, dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("cannot create `{}`", dir.display()))?;
        Ok(Self {
            root: root.to_owned(),
            dir: dir.to_owned(),
            project: None,
        })
    }

    /// The folder of a project outside of the clone; `None` in the clone.
    pub fn project(&self) -> Option<&Path> {
        self.project.as_deref()
    }

    /// The project, or the clone: the folder that the commands work on.
    pub fn folder(&self) -> &Path {
        self.project().unwrap_or(&self.root)
    }

    /// The folders with the emulator: the clone's, if it is installed there, and its own.
    pub(super) fn installed(&self) -> [PathBuf; 2] {
        [shared(&self.root), self.dir.clone()]
    }

    /// The crate's folder, with `Cargo.toml` and `template.yaml`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `target/bridge`, or `.workflow-bridge` of a project.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes a folder for this run, and removes those of ended runs.
    pub fn run_folder(&self) -> Result<RunFolder> {
        let _guard = self.lock()?;
        self.sweep()?;
        let name = format!(
            "{RUN_PREFIX}{}-{:08x}",
            std::process::id(),
            rand::random::<u32>()
        );
        let path = self.dir.join(name);
        fs::create_dir(&path).with_context(|| format!("cannot create `{}`", path.display()))?;
        let lock = lock_file(&path.join(LOCK))?;
        lock.lock().context("cannot lock the run folder")?;
        RUN_FOLDERS.fetch_add(1, Ordering::Release);
        Ok(RunFolder { path, _lock: lock })
    }

    /// The running local stacks, newest first. Removes the folders of dead ones.
    pub fn running(&self) -> Result<Vec<State>> {
        let _guard = self.lock()?;
        let mut states: Vec<State> = Vec::new();
        for folder in self.sweep()? {
            match fs::read(folder.join(STATE)) {
                Ok(bytes) => states.push(serde_json::from_slice(&bytes).with_context(|| {
                    format!("expected the state of a local stack in `{}`, found something else: stop that stack and start it again", folder.display())
                })?),
                // Still starting.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", folder.display())),
            }
        }
        states.sort_by_key(|state| std::cmp::Reverse(state.started_at));
        Ok(states)
    }

    /// Held while folders are made and removed, so that no folder is swept between its creation and its lock.
    fn lock(&self) -> Result<File> {
        let lock = lock_file(&self.dir.join(LOCK))?;
        lock.lock()
            .with_context(|| format!("cannot lock `{}`", self.dir.display()))?;
        Ok(lock)
    }

    /// Removes the folders of dead owners and returns the others.
    fn sweep(&self) -> Result<Vec<PathBuf>> {
        let mut live = Vec::new();
        for entry in fs::read_dir(&self.dir)
            .with_context(|| format!("cannot read `{}`", self.dir.display()))?
        {
            let path = entry?.path();
            let is_run = path
                .file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.starts_with(RUN_PREFIX));
            if !is_run {
                continue;
            }
            // The folder may vanish meanwhile: its owner removes it without this lock.
            let held = match lock_file(&path.join(LOCK)) {
                Ok(lock) => matches!(lock.try_lock(), Err(TryLockError::WouldBlock)),
                Err(_) => false,
            };
            if held {
                live.push(path);
            } else {
                // The next sweep repeats a failed removal.
                let _ = fs::remove_dir_all(&path);
            }
        }
        Ok(live)
    }
}

impl RunFolder {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that outlives the run: `target/bridge`.
    pub fn workspace(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// Writes the state for other commands, atomically and with mode 0600.
    pub fn publish_state(&self, state: &State) -> Result<()> {
        let draft = self.path.join("local.json.new");
        let write = || -> std::io::Result<()> {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&draft)?;
            file.write_all(&serde_json::to_vec_pretty(state)?)?;
            fs::rename(&draft, self.path.join(STATE))
        };
        write().with_context(|| format!("cannot write the state file in `{}`", self.path.display()))
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        // A process that ends at this moment may still write or remove a file: then removing fails, even with `NotFound`.
        for _ in 0..20 {
            if fs::remove_dir_all(&self.path).is_ok() || !self.path.exists() {
                break;
            }
            sleep(Duration::from_millis(10));
        }
        RUN_FOLDERS.fetch_sub(1, Ordering::Release);
    }
}

/// The local stack's folder of a clone.
fn shared(root: &Path) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or("target".into(), PathBuf::from);
    root.join(target).join("bridge")
}

/// Whether a folder is a clone of workflow-bridge.
pub fn is_crate(dir: &Path) -> bool {
    fs::read_to_string(dir.join("Cargo.toml"))
        .is_ok_and(|text| text.lines().any(|line| line.trim() == PACKAGE))
}

/// Opens a file to lock, and makes it if it is missing. Dropping the handle releases the lock.
pub fn lock_file(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .with_context(|| format!("cannot open `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::testing::scratch::Scratch;

    fn state(started_at: u64) -> State {
        State {
            started_at,
            ..State::default()
        }
    }

    #[test]
    fn the_newest_running_stack_comes_first_and_dead_ones_are_removed() {
        let scratch = Scratch::new();
        let workspace = Workspace::new(scratch.path(), &scratch.path().join("with space")).unwrap();
        let old = workspace.run_folder().unwrap();
        old.publish_state(&state(1)).unwrap();
        let new = workspace.run_folder().unwrap();
        new.publish_state(&state(2)).unwrap();
        let _starting = workspace.run_folder().unwrap();

        // The rest of a killed process: a folder, a state and a free lock.
        let dead = workspace.dir().join("run-1-00000000");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join(LOCK), "").unwrap();
        fs::write(dead.join(STATE), serde_json::to_vec(&state(3)).unwrap()).unwrap();

        assert_eq!(workspace.running().unwrap(), [state(2), state(1)]);
        assert!(!dead.exists());

        let gone = new.path().to_owned();
        drop(new);
        assert!(!gone.exists());
        assert_eq!(workspace.running().unwrap(), [state(1)]);
    }

    #[test]
    fn a_stack_of_an_older_version_is_found() {
        let mut old = serde_json::to_value(state(1)).unwrap();
        old.as_object_mut().unwrap().remove("outputs");
        let read: State = serde_json::from_value(old).unwrap();
        assert_eq!(read, state(1));
    }

    #[test]
    fn only_the_owner_reads_the_state() {
        let scratch = Scratch::new();
        let workspace = Workspace::new(scratch.path(), scratch.path()).unwrap();
        let run = workspace.run_folder().unwrap();
        run.publish_state(&state(1)).unwrap();
        let mode = fs::metadata(run.path().join(STATE))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_project_names_its_clone() {
        let scratch = Scratch::new();
        let project = scratch.path().join("mine");
        let inner = project.join("function");
        fs::create_dir_all(&inner).unwrap();
        fs::create_dir(project.join(".workflow-bridge")).unwrap();
        let connect = |text: &str| fs::write(project.join(Workspace::CONNECTION), text).unwrap();
        let clone = Path::new(env!("CARGO_MANIFEST_DIR"));
        connect(&format!("{}\n", clone.display()));
        let workspace = Workspace::above(&inner).unwrap();
        assert_eq!(workspace.root(), clone);
        assert_eq!(workspace.project(), Some(project.as_path()));
        assert_eq!(workspace.folder(), project);
        assert_eq!(workspace.dir(), project.join(".workflow-bridge"));

        connect("/no/such/clone\n");
        let error = Workspace::above(&inner).unwrap_err().to_string();
        assert!(
            error.contains("`/no/such/clone`") && error.contains("cargo bridge init"),
            "{error}"
        );
        let own = Workspace::above(&clone.join("src")).unwrap();
        assert_eq!((own.root(), own.project()), (clone, None));
        assert_eq!(own.folder(), clone);
    }

    #[test]
    fn the_crate_is_found_by_its_name() {
        assert!(is_crate(Path::new(env!("CARGO_MANIFEST_DIR"))));
        let scratch = Scratch::new();
        fs::write(
            scratch.path().join("Cargo.toml"),
            "[package]\nname = \"other\"\n",
        )
        .unwrap();
        assert!(!is_crate(scratch.path()));
    }
}
