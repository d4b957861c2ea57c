//! The stack of a console.

/// The stack, as its pages show it.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// For people: "the local stack", or its name and region.
    pub name: String,
    pub local: bool,
    /// Whether pages may change something.
    pub changes: bool,
    /// Values that no page may show: keys and secrets.
    pub secrets: Vec<String>,
}

impl Shown {
    /// The text without keys and secrets.
    pub fn redacted(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in self.secrets.iter().filter(|one| !one.is_empty()) {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), "(secret)");
            }
        }
        text
    }
}
