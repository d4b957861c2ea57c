//! The command line in a folder of its own.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use workflow_bridge::tools::local::Account;
use workflow_bridge::tools::local::workspace::{RunFolder, State, Workspace};

/// A folder in which the command line finds this running local stack.
pub struct Desk {
    folder: PathBuf,
    _run: RunFolder,
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Desk {
    pub fn of(state: &State) -> Self {
        let folder = std::env::temp_dir().join(format!("bridge-trace-{}", Account::fresh_id()));
        let root = Workspace::find().unwrap().root().to_owned();
        let workspace = Workspace::new(&root, &folder.join("bridge")).unwrap();
        let run = workspace.run_folder().unwrap();
        run.publish_state(state).unwrap();
        Self { folder, _run: run }
    }

    pub async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        tokio::task::spawn_blocking(move || command.output())
            .await
            .unwrap()
            .unwrap()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bridge"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
            command.env_remove(name);
        }
        command
            .args(arguments)
            .env("CARGO_TARGET_DIR", &self.folder)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_CONFIG_FILE", "/nonexistent")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
            .env_remove("MOMENTO_API_KEY")
            .env_remove("MOMENTO_ENDPOINT")
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(Stdio::null());
        command
    }
}
