//! The token of the local console, in a file of its own user.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, Result};

/// The file's name.
const FILE: &str = "console-token";

/// Hex digits of a token.
const DIGITS: usize = 64;

/// A new token: 256 bits in hex.
pub fn fresh() -> String {
    let bytes: [u8; DIGITS / 2] = rand::random();
    hex::encode(bytes)
}

/// The token in `folder`, made at the first call, so that an open page survives a restart.
///
/// # Errors
///
/// When the file cannot be read or written.
pub fn kept(folder: &Path) -> Result<String> {
    let path = folder.join(FILE);
    let name = || format!("cannot keep the console's token in `{}`", path.display());
    match fs::read_to_string(&path) {
        Ok(token) if is_token(&token) && is_private(&path) => return Ok(token),
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).with_context(name),
        _ => {}
    }
    let token = fresh();
    let draft = folder.join(format!("{FILE}.{}", &token[..8]));
    let write = || -> std::io::Result<()> {
        let mut options = fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)?;
        file.write_all(token.as_bytes())?;
        fs::rename(&draft, &path)
    };
    write().with_context(name)?;
    Ok(token)
}

fn is_token(text: &str) -> bool {
    text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether only its owner can read it.
fn is_private(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o077 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::scratch::Scratch;

    #[test]
    fn a_token_survives_a_restart_and_is_private() {
        let scratch = Scratch::new();
        let token = kept(scratch.path()).unwrap();
        assert!(is_token(&token), "{token}");
        assert_eq!(kept(scratch.path()).unwrap(), token);
        assert!(is_private(&scratch.path().join(FILE)));
        assert_ne!(fresh(), token);
    }

    #[test]
    fn a_broken_or_public_token_is_replaced() {
        let scratch = Scratch::new();
        let path = scratch.path().join(FILE);
        let token = kept(scratch.path()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let other = kept(scratch.path()).unwrap();
        assert_ne!(other, token);
        fs::write(&path, "short").unwrap();
        let third = kept(scratch.path()).unwrap();
        assert!(is_token(&third) && third != other);
        assert!(is_private(&path));
    }
}
