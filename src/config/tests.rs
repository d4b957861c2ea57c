use super::*;

const WEBHOOK: [(&str, &str); 4] = [
    ("ROUTES", r#"{"routes":[]}"#),
    ("SIGNING_SECRET_ID", "secret"),
    ("PARKING_QUEUE_URL", "https://parked"),
    ("DEAD_LETTER_QUEUE_URL", "https://queue"),
];
const COMPLETION: [(&str, &str); 3] = [
    ("ROUTES", "ssm:/bridge/routes"),
    ("MOMENTO_SECRET_ID", "key"),
    ("MOMENTO_ENDPOINT", "cell-us-east-1-1.prod.a.momentohq.com"),
];

fn with<'a>(
    base: &'a [(&'a str, &'a str)],
    over: &'a [(&'a str, &'a str)],
) -> impl Fn(&str) -> Option<String> {
    move |name| {
        let found = over.iter().chain(base).find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    }
}

fn webhook_problems(over: &[(&str, &str)]) -> Vec<&'static str> {
    let VariableProblems(list) = WebhookConfig::read(&with(&WEBHOOK, over)).unwrap_err();
    list.iter().map(|problem| problem.variable).collect()
}

#[test]
fn defaults_are_those_of_the_contract() {
    let config = WebhookConfig::read(&with(&WEBHOOK, &[])).unwrap();
    assert_eq!(
        config.settings,
        WebhookSettings {
            max_age: Duration::from_secs(60),
            max_skew: Duration::from_secs(30),
            answer_within: Duration::from_millis(4000),
            unrouted: Unrouted::DeadLetter,
        }
    );
    let config = CompletionConfig::read(&with(&COMPLETION, &[])).unwrap();
    assert_eq!(config.max_message_bytes, 4096);
    assert_eq!(config.max_item_bytes, 5_000_000);
    assert_eq!(config.claim_ttl, Duration::from_secs(3600));
    assert_eq!(config.claims_bucket, None);
    assert_eq!(
        config.routes,
        RoutesConfig {
            source: Some(RoutesSource::Parameter("/bridge/routes".into())),
            table: None,
            ttl: Duration::from_secs(60),
        }
    );
    assert!(matches!(config.momento_endpoint, MomentoEndpoint::Host(_)));
}

#[test]
fn all_missing_variables_are_named_at_once() {
    let nothing = |_: &str| None;
    let VariableProblems(webhook) = WebhookConfig::read(&nothing).unwrap_err();
    let names: Vec<_> = webhook.iter().map(|p| p.variable).collect();
    assert_eq!(
        names,
        [
            "ROUTES",
            "SIGNING_SECRET_ID",
            "PARKING_QUEUE_URL",
            "DEAD_LETTER_QUEUE_URL"
        ]
    );
    let text = CompletionConfig::read(&nothing).unwrap_err().to_string();
    for name in ["ROUTES", "MOMENTO_SECRET_ID", "MOMENTO_ENDPOINT"] {
        assert!(
            text.contains(&format!("- `{name}`: expected a value, found none")),
            "{text}"
        );
    }
}

#[test]
fn empty_and_unparsable_variables_are_refused() {
    for (variable, value) in [
        ("ROUTES", " "),
        ("ROUTES", "ssm:"),
        ("SIGNING_SECRET_ID", ""),
        ("PARKING_QUEUE_URL", ""),
        ("DEAD_LETTER_QUEUE_URL", "queue"),
        ("MAX_AGE_SECONDS", ""),
        ("MAX_AGE_SECONDS", "0"),
        ("MAX_SKEW_SECONDS", "-1"),
        ("ANSWER_WITHIN_MS", "4s"),
        ("UNROUTED", "drop"),
        ("ROUTES_TABLE", ""),
        ("ROUTES_TTL_SECONDS", "0"),
    ] {
        assert_eq!(
            webhook_problems(&[(variable, value)]),
            [variable],
            "{value}"
        );
    }
    for (variable, value) in [
        ("MOMENTO_ENDPOINT", "https://cell.momentohq.com"),
        ("MOMENTO_ENDPOINT", "cell"),
        ("MAX_MESSAGE_BYTES", "4 KB"),
        ("MAX_ITEM_BYTES", "20000000"),
        ("CLAIM_TTL_SECONDS", "59"),
        ("CLAIM_TTL_SECONDS", "86401"),
    ] {
        let over = [(variable, value)];
        let VariableProblems(list) = CompletionConfig::read(&with(&COMPLETION, &over)).unwrap_err();
        assert_eq!((list.len(), list[0].variable), (1, variable), "{value}");
    }
}

