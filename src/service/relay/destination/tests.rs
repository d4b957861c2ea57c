use super::*;

fn read(status: u16, body: &str) -> Answered {
    verdict(Ok((StatusCode::from_u16(status).unwrap(), body.into())))
}

#[test]
fn the_status_decides_about_another_attempt() {
    assert_eq!(read(200, ""), Answered::Taken);
    assert_eq!(read(204, ""), Answered::Taken);
    for status in [301, 408, 425, 429, 500, 502, 503, 504] {
        assert!(
            matches!(read(status, "<html>"), Answered::NotNow(_)),
            "{status}"
        );
    }
    for status in [400, 403, 404, 405, 413] {
        assert!(
            matches!(read(status, "[1]"), Answered::Refused(_)),
            "{status}"
        );
    }
    assert!(matches!(read(401, "{}"), Answered::Unauthorized(_)));
}

#[test]
fn a_refusal_has_the_bridges_code() {
    let refused = read(400, r#"{"code":"malformed"}"#);
    let refusal = Refusal {
        status: 400,
        code: "malformed".into(),
    };
    assert_eq!(refused, Answered::Refused(refusal));
    let Answered::NotNow(reason) = read(503, r#"{"code":"not_stored"}"#) else {
        panic!("expected a wait");
    };
    assert_eq!(reason, "it answers 503 Service Unavailable, `not_stored`");
}

#[test]
fn a_refused_time_is_not_a_refused_message() {
    for code in ["stale", "from_the_future"] {
        let answered = read(403, &format!(r#"{{"code":"{code}","id":"0"}}"#));
        assert!(matches!(answered, Answered::WrongTime(_)), "{answered:?}");
    }
    // From another server, or from a proxy before the bridge.
    assert!(matches!(read(403, "Forbidden"), Answered::Refused(_)));
    assert!(matches!(
        read(400, r#"{"code":"stale"}"#),
        Answered::Refused(_)
    ));
}

#[test]
fn an_attempt_outlasts_the_functions_timeout() {
    let template = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/template.yaml"));
    let function = template.split_once("\n  WebhookFunction:\n").unwrap().1;
    let seconds = function.split_once("\n      Timeout: ").unwrap().1;
    let seconds = seconds.lines().next().unwrap().parse().unwrap();
    assert!(ANSWER_WITHIN >= Duration::from_secs(seconds) + CONNECT_WITHIN);
}

#[test]
fn only_http_urls_are_accepted() {
    for wrong in ["", "webhook", "ftp://host/", "http//host"] {
        let error = Transport::http(wrong).err().unwrap();
        assert!(error.starts_with("expected the webhook's URL"), "{error}");
    }
    assert!(Transport::http("https://host/path").is_ok());
}
