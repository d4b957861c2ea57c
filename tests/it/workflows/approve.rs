//! The workflow asks a person on a topic and continues with the answer.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::listener::{Listener, publish, run};
use crate::deployed::{RUNTIME, stack};
use crate::e2e::{message, post, received};

/// Starts the workflow with a question; returns the question published on `topic`.
async fn asked(question: &str, settings: Value, topic: &str) -> Value {
    let mut listener = Listener::on(topic).await;
    let mut text = settings;
    text["question"] = json!(question);
    publish("approve-in", &text.to_string()).await;
    listener.json(|value| value["question"] == question).await
}

/// The outcome of a message on `approve-answers`.
async fn outcome(text: &str, number: u64) -> Value {
    let (status, answer) = post(&message("approve-answers", number, text)).await;
    assert_eq!((status, &answer["code"]), (200, &json!("accepted")));
    answer["targets"][0]["outcome"].clone()
}

fn answer(question: &Value, answer: Value) -> String {
    json!({"token": question["token"], "answer": answer}).to_string()
}

#[test]
fn an_approved_question_publishes_each_step() {
    RUNTIME.block_on(async {
        let mut progress = Listener::on("approve-progress").await;
        let mut out = Listener::on("approve-out").await;
        let mut ask = Listener::on("approve-ask").await;
        publish("approve-in", "May we have a kettle?").await;
        let question = ask
            .json(|value| value["question"] == "May we have a kettle?")
            .await;
        assert_eq!(question["answer_within_seconds"], 3600);
        let asked = progress.of(&question["id"]).await;
        assert_eq!(asked["step"], "asked");
        let yes = answer(&question, json!({"approved": true, "by": "Ada"}));
        publish("approve-answers", &yes).await;
        assert_eq!(
            out.of(&question["id"]).await,
            json!({
                "id": question["id"], "question": "May we have a kettle?", "escalated": false,
                "outcome": "approved", "answer": {"approved": true, "by": "Ada"},
            })
        );
        let decided = progress.of(&question["id"]).await;
        assert_eq!(decided["step"], "approved");
        assert!(asked["at"].as_str() < decided["at"].as_str(), "{decided}");
    });
}

#[test]
fn every_answer_but_yes_is_a_no() {
    RUNTIME.block_on(async {
        let mut out = Listener::on("approve-out").await;
        let error = json!({"error": "Denied", "cause": "too dear"});
        for (number, (reply, expected)) in [
            (
                json!({"error": error}),
                json!({"error": "Denied", "cause": "too dear"}),
            ),
            (json!({"answer": false}), json!({"answer": false})),
            (json!({"answer": "true"}), json!({"answer": "true"})),
            (json!({}), json!({"answer": null})),
        ]
        .into_iter()
        .enumerate()
        {
            let text = format!("A no of kind {number}?");
            let question = asked(&text, json!({}), "approve-ask").await;
            let mut no = reply;
            no["token"] = question["token"].clone();
            publish("approve-answers", &no.to_string()).await;
            let mut result = out.of(&question["id"]).await;
            assert_eq!(result["outcome"], "declined", "{result}");
            let result = result.as_object_mut().unwrap();
            result.retain(|key, _| ["answer", "error", "cause"].contains(&key.as_str()));
            assert_eq!(json!(result), expected);
        }
    });
}

#[test]
fn a_repeated_answer_counts_once() {
    RUNTIME.block_on(async {
        let mut out = Listener::on("approve-out").await;
        let question = asked("Once?", json!({}), "approve-ask").await;
        let yes = answer(&question, json!(true));
        let outcomes = join_all((0..8).map(|number| outcome(&yes, 710_000 + number))).await;
        let resumed = outcomes.iter().filter(|outcome| **outcome == "resumed");
        assert_eq!(resumed.count(), 1, "{outcomes:?}");
        let closed = outcomes.iter().filter(|outcome| **outcome == "closed");
        assert_eq!(closed.count(), 7, "{outcomes:?}");
        let result = out.of(&question["id"]).await;
        assert_eq!(result["outcome"], "approved");
        let no = answer(&question, json!(false));
        assert_eq!(outcome(&no, 710_100).await, "closed");
    });
}

