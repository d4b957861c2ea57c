//! The ids of the ledger: one for each event with publications.

/// The id of an execution's end. A redriven execution ends again under its ARN, so the count of redrives is part of it.
pub fn end_id(execution_arn: &str, redrive_count: u32) -> String {
    format!("{execution_arn}#{redrive_count}")
}

/// The id of the announcement that an execution started. Redrives start it again, without another announcement.
pub fn started_id(execution_arn: &str) -> String {
    format!("{execution_arn}#started")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_of_an_execution_has_an_id() {
        let arn =
            "arn:aws:states:us-east-1:123456789012:execution:Uppercase:r-t-1-0123456789abcdef";
        assert_eq!(end_id(arn, 0), format!("{arn}#0"));
        assert_ne!(end_id(arn, 0), end_id(arn, 1));
    }
}
