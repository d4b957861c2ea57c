//! Secret rotation amid a stream of valid and forged messages.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::json;
use workflow_bridge::tools::local::topics::local_api_key;

use crate::deployed::RUNTIME;
use crate::faulty::Dependency;
use crate::messages::{Publications, body, deploy, post_signed, put_secret, quicken, settle};

const MESSAGES: u64 = 240;
const AT_ONCE: usize = 4;
const NEW_SECRET: &str = "the new secret";

/// Whether the new secret signs a message; the old one still signs some while it is the previous secret.
fn is_new(number: u64) -> bool {
    number > 120 || number > 60 && number.is_multiple_of(2)
}

#[test]
fn no_message_with_a_valid_signature_is_refused() {
    let test = async {
        let faulty = deploy(quicken).await;
        let stack = &faulty.stack;
        let publications = Publications::of(stack);
        let old_key = stack.functions_key().to_owned();
        let new_key = local_api_key();

        let began = std::time::Instant::now();
        let http = reqwest::Client::new();
        let mut pace = tokio::time::interval(Duration::from_millis(50));
        let numbers = async_stream::stream! {
            for number in 1..=MESSAGES {
                pace.tick().await;
                match number {
                    60 => put_secret(stack, "SigningSecret", NEW_SECRET).await,
                    // Momento changes the key first, so the completion has a refused key for a while.
                    180 => {
                        stack.topics().put_key(new_key.as_str(), None);
                        stack.topics().delete_key(&old_key);
                    }
                    190 => put_secret(stack, "MomentoSecret", &new_key).await,
                    _ => {}
                }
                yield number;
            }
        };
        let posts = numbers.map(async |number| {
            let body = body("uppercase-in", number, &format!("message {number}"));
            let secret = if is_new(number) {
                NEW_SECRET
            } else {
                stack.signing_secret()
            };
            if number % 3 == 0 {
                let forged = post_signed(&http, stack, "forged", &body).await;
                assert_eq!(forged.0, 401, "message {number} forged: {}", forged.1);
            }
            let (status, answer) = post_signed(&http, stack, secret, &body).await;
            (number, status, answer)
        });
        let answers: Vec<_> = posts.buffer_unordered(AT_ONCE).collect().await;
        for (number, status, answer) in &answers {
            assert_eq!(
                (*status, &answer["code"]),
                (200, &json!("accepted")),
                "message {number}: {answer}"
            );
        }
        let refused = post_signed(&http, stack, "another", &body("uppercase-in", 0, "x")).await;
        assert_eq!(refused.0, 401);

        publications.wait("uppercase-out", answers.len()).await;
        settle(stack, &["UppercaseWorkflow"]).await;
        let expected: BTreeSet<String> = (1..=MESSAGES).map(|n| format!("MESSAGE {n}")).collect();
        let published: BTreeSet<String> = publications.on("uppercase-out").into_iter().collect();
        assert_eq!(published, expected);

        // A webhook reads the secret at its start and both versions on each refresh; a completion reads the key at its start
        // and after each refused batch.
        let seconds = usize::try_from(began.elapsed().as_secs()).unwrap();
        let most = 40 + AT_ONCE * 2 * (3 + 2 * seconds);
        let reads = faulty.proxy(Dependency::SecretsManager).counters();
        let reads = reads.of("GetSecretValue").seen;
        assert!(reads <= most, "{reads} reads of secrets, at most {most}");
        eprintln!("rotation: {reads} reads of secrets for {MESSAGES} messages");
    };
    RUNTIME.block_on(test);
}