#[test]
fn an_unanswered_question_is_escalated() {
    RUNTIME.block_on(async {
        let mut out = Listener::on("approve-out").await;
        let mut escalation = Listener::on("approve-escalation").await;
        let question = asked(
            "Anybody?",
            json!({"answer_within_seconds": 1}),
            "approve-ask",
        )
        .await;
        let again = escalation.of(&question["id"]).await;
        assert_eq!(again["question"], "Anybody?");
        assert_eq!(again["answer_within_seconds"], 86_400);
        assert_ne!(again["token"], question["token"]);
        // The first person's late answer changes nothing.
        let late = answer(&question, json!(false));
        assert_eq!(outcome(&late, 720_000).await, "closed");
        let yes = answer(&again, json!(true));
        assert_eq!(outcome(&yes, 720_001).await, "resumed");
        let result = out.of(&question["id"]).await;
        assert_eq!(
            (&result["outcome"], &result["escalated"]),
            (&json!("approved"), &json!(true))
        );
    });
}

#[test]
fn a_question_that_stays_unanswered_has_an_outcome() {
    RUNTIME.block_on(async {
        let mut out = Listener::on("approve-out").await;
        let mut progress = Listener::on("approve-progress").await;
        let times = json!({"answer_within_seconds": 1, "escalation_within_seconds": 1.5});
        let question = asked("Nobody?", times, "approve-escalation").await;
        assert_eq!(
            out.of(&question["id"]).await,
            json!({"id": question["id"], "question": "Nobody?", "escalated": true, "outcome": "not_answered"})
        );
        // EventBridge keeps no order, so sort by time.
        let mut all = Vec::new();
        for _ in 0..3 {
            let step = progress.of(&question["id"]).await;
            all.push((step["at"].to_string(), step["step"].clone()));
        }
        all.sort_by(|one, other| one.0.cmp(&other.0));
        let steps: Vec<_> = all.into_iter().map(|(_, step)| step).collect();
        assert_eq!(json!(steps), json!(["asked", "escalated", "not_answered"]));
        let late = answer(&question, json!(true));
        assert_eq!(outcome(&late, 730_000).await, "closed");
    });
}

#[test]
fn an_answer_without_a_question_is_a_dead_letter() {
    RUNTIME.block_on(async {
        let guessed = json!({"token": "guessed", "answer": true}).to_string();
        for (number, text, code) in [
            (740_000, guessed.as_str(), "InvalidToken"),
            (740_001, r#"{"answer": true}"#, "NoToken"),
            (740_002, "Yes, of course!", "NoToken"),
        ] {
            assert_eq!(outcome(text, number).await, "dead_lettered");
            let queue = stack().await.outputs()["DeadLetterQueueUrl"].clone();
            let letter = received(&queue, |letter| {
                letter["message"]["topic_sequence_number"] == number
                    && letter["message"]["topic"] == "approve-answers"
            })
            .await;
            assert!(letter.to_string().contains(code), "{letter}");
        }
    });
}

#[test]
fn a_message_without_a_question_is_a_failure() {
    RUNTIME.block_on(async {
        let mut failed = Listener::on("approve-failed").await;
        let (_, answer) = post(&message("approve-in", 750_000, "  ")).await;
        let envelope = failed.of(&answer["id"]).await;
        assert_eq!(envelope["error"], "ApproveNoQuestion");
    });
}

/// The same state machine with a source that EventBridge refuses: an unpublished question does not count as unanswered.
#[test]
fn a_question_that_cannot_be_published_is_a_failure() {
    RUNTIME.block_on(async {
        let definition = include_str!("../../../statemachines/approve.asl.json")
            .replace("\"workflow-bridge\"", "\"aws.nobody\"")
            .replace("${AnswerWithinSeconds}", "600")
            .replace("${EscalationWithinSeconds}", "600")
            .replace("\"MaxAttempts\": 4", "\"MaxAttempts\": 0");
        let input =
            json!({"message": {"id": "1", "cache": "demo", "text": "Subscription?", "json": null}});
        assert_eq!(
            run(&definition, input).await,
            ("FAILED".to_owned(), json!("EventBridge.FailedEntry"))
        );
    });
}
