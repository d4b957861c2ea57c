//! A misconfigured function does not start and logs the reason.

use std::process::Stdio;

use serde_json::Value;

use crate::lambda::command;

/// The reason in the log of a function that fails to start.
async fn reason(binary: &str, variables: &[(&str, &str)]) -> String {
    let child = command(binary)
        .envs(variables.iter().copied())
        .stdout(Stdio::piped())
        .output();
    let output = tokio::time::timeout(std::time::Duration::from_secs(60), child)
        .await
        .expect("it ends")
        .unwrap();
    assert!(!output.status.success());
    let log = String::from_utf8(output.stdout).unwrap();
    let line: Value = serde_json::from_str(log.lines().last().expect("a line")).expect("JSON");
    assert_eq!(line["level"], "ERROR");
    line["error.text"].as_str().expect("a reason").to_owned()
}

#[tokio::test]
async fn every_missing_variable_is_named() {
    let webhook = reason(env!("CARGO_BIN_EXE_webhook"), &[]).await;
    let redrive = reason(env!("CARGO_BIN_EXE_redrive"), &[]).await;
    for variable in ["ROUTES", "PARKING_QUEUE_URL", "DEAD_LETTER_QUEUE_URL"] {
        assert!(
            redrive.contains(&format!("`{variable}`: expected a value, found none")),
            "{redrive}"
        );
    }
    for variable in [
        "ROUTES",
        "SIGNING_SECRET_ID",
        "PARKING_QUEUE_URL",
        "DEAD_LETTER_QUEUE_URL",
    ] {
        assert!(
            webhook.contains(&format!("`{variable}`: expected a value, found none")),
            "{webhook}"
        );
    }
    let canary = reason(env!("CARGO_BIN_EXE_canary"), &[]).await;
    for variable in [
        "MOMENTO_SECRET_ID",
        "MOMENTO_ENDPOINT",
        "CANARY_CACHE",
        "CANARY_STATE_MACHINE",
    ] {
        assert!(
            canary.contains(&format!("`{variable}`: expected a value, found none")),
            "{canary}"
        );
    }
    let completion = reason(
        env!("CARGO_BIN_EXE_completion"),
        &[("MAX_MESSAGE_BYTES", "")],
    )
    .await;
    for variable in [
        "ROUTES",
        "MOMENTO_SECRET_ID",
        "MOMENTO_ENDPOINT",
        "MAX_MESSAGE_BYTES",
    ] {
        assert!(
            completion.contains(&format!("`{variable}`: expected")),
            "{completion}"
        );
    }
    let sweep = reason(env!("CARGO_BIN_EXE_sweep"), &[]).await;
    for variable in ["ROUTES", "LEDGER_TABLE", "COMPLETIONS_QUEUE_URL"] {
        assert!(
            sweep.contains(&format!("`{variable}`: expected a value, found none")),
            "{sweep}"
        );
    }
}

#[tokio::test]
async fn bad_routes_stop_every_function() {
    let routes = (
        "ROUTES",
        r#"{"routes":[{"name":"r","from":{"cache":"c","topic":"t"},"to":{"typo":1}}]}"#,
    );
    let webhook = [
        routes,
        ("SIGNING_SECRET_ID", "s"),
        ("PARKING_QUEUE_URL", "http://q"),
        ("DEAD_LETTER_QUEUE_URL", "http://q"),
    ];
    let redrive = [
        routes,
        ("PARKING_QUEUE_URL", "http://q"),
        ("DEAD_LETTER_QUEUE_URL", "http://q"),
    ];
    let completion = [
        routes,
        ("MOMENTO_SECRET_ID", "s"),
        ("MOMENTO_ENDPOINT", "http://127.0.0.1:1"),
    ];
    for reason in [
        reason(env!("CARGO_BIN_EXE_webhook"), &webhook).await,
        reason(env!("CARGO_BIN_EXE_redrive"), &redrive).await,
        reason(env!("CARGO_BIN_EXE_completion"), &completion).await,
    ] {
        assert!(
            reason.contains("route `r`: `to`: expected exactly one of"),
            "{reason}"
        );
    }
}
