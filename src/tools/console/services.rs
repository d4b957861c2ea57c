//! Step Functions and the queues of a deployed stack, on AWS or in the emulator.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use aws_sdk_sfn::Client;
use tokio::sync::Mutex;

use super::alarms::{self, Alarm};
use super::cloudwatch::CloudWatch;
use super::source::{Depth, History, Queues, Services};
use crate::adapters::aws::fault::fault;
use crate::adapters::aws::sqs::SqsQueue;
use crate::clock::now_ms;
use crate::domain::fault::Fault;
use crate::domain::inbound::routes::Routes;
use crate::domain::ports::{Answer, Verdict};
use crate::tools::execution::Executions;
use crate::tools::letters::{Dead, DeadQueue};
use crate::tools::place::Place;
use crate::tools::replay::choice::Choice;
use crate::tools::replay::reading::look;
use crate::tools::replay::run::{Job, Tally};
use crate::tools::trace::gather::gather;
use crate::tools::trace::model::{Report, Unanswered};
use crate::tools::trace::sources::missing;
use crate::tools::trace::subject::{Question, Subject};

/// Deadline for reading a queue.
const LOOK_WITHIN: Duration = Duration::from_secs(20);

/// The queues by their outputs.
const QUEUES: [(&str, &str, &str, &str); 4] = [
    (
        "parked",
        "messages that wait for the next try of their targets",
        "ParkedQueueUrl",
        "ParkedQueueConsole",
    ),
    (
        "dead letters",
        "messages that no target takes",
        "DeadLetterQueueUrl",
        "DeadLetterQueueConsole",
    ),
    (
        "completions",
        "results on their way to a topic",
        "CompletionsQueueUrl",
        "CompletionsQueueConsole",
    ),
    (
        "dead letters of results",
        "results that could not be published",
        "CompletionsDeadLetterQueueUrl",
        "CompletionsDeadLetterQueueConsole",
    ),
];

/// The services of a stack.
pub struct StackServices {
    place: Place,
    workflows: Client,
    metrics: CloudWatch,
    /// One reader of the letters at a time: a second one would find none.
    reading: Mutex<()>,
}

impl StackServices {
    pub fn new(place: Place) -> Self {
        Self {
            workflows: Client::new(&place.config),
            metrics: CloudWatch::new(&place.config),
            place,
            reading: Mutex::new(()),
        }
    }

    async fn depths(&self) -> Result<Vec<Depth>, Fault> {
        let mut depths = Vec::new();
        for (name, about, url, page) in QUEUES {
            let Some(url) = self.place.outputs.get(url) else {
                continue;
            };
            let queue = SqsQueue::new(&self.place.config, url.clone());
            let page = self.place.outputs.get(page);
            let page = page.filter(|_| !self.place.is_local());
            depths.push(Depth {
                name,
                about,
                now: queue.depth().await?,
                age: None,
                page: page.cloned(),
            });
        }
        Ok(depths)
    }

    /// Adds the ages of the queues that have messages.
    async fn add_ages(&self, depths: &mut [Depth]) -> Result<(), Fault> {
        let filled = depths.iter_mut().filter(|depth| depth.now.total() > 0);
        let mut filled: Vec<_> = filled.collect();
        if filled.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = filled.iter().map(|depth| self.queue(depth.name)).collect();
        let ages = self.metrics.ages(&names).await?;
        for (depth, age) in filled.iter_mut().zip(ages) {
            depth.age = age;
        }
        Ok(())
    }

    /// The name of a queue in SQS.
    fn queue(&self, name: &str) -> String {
        let output = QUEUES.iter().find(|(known, ..)| *known == name);
        let url = output.and_then(|(.., url, _)| self.place.outputs.get(*url));
        let name = url.and_then(|url| url.rsplit('/').next());
        name.unwrap_or_default().to_owned()
    }

    async fn alarms(&self, depths: &[Depth]) -> Result<Vec<Alarm>, Fault> {
        let stack = self.place.stack_name.as_deref();
        let found = self.metrics.alarms(stack).await?;
        let mut alarms = alarms::with_runbook(found, stack);
        if self.place.is_local() {
            let visible = |queue: &str| {
                let depth = depths.iter().find(|one| self.queue(one.name) == queue);
                depth.map(|depth| depth.now.visible)
            };
            alarms::evaluate(&mut alarms, visible);
        }
        Ok(alarms)
    }

