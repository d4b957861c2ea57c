//! Compared with the SDK's signer, and with the examples of the S3 API reference.

use std::time::Duration;

use aws_sigv4::http_request::{
    PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4::SigningParams;
use proptest::prelude::*;

use super::*;

fn credentials(token: Option<&str>) -> Arc<Credentials> {
    Arc::new(Credentials {
        access_key_id: "AKIAIOSFODNN7EXAMPLE".into(),
        secret_access_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
        session_token: token.map(str::to_owned),
    })
}

fn at(second: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(second)
}

/// What the SDK would add to a request: the value of `Authorization`, or the query.
fn sdk(
    credentials: &Credentials,
    now: SystemTime,
    service: &str,
    request: SignableRequest<'_>,
    expires: Option<u64>,
) -> Vec<(String, String)> {
    let identity = aws_credential_types::Credentials::new(
        &credentials.access_key_id,
        &credentials.secret_access_key,
        credentials.session_token.clone(),
        None,
        "test",
    );
    let identity = identity.into();
    let mut settings = SigningSettings::default();
    if let Some(seconds) = expires {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(seconds));
    }
    let params = SigningParams::builder()
        .identity(&identity)
        .region("eu-west-1")
        .name(service)
        .time(now)
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let (instructions, _) = sign(request, &params).unwrap().into_parts();
    let headers = instructions.headers();
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let query = instructions.params().iter();
    let query = query.map(|(name, value)| ((*name).to_owned(), value.to_string()));
    headers.chain(query).collect()
}

fn named<'a>(pairs: &'a [(String, String)], name: &str) -> &'a str {
    let found = pairs.iter().find(|(known, _)| known == name);
    &found.expect(name).1
}

#[test]
fn a_time_is_written_as_sigv4_wants_it() {
    for (second, text) in [
        (0, "19700101T000000Z"),
        (951_827_696, "20000229T123456Z"),
        (1_709_251_199, "20240229T235959Z"),
        (1_709_251_200, "20240301T000000Z"),
        (1_764_178_711, "20251126T173831Z"),
        (4_107_542_399, "21000228T235959Z"),
        (4_107_542_400, "21000301T000000Z"),
    ] {
        assert_eq!(time(at(second)), text);
    }
}

/// "Authenticating requests: using query parameters" of the S3 API reference.
#[test]
fn the_url_of_the_reference_is_signed_alike() {
    let signer = Signer::new("us-east-1", "s3");
    let time = time(at(1_369_353_600));
    let place = ("examplebucket.s3.amazonaws.com", "/test.txt");
    let query = signer.presigned_query(&credentials(None), &time, place, 86_400);
    let signature = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    assert!(query.ends_with(signature), "{query}");
}

#[test]
fn a_key_is_made_anew_for_another_day_and_other_credentials() {
    let signer = Signer::new("us-east-1", "states");
    let [one, other] = [None, Some("token")].map(credentials);
    let request = Signable {
        method: "POST",
        path: "/",
        query: "",
        headers: &[("host", "h")],
        payload: "",
    };
    let sign = |credentials, time| signer.signature(credentials, time, request);
    let first = sign(&one, "20261126T000000Z");
    assert_ne!(first, sign(&one, "20261127T000000Z"));
    assert_eq!(first, sign(&one, "20261126T000000Z"));
    let mut changed = Credentials::clone(&other);
    changed.secret_access_key = "another".into();
    let changed = Arc::new(changed);
    assert_ne!(first, sign(&changed, "20261126T000000Z"));
    assert_eq!(first, sign(&other, "20261126T000000Z"));
}

#[test]
fn nothing_prints_a_secret() {
    let credentials = credentials(Some("the token"));
    let signer = Signer::new("us-east-1", "states");
    signer.key(&credentials, "20261126");
    let printed = format!("{credentials:?} {signer:?}");
    assert!(
        !printed.contains("wJalr") && !printed.contains("the token"),
        "{printed}"
    );
}

proptest! {
    #[test]
    fn any_request_is_signed_as_the_sdk_signs_it(
        second in 0u64..4_000_000_000,
        host in "[a-z0-9.-]{1,40}(:[1-9][0-9]{1,4})?",
        target in "[A-Za-z0-9_.]{1,40}",
        token in proptest::option::of("[A-Za-z0-9+/=]{1,100}"),
        body in any::<Vec<u8>>(),
    ) {
        let credentials = credentials(token.as_deref());
        let time = time(at(second));
        let mut headers = vec![
            ("content-type", "application/x-amz-json-1.0"), ("host", &*host), ("x-amz-date", &*time),
        ];
        headers.extend(token.as_deref().map(|token| ("x-amz-security-token", token)));
        headers.push(("x-amz-target", &*target));
        let request = Signable {
            method: "POST", path: "/", query: "", headers: &headers, payload: &sha256(&body),
        };
        let found = Signer::new("eu-west-1", "states").authorization(&credentials, &time, request);

        let given = [("content-type", "application/x-amz-json-1.0"), ("host", &*host), ("x-amz-target", &*target)];
        let signable = SignableRequest::new(
            "POST", format!("https://{host}/"), given.into_iter(), SignableBody::Bytes(&body),
        );
        let expected = sdk(&credentials, at(second), "states", signable.unwrap(), None);
        prop_assert_eq!(found, named(&expected, "authorization"));
    }

    #[test]
    fn any_url_is_signed_as_the_sdk_signs_it(
        second in 0u64..4_000_000_000,
        path in "(/[A-Za-z0-9_.-]{1,20}){1,3}",
        token in proptest::option::of("[A-Za-z0-9+/=]{1,100}"),
        seconds in 1u64..604_800,
    ) {
        prop_assume!(!path.contains("/."));
        let credentials = credentials(token.as_deref());
        let host = "bucket.s3.eu-west-1.amazonaws.com";
        let query = Signer::new("eu-west-1", "s3").presigned_query(&credentials, &time(at(second)), (host, &path), seconds);

        let url = format!("https://{host}{path}");
        let signable = SignableRequest::new("GET", url, [("host", host)].into_iter(), SignableBody::UnsignedPayload);
        let expected = sdk(&credentials, at(second), "s3", signable.unwrap(), Some(seconds));
        let expected = expected.iter().map(|(name, value)| format!("{name}={}", encoded(value)));
        let mut expected: Vec<_> = expected.collect();
        expected.sort();
        let mut found: Vec<_> = query.split('&').map(str::to_owned).collect();
        found.sort();
        prop_assert_eq!(found, expected);
    }
}
