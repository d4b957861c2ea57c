//! Time-outs, visibility, retention and receives that contradict each other.

use super::code::Code;
use super::findings::Findings;
use super::functions::repeats;
use super::functions::{Function, Part, property};
use super::template::{Resource, Template};
use crate::config::RepeatSettings;
use crate::tools::template::{below, text};

/// Momento's time-out for the webhook, in milliseconds.
const MOMENTO_WAITS_MS: u64 = 5000;
/// Lambda's recommended ratio of a queue's visibility time-out to its function's time-out.
const VISIBILITY: u64 = 6;
/// SQS's longest retention, in seconds: 14 days.
const LONGEST_RETENTION: u64 = 1_209_600;
/// SQS's own defaults, in seconds.
const DEFAULT_RETENTION: u64 = 345_600;
const DEFAULT_VISIBILITY: u64 = 30;

pub fn check(template: &Template, functions: &[Function], findings: &mut Findings) {
    for function in functions {
        if function.part == Part::Webhook {
            budget(template, function, findings);
        }
        for reads in &function.reads {
            if let Some(queue) = template.named("AWS::SQS::Queue", &reads.queue) {
                visibility(template, function, queue, findings);
                receives(template, function, queue, findings);
            }
        }
        dead_letters(template, function, findings);
    }
    mismatch(template, functions, findings);
}

fn budget(template: &Template, webhook: &Function, findings: &mut Findings) {
    let Some((most, pointer, set_by)) = largest(template, webhook, "ANSWER_WITHIN_MS") else {
        return;
    };
    if most >= MOMENTO_WAITS_MS {
        let text = format!(
            "expected an answer within less than {MOMENTO_WAITS_MS} ms, when Momento stops waiting and drops the message, found {most} ms{set_by}; 4800 at most leave time for the way back"
        );
        findings.add(template.source, &pointer, Code::BudgetTooLong, text);
    }
    if let Some(timeout) = webhook.timeout.filter(|timeout| most >= timeout * 1000) {
        let text = format!(
            "expected less than the {timeout} s after which Lambda ends the function `{}`, found a budget of {most} ms{set_by}; raise `Timeout`, or shorten the budget",
            webhook.resource.id
        );
        let at = property(template, webhook.resource, "Timeout").unwrap_or(pointer);
        findings.add(template.source, &at, Code::BudgetTooLong, text);
    }
}

/// The largest possible value of a variable (its own, or the `MaxValue` of its parameter), its pointer, and a clause that
/// names the parameter.
fn largest(
    template: &Template,
    function: &Function,
    variable: &str,
) -> Option<(u64, String, String)> {
    let own = function
        .variable(variable)
        .and_then(|text| text.parse().ok());
    let variable = function.variables.get(variable)?;
    let parameter = template.value().pointer(&variable.pointer)?["Ref"].as_str();
    let most = parameter.and_then(|id| {
        let bound = &template.value()["Parameters"][id]["MaxValue"];
        let most: u64 = text(bound)?.parse().ok()?;
        let pointer = format!("{}/MaxValue", below("/Parameters", id));
        Some((most, pointer, format!(", which `{id}` allows")))
    });
    match (most, own) {
        (Some(most), own) if own.is_none_or(|own| own <= most.0) => Some(most),
        (_, own) => Some((own?, variable.pointer.clone(), String::new())),
    }
}

fn visibility(template: &Template, function: &Function, queue: Resource, findings: &mut Findings) {
    let (Some(timeout), Some(visibility)) = (
        function.timeout,
        template.number(queue, "VisibilityTimeout", DEFAULT_VISIBILITY),
    ) else {
        return;
    };
    let least = VISIBILITY * timeout;
    if visibility < least {
        let text = format!(
            "queue `{}`: expected a visibility time-out of {least} s or more, six times the {timeout} s of function `{}`, found {visibility} s: a message could be taken twice at once; raise `VisibilityTimeout`",
            queue.id, function.resource.id
        );
        findings.add(
            template.source,
            &queue.property("VisibilityTimeout"),
            Code::VisibilityTooShort,
            text,
        );
    }
}