    async fn all_queues(&self) -> Result<Queues, Fault> {
        let mut depths = self.depths().await?;
        let mut unread = Vec::new();
        let mut note = |source: &str, fault: Fault| unread.push(Unanswered::new(source, fault));
        if let Err(fault) = self.add_ages(&mut depths).await {
            note("CloudWatch for the ages of queues", fault);
        }
        let alarms = self.alarms(&depths).await;
        let alarms = alarms.unwrap_or_else(|fault| {
            note("CloudWatch for the alarms", fault);
            Vec::new()
        });
        Ok(Queues {
            depths,
            alarms,
            unread,
        })
    }
}

impl Services for StackServices {
    fn report<'a>(
        &'a self,
        subject: &'a str,
        routes: &'a Routes,
        payloads: bool,
    ) -> Answer<'a, Report> {
        Box::pin(async move {
            let parsed = Subject::parse(subject);
            let question = Question {
                asked: subject,
                subject: parsed.map_err(|text| Fault::permanent("BadSubject", text))?,
                since: None,
                now_ms: now_ms(),
                payloads,
                place: &self.place,
                routes,
            };
            let _reading = self.reading.lock().await;
            Ok(gather(&question, &self.place).await)
        })
    }

    fn history<'a>(&'a self, execution: &'a str, pages: usize) -> Answer<'a, History> {
        Box::pin(async move {
            let executions = Executions::new(&self.place.config);
            let (events, more) = executions.events(execution, true, pages).await?;
            let call = self.workflows.describe_state_machine_for_execution();
            // The machine may be gone; the history is there all the same.
            let found = call.execution_arn(execution).send().await.ok();
            let definition = found.and_then(|found| serde_json::from_str(&found.definition).ok());
            Ok(History {
                definition,
                events,
                more,
            })
        })
    }

    fn input<'a>(&'a self, execution: &'a str) -> Answer<'a, Option<String>> {
        Box::pin(async move {
            let executions = Executions::new(&self.place.config);
            let found = executions.describe(execution).await?;
            Ok(found.and_then(|found| found.input))
        })
    }

    fn queues(&self) -> Answer<'_, Queues> {
        Box::pin(self.all_queues())
    }

    fn letters<'a>(
        &'a self,
        queue: DeadQueue,
        choice: &'a Choice,
        most: usize,
    ) -> Answer<'a, (Vec<Dead>, bool)> {
        Box::pin(async move {
            let queues = self.place.queues(queue).map_err(missing)?;
            let _reading = self.reading.lock().await;
            let depth = queues.depth().await.map(|depth| depth.visible);
            let wanted = |dead: &_| choice.takes(dead);
            let queues = queues.looking();
            let (mut found, all) = look(&queues, queue, wanted, most, depth, LOOK_WITHIN).await?;
            found.sort_by_key(|dead| std::cmp::Reverse(dead.at_ms));
            Ok((found, all))
        })
    }

    fn put_back<'a>(
        &'a self,
        queue: DeadQueue,
        choice: &'a Choice,
        dry_run: bool,
    ) -> Answer<'a, Tally> {
        Box::pin(async move {
            let queues = self.place.queues(queue).map_err(missing)?;
            let _reading = self.reading.lock().await;
            let stop = AtomicBool::new(false);
            let job = Job {
                kind: queue,
                choice,
                dry_run,
                stop: &stop,
            };
            Ok(job.run(&queues, &mut None, |_, _| {}).await)
        })
    }

    fn stop<'a>(&'a self, execution: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let call = self.workflows.stop_execution().execution_arn(execution);
            let call = call.error("WorkflowBridge.Stopped");
            let call = call.cause("stopped in the bridge's console");
            call.send().await.map(drop).map_err(|e| fault(&e))
        })
    }

    fn redrive<'a>(&'a self, execution: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let call = self.workflows.redrive_execution().execution_arn(execution);
            call.send().await.map(drop).map_err(|e| fault(&e))
        })
    }

    fn answer<'a>(&'a self, token: &'a str, verdict: &'a Verdict) -> Answer<'a, ()> {
        Box::pin(async move {
            match verdict {
                Verdict::Success(output) => {
                    let call = self.workflows.send_task_success().task_token(token);
                    let sent = call.output(output).send().await;
                    sent.map(drop).map_err(|e| fault(&e))
                }
                Verdict::Failure { error, cause } => {
                    let call = self.workflows.send_task_failure().task_token(token);
                    let call = call.error(error).set_cause(cause.clone());
                    call.send().await.map(drop).map_err(|e| fault(&e))
                }
            }
        })
    }
}
