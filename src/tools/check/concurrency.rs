//! The concurrent executions that the other functions leave to the webhook.

use super::code::Code;
use super::findings::Findings;
use super::functions::{Function, Part};
use super::template::Template;
use super::triggers;

/// The concurrent executions of a new account.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const NEW_ACCOUNT: u64 = 10;

/// The fewest for the webhook, whose throttled messages are lost.
const FOR_WEBHOOK: u64 = 3;

/// The most concurrent executions of a function.
struct Takes<'a> {
    id: &'a str,
    /// `None` without a limit.
    most: Option<u64>,
    /// The cause.
    pointer: String,
}

/// Finds functions that together leave too few executions of a new account to the webhook.
pub fn check(template: &Template, functions: &[Function], findings: &mut Findings) {
    let Some(webhook) = functions
        .iter()
        .find(|function| function.part == Part::Webhook)
    else {
        return;
    };
    // A new account cannot reserve any, so such an account has a higher quota.
    if reserved(template, webhook).is_some_and(|reserved| reserved >= FOR_WEBHOOK) {
        return;
    }
    let mut takers: Vec<_> = functions
        .iter()
        .filter(|function| function.part != Part::Webhook)
        .map(|function| takes(template, function))
        .collect();
    takers.retain(|taker| taker.most != Some(0));
    takers.sort_by_key(|taker| std::cmp::Reverse(taker.most.unwrap_or(u64::MAX)));
    let most = takers.iter().map(|taker| taker.most.unwrap_or(NEW_ACCOUNT));
    let left = NEW_ACCOUNT.saturating_sub(most.fold(0, u64::saturating_add));
    let Some(first) = takers.first().filter(|_| left < FOR_WEBHOOK) else {
        return;
    };
    let listed: Vec<_> = takers
        .iter()
        .map(|taker| match taker.most {
            Some(most) => format!("`{}` {most}", taker.id),
            None => format!("`{}` any number", taker.id),
        })
        .collect();
    let text = format!(
        "expected the other functions to leave {FOR_WEBHOOK} or more of the {NEW_ACCOUNT} concurrent executions of a new account to `{}`, found {left} left ({}): a throttled webhook loses its message; lower `MaximumConcurrency`, or reserve concurrency for the webhook in an account with a higher quota",
        webhook.resource.id,
        listed.join(", ")
    );
    findings.warn(
        template.source,
        &first.pointer,
        Code::ConcurrencyTooHigh,
        text,
    );
}

fn takes<'a>(template: &Template, function: &Function<'a>) -> Takes<'a> {
    let id = function.resource.id;
    let pointer = function.resource.pointer();
    if let Some(most) = reserved(template, function) {
        let most = Some(most);
        return Takes { id, most, pointer };
    }
    let triggers = triggers::of(template, function);
    let is_invoked = triggers.schedules > 0 || !triggers.patterns.is_empty();
    let mut queues = function.reads.iter();
    let most = queues.try_fold(u64::from(is_invoked), |sum, reads| {
        Some(sum.saturating_add(reads.most?))
    });
    let limit = function.reads.first().map(|reads| match reads.most {
        Some(_) => format!("{}/ScalingConfig/MaximumConcurrency", reads.pointer),
        None => reads.pointer.clone(),
    });
    Takes {
        id,
        most,
        pointer: limit.unwrap_or(pointer),
    }
}

/// The reserved concurrency, where resolved.
fn reserved(template: &Template, function: &Function) -> Option<u64> {
    let written = &function.resource.value["Properties"]["ReservedConcurrentExecutions"];
    template.resolver.text(written)?.parse().ok()
}
