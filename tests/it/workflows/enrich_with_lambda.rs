//! `enrich-with-lambda`: a Python function looks up a tier.

use serde_json::{Value, json};

use super::listener::{Listener, publish};
use crate::deployed::{RUNTIME, resource, stack};
use crate::e2e::round_trip;

const INBOUND: &str = "enrich-with-lambda-in";

#[test]
fn the_function_adds_a_tier_and_an_unknown_customer_has_none() {
    RUNTIME.block_on(async {
        for (sent, tier) in [
            (json!({"customer": "ada", "total": 12}), json!("gold")),
            (json!({"customer": "eve"}), Value::Null),
        ] {
            let reply = round_trip(INBOUND, &sent.to_string(), "enrich-with-lambda-out").await;
            let mut expected = sent;
            expected["tier"] = tier;
            let reply: Value = serde_json::from_str(&reply).unwrap();
            assert_eq!(reply, expected);
        }
    });
}

#[test]
fn an_error_of_the_function_is_in_the_failure_and_in_its_log_group() {
    RUNTIME.block_on(async {
        let mut failures = Listener::on("enrich-with-lambda-failed").await;
        publish(INBOUND, "no JSON").await;
        let failure = failures.next_json().await;
        assert_eq!(
            (&failure["status"], &failure["error"]),
            (&json!("FAILED"), &json!("ValueError"))
        );
        let cause = failure["cause"].as_str().unwrap();
        assert!(
            cause.contains("expected a JSON object with a text at `customer`"),
            "{cause}"
        );

        let stack = stack().await;
        let group = resource(stack, "enrich-with-lambda/LookupLogGroup");
        let log = stack.logs().await.unwrap();
        let mut of_function = log.lines().filter(|line| line.starts_with(&group));
        assert!(
            of_function.any(|line| line.contains("ValueError: expected a JSON object")),
            "{group}:\n{log}"
        );
    });
}
