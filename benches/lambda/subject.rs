//! The measured programs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::events;

/// The sizes of the texts, in bytes, and their names.
pub const SIZES: [(usize, &str); 3] = [(200, "200 B"), (4_000, "4 KB"), (LARGE, "200 KB")];
pub const LARGE: usize = 200_000;

/// The subject with collected routes.
pub const COLLECTED: &str = "webhook-collected";

/// The subjects, each with its program in the folder of the builds; a program's first folder is its package.
pub const SUBJECTS: [(&str, &str); 8] = [
    ("webhook", "shipped/release/webhook"),
    (COLLECTED, "shipped/release/webhook"),
    ("floor", "floor/release/floor"),
    ("afternoon", "afternoon/release/webhook"),
    ("node", "node/dist/webhook.mjs"),
    ("completion", "shipped/release/completion"),
    ("afternoon-completion", "afternoon/release/completion"),
    ("node-completion", "node/dist/completion.mjs"),
];

/// The folder of all builds.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers")
}

/// Node.js: the newest LTS that Lambda offers, from its package.
pub fn node() -> PathBuf {
    folder().join("node/node_modules/node/bin/node")
}

/// The subject that a subject's ratios refer to.
pub fn reference(name: &str) -> &'static str {
    match name {
        COLLECTED => "webhook",
        name if name.ends_with("completion") => "afternoon-completion",
        _ => "afternoon",
    }
}

/// One program, ready to run.
pub struct Subject {
    pub name: &'static str,
    /// The program, or Node.js and its script.
    pub command: Vec<PathBuf>,
    /// Size of the deployed file: the binary, or the bundle without Node.js.
    pub bytes: u64,
}

impl Subject {
    pub fn new(name: &'static str, file: &Path) -> Result<Self> {
        let found = fs::metadata(file);
        let found = found.with_context(|| format!("cannot read {}", file.display()))?;
        let is_script = file.extension().is_some_and(|extension| extension == "mjs");
        let interpreter = is_script.then(node);
        Ok(Self {
            name,
            command: interpreter.into_iter().chain([file.to_owned()]).collect(),
            bytes: found.len(),
        })
    }

    /// Whether its events are ends with a value to publish; the others get a signed message.
    pub fn publishes(&self) -> bool {
        self.name.ends_with("completion")
    }

    pub fn starts_an_execution(&self) -> bool {
        !self.publishes() && self.name != "floor"
    }

    /// Its event number `number`, with a text of `size` bytes.
    pub fn event(&self, number: usize, size: usize) -> String {
        events::event(self.publishes(), number, size)
    }

    pub fn sizes(&self) -> impl Iterator<Item = (usize, &'static str)> {
        // A topic message has at most 4,096 bytes.
        let largest = if self.publishes() { 4_096 } else { LARGE };
        SIZES.into_iter().filter(move |(size, _)| *size <= largest)
    }
}
