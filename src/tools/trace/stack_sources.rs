//! The sources of a deployed stack, on AWS or in the emulator.

use aws_config::SdkConfig;

use super::history::History;
use super::ledger::LedgerTable;
use super::letters::DeadLetters;
use super::links::Stack;
use super::logs::CloudWatchLogs;
use super::model::Part;
use super::sources::Sources;

/// Logs, executions, ledger and queues by the outputs of a stack.
pub struct StackSources {
    logs: CloudWatchLogs,
    workflows: History,
    ledger: LedgerTable,
    letters: DeadLetters,
}

impl StackSources {
    /// Without an output, its source fails when it is queried.
    pub fn new(config: &SdkConfig, stack: &Stack) -> Self {
        let groups = Part::LOGGING.into_iter();
        let groups = groups.filter_map(|part| Some((part, stack.log_group(part)?.to_owned())));
        let table = stack.outputs.get("LedgerTableName").cloned();
        Self {
            logs: CloudWatchLogs::new(config, groups.collect()),
            workflows: History::new(config),
            ledger: LedgerTable::new(config, table.unwrap_or_default()),
            letters: DeadLetters::new(config, &stack.outputs),
        }
    }

    pub fn all(&self) -> Sources<'_> {
        Sources {
            logs: &self.logs,
            workflows: &self.workflows,
            ledger: &self.ledger,
            letters: &self.letters,
        }
    }
}
