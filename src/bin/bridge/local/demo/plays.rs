//! The demonstrations, one per workflow: what to publish and what to expect.

use serde_json::{Value, json};

use super::{Play, Step};

/// The demonstration of `--once`.
pub const ONCE: &str = "uppercase";

pub const PLAYS: &[Play] = &[
    Play {
        name: "uppercase",
        about: "`hello` goes in, `HELLO` comes back",
        done: "`hello` came back as `HELLO`",
        steps: &[
            publish("uppercase-in", "hello"),
            receive("uppercase-out", "`HELLO`", |text| text == "HELLO"),
        ],
    },
    Play {
        name: "approve",
        about: "a person is asked, and the workflow goes on with the answer",
        done: "the question was answered, and the workflow went on",
        steps: &[
            publish("approve-in", r#"{"question": "May we buy the kettle?"}"#),
            receive("approve-ask", "the question", |text| {
                text.contains("kettle")
            }),
            Step::Answer {
                topic: "approve-answers",
                make: yes,
            },
            receive("approve-out", "the outcome", |text| {
                text.contains("approved")
            }),
        ],
    },
    Play {
        name: "order",
        about: "an order starts by its number, asks for its payment, and is paid",
        done: "the order was announced, paid and done",
        steps: &[
            publish("orders", r#"{"orderId": 4711, "amount": 12.5}"#),
            receive("order-status", "the announcement", |text| {
                text.contains("RUNNING")
            }),
            receive("order-payment-due", "the question", |text| {
                text.contains("4711")
            }),
            Step::Answer {
                topic: "order-payments",
                make: paid,
            },
            receive("order-done", "the paid order", |text| text.contains("paid")),
        ],
    },
    Play {
        name: "store",
        about: "a message becomes an item of a table, once",
        done: "a message was stored, and the reply confirms it",
        steps: &[
            publish("store-in", r#"{"order": 7}"#),
            receive("store-out", "the stored item", |text| text.contains("id")),
        ],
    },
    Play {
        name: "count",
        about: "messages are counted by topic and by publisher",
        done: "a message was counted",
        steps: &[
            publish("count-in", "one"),
            receive("count-out", "the totals", |text| text.contains("events")),
        ],
    },
    Play {
        name: "enqueue",
        about: "a message goes into a queue, in the order of its topic",
        done: "a message came out of the queue",
        steps: &[
            publish("enqueue-in", "one"),
            receive("enqueue-out", "the confirmation", |text| !text.is_empty()),
            Step::Dequeue {
                queue: "EnqueueQueue",
                is: |body| body.contains("one"),
                what: "the message",
            },
        ],
    },
    Play {
        name: "translate-chat",
        about: "a chat in four languages, by stand-ins for Amazon Translate and Comprehend",
        done: "a message was passed on in four languages, by stand-ins",
        steps: &[
            publish("chat", "Good morning, all"),
            receive("chat-de", "German", |text| text.contains("Good morning")),
            receive("chat-es", "Spanish", |text| text.contains("Good morning")),
            receive("chat-fr", "French", |text| text.contains("Good morning")),
            receive("chat-ja", "Japanese", |text| text.contains("Good morning")),
            receive("translate-chat-out", "the summary", |text| {
                text.contains("translated")
            }),
        ],
    },
    Play {
        name: "express-enrich",
        about: "a message comes back enriched, from an EXPRESS workflow",
        done: "a message came back enriched",
        steps: &[
            publish("enrich-in", r#"{"order": 7}"#),
            receive("enrich-out", "the enriched message", |text| {
                text.contains(r#""order":7"#) || text.contains(r#""order": 7"#)
            }),
        ],
    },
    Play {
        name: "enrich-with-lambda",
        about: "a Python function looks up what the message lacks",
        done: "a message came back with what the function found",
        steps: &[
            publish("enrich-with-lambda-in", r#"{"customer": "ada"}"#),
            receive("enrich-with-lambda-out", "the enriched message", |text| {
                text.contains("gold")
            }),
        ],
    },
    Play {
        name: "on-the-bus",
        about: "a message becomes an event, and a rule puts it into a queue",
        done: "a message came out of the queue as an event",
        steps: &[
            publish("on-the-bus-in", r#"{"order": 7}"#),
            Step::Dequeue {
                queue: "OnTheBusQueue",
                is: |body| body.contains("on-the-bus-in"),
                what: "the event",
            },
        ],
    },
];

/// An answer to a question of `approve`, by its token.
fn yes(question: &str) -> String {
    let question: Value = serde_json::from_str(question).unwrap_or_default();
    json!({"token": question["token"], "answer": {"approved": true, "by": "Ada"}}).to_string()
}

/// The payment of an order, by its token.
fn paid(question: &str) -> String {
    let question: Value = serde_json::from_str(question).unwrap_or_default();
    json!({"token": question["token"], "payment": {"by": "card"}}).to_string()
}

const fn publish(topic: &'static str, text: &'static str) -> Step {
    Step::Publish { topic, text }
}

const fn receive(topic: &'static str, what: &'static str, is: fn(&str) -> bool) -> Step {
    Step::Receive { topic, is, what }
}
