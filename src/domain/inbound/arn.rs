//! The ARNs of state machines and executions.

/// The ARN of the state machine behind the ARN of a version or an alias.
pub fn unqualified(arn: &str) -> &str {
    match arn.match_indices(':').nth(6) {
        Some((at, _)) => &arn[..at],
        None => arn,
    }
}

/// The ARN of an execution; `state_machine` may be the ARN of a version or an alias.
pub fn execution_arn(state_machine: &str, name: &str) -> String {
    let executions = unqualified(state_machine).replacen(":stateMachine:", ":execution:", 1);
    format!("{executions}:{name}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::inbound::routes::tests::MACHINE;

    #[test]
    fn qualifiers_are_cut_off() {
        assert_eq!(unqualified(&format!("{MACHINE}:live")), MACHINE);
        assert_eq!(unqualified(MACHINE), MACHINE);
    }

    #[test]
    fn an_execution_is_of_the_state_machine_itself() {
        let execution = MACHINE.replace(":stateMachine:", ":execution:") + ":n";
        assert_eq!(execution_arn(MACHINE, "n"), execution);
        assert_eq!(execution_arn(&format!("{MACHINE}:live"), "n"), execution);
    }
}
