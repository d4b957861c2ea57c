//! The webhook's binary behind each of Lambda's triggers.

use serde_json::{Value, json};
use workflow_bridge::domain::inbound::signature::sign;

use crate::lambda::{Aws, MACHINE, SECRET};
use crate::webhook::{TRIGGERS, answer, body, event, webhook};

#[tokio::test]
async fn every_trigger_passes_the_signed_bytes() {
    let function = webhook(&[], Aws::Answers).await;
    for (name, trigger) in TRIGGERS {
        for base64 in [false, true] {
            let body = body(&format!("{name} {base64} \\u00e9\\/é"));
            let signature = sign(SECRET, body.as_bytes());
            let (status, accepted) = answer(
                &function
                    .invoke(event(trigger, &body, &[&signature], base64))
                    .await,
            );
            assert_eq!(
                (status, &accepted["code"]),
                (200, &json!("accepted")),
                "{name}, base64 {base64}"
            );
            let started = function.aws().bodies("StartExecution").pop().unwrap();
            assert_eq!(started["stateMachineArn"], MACHINE);
            let input: Value = serde_json::from_str(started["input"].as_str().unwrap()).unwrap();
            assert_eq!(input["message"]["text"], format!("{name} {base64} é/é"));
            assert_eq!(input["message"]["id"], accepted["id"]);

            for (signatures, code) in [
                (&[][..], "unsigned"),
                (&[""], "bad_signature"),
                (&[&signature[1..]], "bad_signature"),
                (&[&signature, &signature], "bad_signature"),
            ] {
                // An ALB without multi-value headers passes only the last value on.
                if name == "ALB" && signatures.len() > 1 {
                    continue;
                }
                let (status, refused) = answer(
                    &function
                        .invoke(event(trigger, &body, signatures, base64))
                        .await,
                );
                assert_eq!(
                    (status, refused),
                    (401, json!({"code": code})),
                    "{name}, base64 {base64}"
                );
            }
        }
    }
    assert_eq!(function.aws().bodies("StartExecution").len(), 10);
    let fetched = function.aws().bodies("GetSecretValue");
    assert_eq!(
        fetched.len(),
        1,
        "the secret is read only at the start; a malformed signature does not refresh it: {fetched:?}"
    );
}

#[tokio::test]
async fn odd_hosts_paths_queries_and_base64_get_an_answer() {
    let function = webhook(&[], Aws::Answers).await;
    let body = body("x");
    for (name, trigger) in TRIGGERS {
        let signature = sign(SECRET, body.as_bytes());
        let mut odd = event(trigger, &body, &[&signature], false);
        for headers in ["headers", "multiValueHeaders"] {
            if odd[headers].is_object() {
                let value = "a b<>[::";
                odd[headers]["host"] = if headers == "headers" {
                    json!(value)
                } else {
                    json!([value])
                };
            }
        }
        match odd["version"].as_str() {
            Some(_) => {
                odd["rawPath"] = json!("no slash <>");
                odd["rawQueryString"] = json!("a=<b> c");
            }
            None => {
                odd["path"] = json!("no slash <>");
                odd["queryStringParameters"] = json!({"a": "<b> c"});
            }
        }
        let (status, accepted) = answer(&function.invoke(odd.clone()).await);
        assert_eq!(
            (status, &accepted["code"]),
            (200, &json!("accepted")),
            "{name}"
        );
        // The flag contradicts the body, but the signature matches its bytes.
        odd["isBase64Encoded"] = json!(true);
        assert_eq!(
            answer(&function.invoke(odd).await).0,
            200,
            "{name}: not base64"
        );
    }
}

#[tokio::test]
async fn a_get_of_the_root_returns_name_and_version_behind_every_trigger() {
    let function = webhook(&[], Aws::Answers).await;
    for (name, trigger) in TRIGGERS {
        for (path, status) in [("/", 200), ("/elsewhere", 405)] {
            let mut get: Value = serde_json::from_str(trigger).unwrap();
            let stage = get["requestContext"]["stage"]
                .as_str()
                .filter(|stage| *stage != "$default");
            let raw = stage.map_or(path.to_owned(), |stage| format!("/{stage}{path}"));
            match get["version"].as_str() {
                Some(_) => {
                    get["rawPath"] = json!(raw);
                    get["requestContext"]["http"]["method"] = json!("GET");
                    get["requestContext"]["http"]["path"] = json!(raw);
                }
                None => {
                    get["path"] = json!(path);
                    get["httpMethod"] = json!("GET");
                }
            }
            let (found, about) = answer(&function.invoke(get).await);
            assert_eq!(found, status, "{name} {path}: {about}");
            assert_eq!(
                about["name"] == "workflow-bridge",
                status == 200,
                "{name} {path}: {about}"
            );
        }
    }
}