fn receives(template: &Template, function: &Function, queue: Resource, findings: &mut Findings) {
    let policy = template
        .resolver
        .value(&queue.value["Properties"]["RedrivePolicy"]);
    let at = queue.property("RedrivePolicy");
    if policy.is_null() {
        if matches!(function.part, Part::Redrive | Part::Completion) {
            let text = format!(
                "queue `{}`: expected a `RedrivePolicy`, found none: SQS deletes failed messages after the retention; name the dead-letter queue of function `{}`",
                queue.id, function.resource.id
            );
            findings.add(
                template.source,
                &queue.pointer(),
                Code::QueueDeadLetter,
                text,
            );
        }
        return;
    }
    let retention = template.number(queue, "MessageRetentionPeriod", DEFAULT_RETENTION);
    let backstop = text(&policy["maxReceiveCount"]).and_then(|count| count.parse::<u64>().ok());
    let (Some(repeats), Some(backstop)) = (repeats(function), backstop) else {
        return;
    };
    let own = (repeats.max_receives.into(), at.clone(), String::new());
    let (most, _, set_by) = largest(template, function, "MAX_RECEIVES").unwrap_or(own);
    if backstop <= most {
        let text = format!(
            "queue `{}`: expected a `maxReceiveCount` above {most}, the tries of function `{}`{set_by}, found {backstop}: SQS would move a message before the function writes its dead letter with the reason; raise it",
            queue.id, function.resource.id
        );
        findings.add(
            template.source,
            &format!("{at}/maxReceiveCount"),
            Code::ReceivesContradict,
            text,
        );
    }
    let waited = waits(most.max(backstop), repeats);
    if let Some(retention) = retention.filter(|retention| *retention <= waited) {
        let text = format!(
            "queue `{}`: expected messages to be kept for longer than the {} that {} tries take, found {}: SQS would delete a message that still waits; raise `MessageRetentionPeriod`, or try less often",
            queue.id,
            days(waited),
            most.max(backstop),
            days(retention)
        );
        findings.add(
            template.source,
            &queue.property("MessageRetentionPeriod"),
            Code::RetentionTooShort,
            text,
        );
    }
}

/// The time for so many receives, in seconds, with the longest waits.
fn waits(receives: u64, repeats: RepeatSettings) -> u64 {
    let (mut wait, longest) = (repeats.first.as_secs(), repeats.longest.as_secs());
    let mut sum = 0;
    for _ in 1..receives.min(1001) {
        sum += wait.min(longest);
        wait = (wait * 2).min(longest);
    }
    sum
}

fn days(seconds: u64) -> String {
    format!("{:.1} days", seconds as f64 / 86_400.0)
}

/// Requires the longest retention for dead letters: the function's own, and those of the queues it reads.
fn dead_letters(template: &Template, function: &Function, findings: &mut Findings) {
    let sources = function
        .reads
        .iter()
        .filter_map(|reads| template.named("AWS::SQS::Queue", &reads.queue));
    let of_queues = sources.filter_map(|queue| {
        let policy = template
            .resolver
            .value(&queue.value["Properties"]["RedrivePolicy"]);
        Some(policy["deadLetterTargetArn"].as_str()?.to_owned())
    });
    let own = function
        .variable("DEAD_LETTER_QUEUE_URL")
        .map(str::to_owned);
    for name in own.into_iter().chain(of_queues) {
        let Some(queue) = template.named("AWS::SQS::Queue", &name) else {
            continue;
        };
        let Some(retention) = template.number(queue, "MessageRetentionPeriod", DEFAULT_RETENTION)
        else {
            continue;
        };
        if retention < LONGEST_RETENTION {
            let text = format!(
                "dead-letter queue `{}`: expected a retention of {LONGEST_RETENTION} s (14 days, the longest), found {retention} s: a dead letter keeps the age of its message, so it could expire unread; set `MessageRetentionPeriod: {LONGEST_RETENTION}`",
                queue.id
            );
            findings.add(
                template.source,
                &queue.property("MessageRetentionPeriod"),
                Code::RetentionTooShort,
                text,
            );
        }
    }
}

/// Finds variables with another queue than their reader's.
fn mismatch(template: &Template, functions: &[Function], findings: &mut Findings) {
    for (variable, reader) in [
        ("PARKING_QUEUE_URL", Part::Redrive),
        ("COMPLETIONS_QUEUE_URL", Part::Completion),
    ] {
        let readers: Vec<_> = functions
            .iter()
            .filter(|function| function.part == reader)
            .collect();
        let read: Vec<_> = readers
            .iter()
            .flat_map(|reader| &reader.reads)
            .filter_map(|reads| template.named("AWS::SQS::Queue", &reads.queue))
            .collect();
        if read.is_empty() {
            continue;
        }
        for function in functions {
            let url = function.variable(variable);
            let Some(queue) = url.and_then(|url| template.named("AWS::SQS::Queue", url)) else {
                continue;
            };
            if !read.iter().any(|read| read.id == queue.id) {
                let read = super::template::listed(read.iter().map(|queue| queue.id));
                let pointer = function
                    .variables
                    .get(variable)
                    .map_or_else(String::new, |variable| variable.pointer.clone());
                let text = format!(
                    "function `{}`, variable `{variable}`: expected the queue that function `{}` reads ({read}), found `{}`; name the same queue in both",
                    function.resource.id, readers[0].resource.id, queue.id
                );
                findings.add(template.source, &pointer, Code::QueueMismatch, text);
            }
        }
    }
}
