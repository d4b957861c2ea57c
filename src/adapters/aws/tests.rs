use super::*;

#[test]
fn a_services_endpoint_overrides_the_common_one() {
    let lookup = |name: &str| match name {
        "AWS_ENDPOINT_URL" => Some("all".to_owned()),
        "AWS_ENDPOINT_URL_SECRETS_MANAGER" => Some("secrets".to_owned()),
        "AWS_ENDPOINT_URL_SQS" => Some(String::new()),
        _ => None,
    };
    let of = |service| endpoint(&lookup, ENDPOINT, service);
    assert_eq!(of("Secrets Manager").as_deref(), Some("secrets"));
    assert_eq!(of("SFN").as_deref(), Some("all"));
    assert_eq!(of("SQS").as_deref(), Some("all"));
    assert_eq!(endpoint(&|_| None, ENDPOINT, "SFN"), None);
}

#[test]
fn endpoints_can_be_ignored() {
    let lookup = |name: &str| match name {
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS" => Some("True".to_owned()),
        _ => Some("named".to_owned()),
    };
    assert_eq!(endpoint(&lookup, ENDPOINT, "SFN"), None);
}
