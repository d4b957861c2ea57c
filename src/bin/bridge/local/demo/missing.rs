//! Why a result did not come: the message's way so far, the queues and the logs.

use anyhow::{Context, Result};
use workflow_bridge::adapters::aws::sqs::SqsQueue;
use workflow_bridge::tools::local::Stack;
use workflow_bridge::tools::local::flow::Happening;
use workflow_bridge::tools::local::process::last_lines;

/// The message's way so far.
#[derive(Default)]
pub struct Path {
    answered: Option<(bool, String)>,
    execution: Option<(String, Option<String>)>,
    /// Started executions that have not ended.
    pub open: usize,
}

impl Path {
    /// Begins the way of the next message; executions of earlier ones may still be open.
    pub fn begin(&mut self) {
        (self.answered, self.execution) = (None, None);
    }

    pub fn note(&mut self, happening: &Happening) {
        match happening {
            Happening::Published { .. } => {}
            Happening::Answered { status, answer, .. } => {
                let answered = match status {
                    Ok(code) => format!("{code} {}", answer.code),
                    Err(reason) => reason.clone(),
                };
                let outcomes = || answer.targets.iter().map(|target| target.outcome.as_str());
                self.open += outcomes().filter(|outcome| *outcome == "started").count();
                let taken = ["started", "event_put", "resumed"];
                let taken = outcomes().any(|outcome| taken.contains(&outcome));
                self.answered = Some((*status == Ok(200) && taken, answered));
            }
            Happening::Execution {
                status, failure, ..
            } => {
                if status != "RUNNING" {
                    self.open = self.open.saturating_sub(1);
                }
                self.execution = Some((status.clone(), failure.clone()));
            }
        }
    }

    /// The first missing hop.
    pub fn explain(&self) -> String {
        match (&self.answered, &self.execution) {
            (None, _) => "the webhook was not called, or did not answer".to_owned(),
            (Some((false, answer)), _) => {
                format!("no target took the message: the webhook answered `{answer}`")
            }
            (Some(_), None) => "no execution has ended so far".to_owned(),
            (Some(_), Some((status, failure))) if status != "SUCCEEDED" => {
                let failure = failure.as_deref();
                let failure = failure.map_or(String::new(), |text| format!(": {text}"));
                format!("the execution is {status}{failure}")
            }
            _ => "the execution succeeded, but its result was not published: see the queues and the completion function below".to_owned(),
        }
    }
}

/// Hints at the cause: messages left in queues, and the last log lines of functions and emulator.
pub async fn evidence(stack: &Stack) -> String {
    let queues = match waiting(stack).await {
        Ok(lines) if lines.is_empty() => "    (all empty)".to_owned(),
        Ok(lines) => lines.join("\n"),
        Err(error) => format!("    ({error:#})"),
    };
    let logs = match stack.logs().await {
        Ok(text) if text.is_empty() => "    (they printed nothing)".to_owned(),
        Ok(text) => last_lines(&text, 30),
        Err(error) => format!("    ({error:#})"),
    };
    format!(
        "queues:\n{queues}\n\nlast log lines of the functions:\n{logs}\n\nlast lines of the emulator:\n{}",
        stack.emulator().last_words()
    )
}

/// A line for each queue with messages.
async fn waiting(stack: &Stack) -> Result<Vec<String>> {
    let config = stack.account().config();
    let queues = aws_sdk_sqs::Client::new(config).list_queues().send().await;
    let queues = queues.context("cannot list the queues")?;
    let mut lines = Vec::new();
    for url in queues.queue_urls() {
        let depth = SqsQueue::new(config, url.clone()).depth().await;
        let depth = depth.with_context(|| format!("cannot read the depth of the queue `{url}`"))?;
        if depth.total() > 0 {
            let name = url.rsplit('/').next().unwrap_or(url);
            lines.push(format!(
                "    {name}: {} waiting, {} being worked on",
                depth.visible + depth.delayed,
                depth.held
            ));
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_missing_hop_is_named() {
        let mut path = Path::default();
        assert!(path.explain().contains("not called"));
        path.answered = Some((false, "503 not_stored".into()));
        assert!(path.explain().contains("`503 not_stored`"));
        path.answered = Some((true, "200 accepted".into()));
        assert!(path.explain().contains("no execution"));
        path.execution = Some(("FAILED".into(), Some("Boom: why".into())));
        assert!(path.explain().contains("FAILED: Boom: why"));
        path.execution = Some(("SUCCEEDED".into(), None));
        assert!(path.explain().contains("not published"));
    }
}
