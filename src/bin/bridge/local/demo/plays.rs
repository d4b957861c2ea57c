//! What the demonstrations publish and wait for, one for each workflow.

use super::{Play, Step, Text};

/// The one of `--once`.
pub const ONCE: &str = "uppercase";

pub const PLAYS: &[Play] = &[Play {
    name: "uppercase",
    about: "`hello` goes in, `HELLO` comes back",
    steps: &[
        Step::Publish {
            topic: "uppercase-in",
            text: Text::Fixed("hello"),
        },
        Step::Receive {
            topic: "uppercase-out",
            is: |text| text == "HELLO",
            what: "`HELLO`",
        },
    ],
}];
