//! A project outside of the clone: a workflow with a README.

use std::path::Path;

use super::{Scaffold, TEMPLATE, deployment};

/// The scratch folder of a project, and what else is of one machine.
const IGNORED: &str =
    "/.workflow-bridge/\n/.cargo/\n/.aws-sam/\n__pycache__/\nnode_modules/\ntarget/\n";

/// The files of a project around those of its workflow `name`.
pub fn project(name: &str, made: Scaffold) -> Scaffold {
    let (above, here) = (deployment(name, name), deployment(".", name));
    let mut files = made.files;
    for (file, text) in &mut files {
        if file == TEMPLATE {
            *text = text
                .replace("# In the folder above, beside", "# In this folder, beside")
                .replace(&above, &here);
        }
    }
    let topic = |topics: &[String], default: &str| {
        topics
            .first()
            .map_or_else(|| default.to_owned(), Clone::clone)
    };
    let (inbound, outbound) = (
        topic(&made.inbound, "TOPIC"),
        topic(&made.outbound, "TOPIC"),
    );
    let contents = files.iter().map(|(file, _)| format!("`{file}`"));
    let contents = contents.collect::<Vec<_>>().join(", ");
    let readme = format!(
        "# {name}

A workflow of workflow-bridge: {contents}. In this folder, each in a terminal of its own:

    cargo bridge local
    cargo bridge tail {outbound}
    cargo bridge publish {inbound} {sample}

`cargo bridge check {TEMPLATE}` finds mistakes. The deployment, beside a deployed bridge: `{here}`.
On another machine, run `cargo bridge init` with this folder in a clone of workflow-bridge first.
",
        sample = made.sample,
    );
    files.push(("README.md".to_owned(), readme));
    files.push((".gitignore".to_owned(), IGNORED.to_owned()));
    Scaffold { files, ..made }
}

/// The cargo configuration with the command `cargo bridge` of the clone, for one machine.
pub fn alias(clone: &Path) -> String {
    let manifest = serde_json::Value::from(clone.join("Cargo.toml").to_string_lossy());
    format!(
        "# Made by `cargo bridge init` for this machine.\n[alias]\nbridge = [\"run\", \"--manifest-path\", {manifest}, \"--features\", \"cli\", \"--bin\", \"bridge\", \"--\"]\n"
    )
}
