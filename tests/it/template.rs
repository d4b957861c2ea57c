//! The numbers in the shipped template agree with the code.

use serde_json::Value;
use workflow_bridge::config::RepeatSettings;
use workflow_bridge::tools::local::workspace::Workspace;
use workflow_bridge::tools::template;

const DAY: u64 = 24 * 3600;

fn shipped() -> Value {
    let workspace = Workspace::find().unwrap();
    template::read(&workspace.root().join("template.yaml")).unwrap()
}

fn number(template: &Value, path: &str) -> u64 {
    let value = template.pointer(path);
    let value = value.and_then(Value::as_u64);
    value.unwrap_or_else(|| panic!("expected a number at {path}"))
}

/// Seconds until the last of `receives`, if each wait doubles from 30 s to `longest` without jitter.
fn waits(receives: u64, longest: u64) -> u64 {
    let mut wait = 30;
    let mut sum = 0;
    for _ in 1..receives {
        sum += wait;
        wait = (wait * 2).min(longest);
    }
    sum
}

#[test]
fn a_queues_retention_outlasts_the_retries() {
    let template = shipped();
    let unset = |_: &str| None;
    for (queue, function, repeats) in [
        (
            "ParkedQueue",
            "RedriveFunction",
            RepeatSettings::parked(&unset),
        ),
        (
            "CompletionsQueue",
            "CompletionFunction",
            RepeatSettings::results(&unset),
        ),
    ] {
        let (receives, longest) = (u64::from(repeats.max_receives), repeats.longest.as_secs());
        let of_queue = |name| number(&template, &format!("/Resources/{queue}/Properties/{name}"));
        let retention = of_queue("MessageRetentionPeriod");
        let within = number(
            &template,
            &format!("/Resources/{function}/Properties/Timeout"),
        );
        // As Lambda's documentation recommends.
        assert!(of_queue("VisibilityTimeout") >= 6 * within, "{queue}");
        // The bridge writes dead letters; if it cannot, SQS moves the record, and before its retention ends.
        let backstop = of_queue("RedrivePolicy/maxReceiveCount");
        assert!(receives < backstop, "{queue}");
        assert!(waits(backstop, longest) < retention, "{queue}");
        // "About ten days", with jitter that shortens waits by up to a quarter.
        let days = waits(receives, longest) * 7 / 8;
        assert!((10 * DAY..11 * DAY).contains(&days), "{queue}: {days} s");
    }
}

#[test]
fn dead_letters_have_the_longest_retention_of_sqs() {
    let template = shipped();
    for queue in ["DeadLetterQueue", "CompletionsDeadLetterQueue"] {
        let path = format!("/Resources/{queue}/Properties/MessageRetentionPeriod");
        assert_eq!(number(&template, &path), 14 * DAY);
    }
}

#[test]
fn the_answer_deadline_is_below_momentos_timeout() {
    let template = shipped();
    let variables =
        &template["Resources"]["WebhookFunction"]["Properties"]["Environment"]["Variables"];
    assert!(
        variables["ANSWER_WITHIN_MS"].is_null(),
        "the default of 4000 applies"
    );
    let within = number(&template, "/Resources/WebhookFunction/Properties/Timeout");
    assert!(within > 5);
}

/// Lambda's limit, with the canary's route and room for generated names.
#[test]
fn a_functions_environment_fits() {
    let template = shipped();
    let resolver = template::Resolver::new(&template).with("CanaryMinutes", 5.into());
    let globals = &template["Globals"]["Function"]["Environment"]["Variables"];
    for (function, _) in template::functions(&template).unwrap() {
        let own = &template["Resources"][&function]["Properties"]["Environment"]["Variables"];
        let variables = [globals, own].map(|variables| resolver.value(variables));
        let all = variables
            .iter()
            .flat_map(|variables| variables.as_object().unwrap());
        let bytes: usize = all
            .map(|(name, value)| name.len() + template::text(value).unwrap_or_default().len())
            .sum();
        assert!(bytes < 4096 - 500, "{function}: {bytes} bytes");
    }
}
