//! Secrets on a plain host: in a file, or given once.

use std::path::PathBuf;

use crate::domain::fault::Fault;
use crate::domain::ports::{Answer, Secrets, Stage};

/// A file with the secret; one trailing line break is ignored. Each fetch reads the file, so a new secret takes effect at the
/// next refusal. It has no previous secret.
pub struct SecretFile(pub PathBuf);

/// A secret that never changes.
pub struct SecretText(pub String);

impl Secrets for SecretFile {
    fn fetch(&self, stage: Stage) -> Answer<'_, Option<String>> {
        Box::pin(async move {
            if stage == Stage::Previous {
                return Ok(None);
            }
            let text = tokio::fs::read_to_string(&self.0).await.map_err(|error| {
                Fault::later(
                    "CannotRead",
                    format!("expected a secret in `{}`: {error}", self.0.display()),
                )
            })?;
            Ok(Some(without_line_break(text)))
        })
    }
}

impl Secrets for SecretText {
    fn fetch(&self, stage: Stage) -> Answer<'_, Option<String>> {
        let text = (stage == Stage::Current).then(|| self.0.clone());
        Box::pin(async { Ok(text) })
    }
}

/// The text without one trailing line break.
pub fn without_line_break(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fault::FaultKind;
    use crate::testing::scratch::Scratch;

    #[test]
    fn one_trailing_line_break_is_ignored() {
        for (text, secret) in [
            ("s", "s"),
            ("s\n", "s"),
            ("s\r\n", "s"),
            ("s\n\n", "s\n"),
            (" s ", " s "),
        ] {
            assert_eq!(without_line_break(text.to_owned()), secret);
        }
    }

    #[tokio::test]
    async fn a_file_is_read_each_time() {
        let scratch = Scratch::new();
        let path = scratch.path().join("secret");
        let secret = SecretFile(path.clone());
        let missing = secret.fetch(Stage::Current).await.unwrap_err();
        assert_eq!(missing.kind, FaultKind::Later);
        for text in ["one\n", "two"] {
            std::fs::write(&path, text).unwrap();
            let found = secret.fetch(Stage::Current).await.unwrap();
            assert_eq!(found.as_deref(), Some(text.trim_end()));
        }
        assert_eq!(secret.fetch(Stage::Previous).await, Ok(None));
    }
}