#[test]
fn an_empty_bucket_counts_as_unset() {
    for (value, bucket) in [("", None), (" ", None), ("claims", Some("claims"))] {
        let over = [("CLAIMS_BUCKET", value)];
        let config = CompletionConfig::read(&with(&COMPLETION, &over)).unwrap();
        assert_eq!(config.claims_bucket.as_deref(), bucket);
    }
}

#[test]
fn an_http_url_is_a_local_server() {
    let over = [("MOMENTO_ENDPOINT", "http://127.0.0.1:9/")];
    let config = CompletionConfig::read(&with(&COMPLETION, &over)).unwrap();
    assert_eq!(
        config.momento_endpoint,
        MomentoEndpoint::Local("http://127.0.0.1:9".into())
    );
}

#[test]
fn the_sweep_has_settings_of_its_own() {
    let base = [
        ("ROUTES", "ssm:/bridge/routes"),
        ("LEDGER_TABLE", "ledger"),
        ("COMPLETIONS_QUEUE_URL", "https://queue"),
    ];
    let config = SweepConfig::read(&with(&base, &[])).unwrap();
    assert_eq!(config.grace, Duration::from_secs(120));
    for (variable, value) in [
        ("LEDGER_TABLE", " "),
        ("COMPLETIONS_QUEUE_URL", "queue"),
        ("SWEEP_GRACE_SECONDS", "3601"),
    ] {
        let over = [(variable, value)];
        let VariableProblems(list) = SweepConfig::read(&with(&base, &over)).unwrap_err();
        assert_eq!((list.len(), list[0].variable), (1, variable), "{value}");
    }
    let VariableProblems(list) = SweepConfig::read(&|_| None).unwrap_err();
    assert_eq!(list.len(), 3);
}

#[test]
fn the_canary_names_its_missing_variables() {
    let base = [
        ("MOMENTO_SECRET_ID", "key"),
        ("MOMENTO_ENDPOINT", "cell-us-east-1-1.prod.a.momentohq.com"),
        ("CANARY_CACHE", "demo"),
        ("CANARY_STATE_MACHINE", "arn"),
    ];
    let config = CanaryConfig::read(&with(&base, &[])).unwrap();
    assert_eq!(config.within, Duration::from_secs(60));
    let VariableProblems(list) =
        CanaryConfig::read(&with(&base, &[("CANARY_WITHIN_SECONDS", "0")])).unwrap_err();
    assert_eq!(list[0].variable, "CANARY_WITHIN_SECONDS");
    let VariableProblems(list) = CanaryConfig::read(&|_| None).unwrap_err();
    assert_eq!(list.len(), 4);
}

#[test]
fn a_table_of_routes_may_stand_in_place_of_the_document() {
    let table = |name: &str| match name {
        "ROUTES" => None,
        "ROUTES_TABLE" => Some("table".to_owned()),
        "ROUTES_TTL_SECONDS" => Some("5".to_owned()),
        name => with(&WEBHOOK, &[])(name),
    };
    let config = WebhookConfig::read(&table).unwrap();
    assert_eq!(
        config.routes,
        RoutesConfig {
            source: None,
            table: Some("table".into()),
            ttl: Duration::from_secs(5),
        }
    );
}

#[test]
fn the_collection_has_a_path_and_a_table() {
    let base = [
        ("ROUTES", r#"{"routes":[]}"#),
        ("ROUTES_PATH", "/workflow-bridge/bridge/routes"),
        ("ROUTES_TABLE", "table"),
    ];
    let config = CollectConfig::read(&with(&base, &[])).unwrap();
    assert_eq!(config.path, "/workflow-bridge/bridge/routes/");
    for (variable, value) in [
        ("ROUTES", "ssm:"),
        ("ROUTES_PATH", "routes"),
        ("ROUTES_PATH", "/"),
        ("ROUTES_PATH", ""),
        ("ROUTES_TABLE", " "),
    ] {
        let over = [(variable, value)];
        let VariableProblems(list) = CollectConfig::read(&with(&base, &over)).unwrap_err();
        assert_eq!((list.len(), list[0].variable), (1, variable), "{value}");
    }
    let VariableProblems(list) = CollectConfig::read(&|_| None).unwrap_err();
    assert_eq!(list.len(), 2);
}
