//! A workflow in another stack. The statements and the rule of a bridge that collects routes have to cover it by its name.

use crate::tools::template::{ACCOUNT, REGION, STACK};

/// The state machines of a bridge, for findings.
pub const MACHINES: &str = "state machines `${AWS::StackName}_*`";

/// The ARN of its state machine.
pub fn machine() -> String {
    named(STACK)
}

/// The ARN of one of its executions.
pub fn execution() -> String {
    format!(
        "{}:one",
        machine().replacen(":stateMachine:", ":execution:", 1)
    )
}

/// The ARN of a state machine of another bridge, whose stack's name begins like this one's.
pub fn neighbour() -> String {
    named(&format!("{STACK}-2"))
}

fn named(stack: &str) -> String {
    format!("arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{stack}_of-another-stack")
}
