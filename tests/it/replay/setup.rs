//! Queues in the emulator and a command line that finds them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use aws_sdk_sqs::Client;
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;
use workflow_bridge::tools::local::workspace::{RunFolder, State, Workspace};
use workflow_bridge::tools::local::{Account, Emulator, Port};
use workflow_bridge::tools::terminal::Progress;

pub static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));
static EMULATOR: OnceCell<Emulator> = OnceCell::const_new();

const QUEUES: [&str; 4] = [
    "DeadLetterQueue",
    "ParkedQueue",
    "CompletionsDeadLetterQueue",
    "CompletionsQueue",
];

/// Four queues in an account of their own, and a state file that presents them as a running local stack.
pub struct Setup {
    pub account: Account,
    pub urls: BTreeMap<String, String>,
    folder: PathBuf,
    _run: RunFolder,
}

impl Drop for Setup {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn emulator() -> &'static Emulator {
    let start = || async {
        let workspace = Workspace::find().unwrap();
        Emulator::start(&workspace, Port::Free, &Progress::silent())
            .await
            .unwrap_or_else(|e| panic!("the emulator does not start: {e:#}"))
    };
    EMULATOR.get_or_init(start).await
}

impl Setup {
    pub async fn new() -> Self {
        let account = Account::new(emulator().await.endpoint(), &Account::fresh_id());
        let mut urls = BTreeMap::new();
        for name in QUEUES {
            let queue = Client::new(account.config()).create_queue();
            let queue = queue.queue_name(name).send().await.unwrap();
            urls.insert(format!("{name}Url"), queue.queue_url.unwrap());
        }
        let folder = std::env::temp_dir().join(format!("bridge-replay-{}", Account::fresh_id()));
        let root = Workspace::find().unwrap().root().to_owned();
        let run = Workspace::new(&root, &folder.join("bridge")).unwrap();
        let run = run.run_folder().unwrap();
        let state = State {
            pid: std::process::id(),
            started_at: 1,
            topics_endpoint: String::new(),
            api_key: String::new(),
            cache: String::new(),
            aws_endpoint: account.endpoint().to_owned(),
            account: account.id().to_owned(),
            webhook_url: String::new(),
            signing_secret: String::new(),
            relay: false,
            outputs: urls.clone(),
            console: None,
        };
        run.publish_state(&state).unwrap();
        Self {
            account,
            urls,
            folder,
            _run: run,
        }
    }

    pub fn url(&self, queue: &str) -> &str {
        &self.urls[&format!("{queue}Url")]
    }

    pub async fn send(&self, queue: &str, body: &str) {
        let call = Client::new(self.account.config()).send_message();
        let call = call.queue_url(self.url(queue)).message_body(body);
        call.send().await.unwrap();
    }

    /// All messages that a queue delivers now; messages in flight are not awaited.
    pub async fn bodies(&self, queue: &str) -> Vec<String> {
        let mut bodies = Vec::new();
        loop {
            let call = Client::new(self.account.config()).receive_message();
            let call = call.queue_url(self.url(queue)).max_number_of_messages(10);
            let output = call.send().await.unwrap();
            if output.messages().is_empty() {
                bodies.sort();
                return bodies;
            }
            bodies.extend(
                output
                    .messages
                    .unwrap_or_default()
                    .into_iter()
                    .filter_map(|m| m.body),
            );
        }
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bridge"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
            command.env_remove(name);
        }
        command
            .arg("replay")
            .args(arguments)
            .env("CARGO_TARGET_DIR", &self.folder)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_CONFIG_FILE", "/nonexistent")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the command without blocking the emulator's other users.
    pub async fn replay(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        tokio::task::spawn_blocking(move || command.output())
            .await
            .unwrap()
            .unwrap()
    }
}
