//! A chat translated into many languages. The emulator only marks the text: `[fr] hello`.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::listener::{Listener, run};
use crate::deployed::RUNTIME;
use crate::e2e::{message, post};

/// The languages in the template.
const LANGUAGES: [&str; 4] = ["de", "es", "fr", "ja"];

async fn listeners() -> Vec<Listener> {
    let topics = LANGUAGES.map(|language| format!("chat-{language}"));
    join_all(topics.iter().map(|topic| Listener::on(topic))).await
}

/// Sends a message; returns the workflow's reply on `topic`.
async fn reply_to(text: &str, number: u64, topic: &str) -> Value {
    let mut replies = Listener::on(topic).await;
    let (status, answer) = post(&message("chat", number, text)).await;
    assert_eq!((status, &answer["code"]), (200, &json!("accepted")));
    replies.of(&answer["id"]).await
}

fn parts(reply: &Value) -> (&Value, &Value, &Value, &Value) {
    (
        &reply["outcome"],
        &reply["language"],
        &reply["published"],
        &reply["failed"],
    )
}

#[test]
fn a_message_comes_back_in_each_language() {
    RUNTIME.block_on(async {
        for (number, language, text, bare) in [
            (810_000, "en", "Good morning, all", "Good morning, all"),
            (810_001, "de", "[de] Guten Tag", "Guten Tag"),
            // The language of these is unknown.
            (810_002, "en", ":-)", ":-)"),
            (810_003, "en", "[xx] Hello?", "Hello?"),
        ] {
            let mut chats = listeners().await;
            let reply = reply_to(text, number, "translate-chat-out").await;
            let published = LANGUAGES.map(|language| format!("chat-{language}"));
            assert_eq!(
                parts(&reply),
                (
                    &json!("translated"),
                    &json!(language),
                    &json!(published),
                    &json!([])
                )
            );
            for (language, chat) in LANGUAGES.iter().zip(&mut chats) {
                let translated = format!("[{language}] {bare}");
                chat.text(|text| text == translated).await;
            }
        }
    });
}

#[test]
fn a_toxic_message_is_stopped() {
    RUNTIME.block_on(async {
        let mut chat = Listener::on("chat-de").await;
        // The second text is detected only after translation; the third is toxic only in its last segment.
        let long = format!("{}toxic", "such fine words ".repeat(200));
        for (number, text) in [
            (820_000, "You toxic thing"),
            (820_001, "[fr] Toxic, vraiment"),
            (820_002, long.as_str()),
        ] {
            let reply = reply_to(text, number, "translate-chat-out").await;
            assert_eq!(reply["outcome"], "stopped", "{reply}");
            assert_eq!(
                (&reply["published"], &reply["labels"], &reply["toxicity"]),
                (&json!([]), &json!(["INSULT"]), &json!(0.99))
            );
        }
        reply_to("And a kind word", 820_003, "translate-chat-out").await;
        chat.text(|text| {
            assert!(!text.to_lowercase().contains("toxic"), "{text}");
            text == "[de] And a kind word"
        })
        .await;
    });
}

#[test]
fn a_message_without_text_is_a_failure() {
    RUNTIME.block_on(async {
        for (number, text) in [(830_000, ""), (830_001, " \n")] {
            let envelope = reply_to(text, number, "translate-chat-failed").await;
            assert_eq!(envelope["error"], "TranslateChatNoText");
        }
    });
}

fn definition(languages: &str) -> String {
    include_str!("../../../statemachines/translate-chat.asl.json")
        .replace("${Languages}", languages)
        .replace("${Toxicity}", "0.5")
        .replace("\"MaxAttempts\": 4", "\"MaxAttempts\": 0")
}

fn input(topic: &str) -> Value {
    json!({"message": {"id": "1", "cache": "demo", "topic": topic, "text": "hello", "json": null}})
}

#[test]
fn a_failed_language_does_not_stop_the_others() {
    RUNTIME.block_on(async {
        let mut german = Listener::on("babel-de").await;
        let mut french = Listener::on("babel-fr").await;
        let (status, reply) = run(&definition("de, xx,fr"), input("babel")).await;
        assert_eq!(status, "SUCCEEDED");
        assert_eq!(
            parts(&reply),
            (
                &json!("partly"),
                &json!("en"),
                &json!(["babel-de", "babel-fr"]),
                &json!([{
                    "language": "xx",
                    "error": "Translate.UnsupportedLanguagePairException",
                    "cause": "Unsupported language pair: en to xx",
                }])
            )
        );
        german.text(|text| text == "[de] hello").await;
        french.text(|text| text == "[fr] hello").await;
    });
}

#[test]
fn a_message_without_any_translation_is_a_failure() {
    RUNTIME.block_on(async {
        let german = definition("de");
        for (definition, error) in [
            (definition("xx"), "TranslateChatNotTranslated"),
            (
                german.replace("\"workflow-bridge\"", "\"aws.nobody\""),
                "TranslateChatNotTranslated",
            ),
            // Comprehend refuses: an unchecked text is not published.
            (
                german.replace("\"LanguageCode\": \"en\"", "\"LanguageCode\": \"de\""),
                "TranslateChatNotChecked",
            ),
            // Translate refuses the text, which then cannot be checked.
            (
                german.replacen("{% $message.text %}", "", 1),
                "TranslateChatNotChecked",
            ),
        ] {
            assert_eq!(
                run(&definition, input("silence")).await,
                ("FAILED".to_owned(), json!(error))
            );
        }
    });
}
