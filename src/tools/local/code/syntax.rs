//! The syntax of changed files, checked by their interpreter before they replace the code of a running function.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::Code;
use crate::tools::local::process::{Guarded, command, last_lines};

/// Compiles a file and runs nothing of it.
const COMPILE: &str = "import sys; compile(open(sys.argv[1], 'rb').read(), sys.argv[1], 'exec')";

/// Lines of an error.
const SHOWN: usize = 8;

/// Checks those of the files that are sources of this function.
///
/// # Errors
///
/// When one is not valid: the interpreter's words.
pub async fn check(code: &Code, python: &Path, files: &[PathBuf]) -> Result<()> {
    for file in files.iter().filter(|file| file.is_file()) {
        let suffix = file.extension().and_then(OsStr::to_str);
        let mut checking = match (code, suffix) {
            (Code::Python(folder), Some("py")) if file.starts_with(folder) => {
                let mut checking = command(python);
                checking.args(["-c", COMPILE]);
                checking
            }
            (Code::Node(folder), Some("js" | "mjs" | "cjs")) if file.starts_with(folder) => {
                let mut checking = command("node");
                checking.arg("--check");
                checking
            }
            _ => continue,
        };
        checking.arg(file);
        let done = Guarded::output(checking).await?;
        if !done.status.success() {
            let why = last_lines(done.output.trim_end(), SHOWN);
            bail!("`{}` is not valid:\n{why}", file.display());
        }
    }
    Ok(())
}
