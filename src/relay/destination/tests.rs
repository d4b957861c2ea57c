use super::*;

fn said(status: u16, body: &str) -> Answered {
    verdict(Ok((StatusCode::from_u16(status).unwrap(), body.into())))
}

#[test]
fn an_answer_says_whether_to_come_again() {
    assert_eq!(said(200, ""), Answered::Taken);
    assert_eq!(said(204, ""), Answered::Taken);
    for status in [301, 408, 425, 429, 500, 502, 503, 504] {
        assert!(
            matches!(said(status, "<html>"), Answered::NotNow(_)),
            "{status}"
        );
    }
    for status in [400, 403, 404, 405, 413] {
        assert!(
            matches!(said(status, "[1]"), Answered::Refused(_)),
            "{status}"
        );
    }
    assert!(matches!(said(401, "{}"), Answered::Unauthorized(_)));
}

#[test]
fn a_refusal_has_the_bridges_word() {
    let refused = said(400, r#"{"code":"malformed"}"#);
    let refusal = Refusal {
        status: 400,
        code: "malformed".into(),
    };
    assert_eq!(refused, Answered::Refused(refusal));
    let Answered::NotNow(reason) = said(503, r#"{"code":"not_stored"}"#) else {
        panic!("expected a wait");
    };
    assert_eq!(reason, "it answers 503 Service Unavailable, `not_stored`");
}

#[test]
fn a_message_whose_time_is_refused_is_not_refused_itself() {
    for code in ["stale", "from_the_future"] {
        let answered = said(403, &format!(r#"{{"code":"{code}","id":"0"}}"#));
        assert!(matches!(answered, Answered::WrongTime(_)), "{answered:?}");
    }
    // Of what is no bridge, or of what stands before it.
    assert!(matches!(said(403, "Forbidden"), Answered::Refused(_)));
    assert!(matches!(
        said(400, r#"{"code":"stale"}"#),
        Answered::Refused(_)
    ));
}

#[test]
fn an_attempt_waits_for_longer_than_the_function_may_run() {
    let template = include_str!("../../../template.yaml");
    let function = template.split_once("\n  WebhookFunction:\n").unwrap().1;
    let seconds = function.split_once("\n      Timeout: ").unwrap().1;
    let seconds = seconds.lines().next().unwrap().parse().unwrap();
    assert!(ANSWER_WITHIN >= Duration::from_secs(seconds) + CONNECT_WITHIN);
}

#[test]
fn only_a_url_of_http_will_do() {
    for wrong in ["", "webhook", "ftp://host/", "http//host"] {
        let error = Door::http(wrong).err().unwrap();
        assert!(error.starts_with("expected the webhook's URL"), "{error}");
    }
    assert!(Door::http("https://host/path").is_ok());
}
