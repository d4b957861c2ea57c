//! Messages while a workflow comes, changes and goes: none is lost.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;
use workflow_bridge::tools::local::Stack;

use super::{echo, read_often};
use crate::chaos::setting;
use crate::deployed::{RUNTIME, stack};
use crate::faulty::FaultyStack;
use crate::messages::{Publications, QUICK, body, drain, post, quicken, settle, until};

/// Concurrent senders.
const SENDERS: u64 = 4;
/// Rounds of changes while messages are sent, at least.
const ROUNDS: usize = 3;

/// Sends each `SENDERS`th message, from `first`, one after the other: `count` in all, and more until enough has changed.
async fn send(
    stack: &Stack,
    first: u64,
    count: u64,
    rounds: watch::Receiver<usize>,
) -> Vec<(u64, Value)> {
    let mut answers = Vec::new();
    let mut number = first;
    while number < count || *rounds.borrow() < ROUNDS {
        let (status, answer) = post(stack, &body("echo-in", number, &text(number))).await;
        assert_eq!(status, 200, "{number}: {answer}");
        answers.push((number, answer));
        number += SENDERS;
    }
    answers
}

fn text(number: u64) -> String {
    format!("text {number}.")
}

/// Deploys, changes and deletes the workflow again and again until the messages are sent, and deploys it at the end.
async fn change(stack: &Stack, sent: watch::Receiver<bool>, rounds: watch::Sender<usize>) {
    loop {
        stack.deploy("echo", &echo("echo-out")).await.unwrap();
        stack.collected().await.unwrap();
        if *sent.borrow() {
            return;
        }
        stack.update("echo", &echo("echo-moved")).await.unwrap();
        stack.collected().await.unwrap();
        stack.delete("echo").await.unwrap();
        stack.collected().await.unwrap();
        rounds.send_modify(|rounds| *rounds += 1);
    }
}

#[test]
fn no_message_is_lost_while_routes_change() {
    let count = setting("ROUTES_MESSAGES").unwrap_or(200);
    RUNTIME.block_on(async {
        let emulator = Arc::clone(stack().await.emulator());
        let faulty = FaultyStack::start(emulator, &QUICK, |template| {
            read_often(template);
            quicken(template)
        });
        let faulty = faulty.await.unwrap();
        let stack = &faulty.stack;
        let publications = Publications::of(stack);
        let (sender, sent) = watch::channel(false);
        let (rounds, changed) = watch::channel(0);
        let sending = async {
            let senders = (0..SENDERS).map(|first| send(stack, first, count, changed.clone()));
            let answers = futures_util::future::join_all(senders).await;
            sender.send_replace(true);
            answers.concat()
        };
        let (answers, ()) = tokio::join!(sending, change(stack, sent, rounds));
        settle(stack, &["UppercaseWorkflow"]).await;
        // Each one ends as a result, or as a letter of a message or of a result.
        let (mut letters, mut dead_results) = (Vec::new(), Vec::new());
        until("an end of each message", async || {
            letters.extend(drain(stack, "DeadLetterQueue").await);
            dead_results.extend(drain(stack, "CompletionsDeadLetterQueue").await);
            let ends = Ends::of(&publications, &letters, &dead_results);
            answers.iter().all(|answer| ends.have(answer))
        })
        .await;
        let unrouted = letters
            .iter()
            .filter(|letter| letter["reason"] == "unrouted");
        let results = publications.count();
        eprintln!(
            "live_routes: {} messages in {} rounds of changes: {results} results, {} letters, {} of them unrouted, {} letters of results",
            answers.len(),
            *changed.borrow(),
            letters.len(),
            unrouted.count(),
            dead_results.len()
        );
        assert!(answers.len() as u64 >= count && results > 0);
    });
}

/// Where messages ended.
struct Ends {
    results: BTreeSet<String>,
    /// Of messages.
    letters: BTreeSet<String>,
    /// Failures, and letters of results: they have the execution's name.
    texts: Vec<String>,
}

impl Ends {
    fn of(publications: &Publications, letters: &[Value], dead_results: &[Value]) -> Self {
        let results: BTreeSet<_> = ["echo-out", "echo-moved"]
            .iter()
            .flat_map(|topic| publications.on(topic))
            .collect();
        let ids = letters.iter().filter_map(|letter| letter["id"].as_str());
        let failures = results.iter().filter(|text| text.starts_with('{')).cloned();
        let dead_results = dead_results.iter().map(Value::to_string);
        Self {
            letters: ids.map(str::to_owned).collect(),
            texts: failures.chain(dead_results).collect(),
            results,
        }
    }

    fn have(&self, (number, answer): &(u64, Value)) -> bool {
        let name = format!("echo-echo-in-{number}-");
        let id = answer["id"].as_str().expect("an id");
        self.results.contains(&text(*number))
            || self.letters.contains(id)
            || self.texts.iter().any(|text| text.contains(&name))
    }
}
