//! A damaged record between two good ones: `PROPTEST_CASES=20000 cargo test --all-features --lib damaged` tries more.

use proptest::prelude::*;

use super::*;
use crate::testing::damage::damaged;

/// A route whose results go to `demo/out` and `demo/failed` only.
fn completion_of_one_route(world: &World) -> Completion {
    let route = json!({
        "name": "r", "from": {"cache": "demo", "topic": "in"},
        "reply": {"topics": ["out"], "failures": ["failed"], "started": ["begun"]},
    });
    let mut completion = completion(world);
    completion.complete.routes = LiveRoutes::fixed(routes(&[route]));
    completion
}

fn status_changes() -> Vec<String> {
    [
        json!({}),
        json!({"status": "FAILED", "output": null, "error": "Wrong", "cause": "no"}),
        json!({"status": "RUNNING", "output": null}),
        json!({"input": null, "output": null, "inputDetails": {"included": false}}),
    ]
    .map(|fields| status_change(fields).to_string())
    .to_vec()
}

/// Whether a record is the end of an execution of the routed state machine, with topics for its result in its input.
fn is_an_end(text: &str) -> bool {
    let event: Value = serde_json::from_str(text).unwrap_or_default();
    let detail = &event["detail"];
    let input = detail["input"].as_str().unwrap_or_default();
    let input: Value = serde_json::from_str(input).unwrap_or_default();
    let status = detail["status"].as_str().unwrap_or_default();
    event["source"] == "aws.states"
        && ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"].contains(&status)
        && detail["stateMachineArn"] == MACHINE
        && input["message"].is_object()
        && ["topics", "failures"].iter().all(|topics| {
            let topics = input["bridge"]["reply"][topics].as_array();
            topics.is_some_and(|topics| !topics.is_empty())
        })
}

/// The calls that one record causes between two good ones, which must be published.
fn calls_of(text: String, receives: u32) -> Vec<String> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let world = World::default();
        let input = status_change(json!({}))["detail"]["input"].clone();
        world.describes(Described {
            status: "SUCCEEDED".to_owned(),
            input: input.as_str().map(str::to_owned),
            output: Some("\"HELLO\"".to_owned()),
            ..Described::default()
        });
        let good = || topic_publish(json!("good"));
        let records = [good(), Value::String(text), good()];
        let completion = completion_of_one_route(&world);
        let again = failures_of(&completion, &records, receives).await;
        let mut calls = calls(&world);
        // An event of another status than Step Functions describes waits, but not for ever.
        if receives < 3 && again == ["m1"] {
            calls.push("returned".to_owned());
        } else {
            assert_eq!(again, [""; 0], "no port fails");
        }
        for _ in 0..2 {
            let at = calls.iter().position(|call| call == "publish c/t good");
            calls.remove(at.expect("both good records are published"));
        }
        calls
    })
}

proptest! {
    #[test]
    fn a_damaged_status_change_is_published_to_its_route_or_a_dead_letter(
        text in damaged(status_changes()),
        receives in 1u32..=3,
    ) {
        let calls = calls_of(text.clone(), receives);
        let published = calls.iter().filter_map(|call| call.strip_prefix("publish "));
        let to: Vec<_> = published.filter_map(|call| call.split(' ').next()).collect();
        let allowed = ["demo/out", "demo/failed", "demo/begun"];
        prop_assert!(to.iter().all(|to| allowed.contains(to)), "{:?}", to);
        let letters: Vec<_> = calls.iter().filter(|call| call.starts_with("dead_letter ")).collect();
        let ends = to.len() + letters.len() + calls.iter().filter(|call| *call == "returned").count();
        prop_assert!(!is_an_end(&text) || ends > 0, "{text}: {calls:?}");
        for letter in letters {
            let letter: Letter = serde_json::from_str(&letter["dead_letter ".len()..]).unwrap();
            prop_assert!(letter.to_json().contains(&*json!(text).to_string()) || letter.to_json().contains(&text));
        }
    }

    #[test]
    fn a_damaged_publication_is_published_or_a_dead_letter(text in damaged(vec![
        topic_publish(json!({"a": [1, "x"]})).to_string(),
        json!({"id": "e", "source": "workflow-bridge", "detail-type": "Topic Publish", "resources": ["arn:aws:states:eu-west-1:1:execution:m:r-in-1-9c1534bf10e3da42"],
            "detail": {"messages": [{"cache": "c", "topic": "t", "value": "one"}, {"cache": "c", "topic": "u", "value": {"b": 2}}]}}).to_string(),
    ])) {
        let calls = calls_of(text.clone(), 1);
        let event: Value = serde_json::from_str(&text).unwrap_or_default();
        let is_empty = event["detail"]["messages"] == json!([]);
        prop_assert!(is_empty || !calls.is_empty(), "{text}");
    }
}
