//! A message that answers a workflow waiting on a task token.

use crate::domain::fault::Fault;
use crate::domain::inbound::message::TopicMessage;
use crate::domain::inbound::routes::Resume;
use crate::domain::ports::{TaskAnswer, Verdict};

/// Most characters of a task token, by SendTaskSuccess's model.
const TOKEN_MAX: usize = 2048;
/// Most bytes of an output, by SendTaskSuccess's model (`SensitiveData`, UTF-8).
const OUTPUT_MAX: usize = 262_144;
/// Most characters of an error and of a cause, by SendTaskFailure's model.
const ERROR_MAX: usize = 256;
const CAUSE_MAX: usize = 32_768;
/// The error of a declining answer without an error name of its own.
const DECLINED: &str = "WorkflowBridge.Declined";

/// The answer in a message.
///
/// A value at the route's `error` fails the task: a text is the error's name, an object may have `error` and `cause`, and
/// anything else is the cause. Otherwise the value at `output` is the task's output, `null` by default.
///
/// # Errors
///
/// A permanent fault, if the token is missing or the output is too long.
pub fn answer(message: &TopicMessage, resume: &Resume) -> Result<TaskAnswer, Fault> {
    let token = resume.token.find_text(message);
    let token = token.filter(|token| (1..=TOKEN_MAX).contains(&token.chars().count()));
    let token = token.ok_or_else(|| {
        Fault::permanent(
            "NoToken",
            format!(
                "expected a task token, a text of 1 to {TOKEN_MAX} characters, at `{}`, found none",
                resume.token
            ),
        )
    })?;
    let failure = resume.error.as_ref().and_then(|path| path.find(message));
    if let Some(failure) = failure {
        return Ok(TaskAnswer {
            token,
            verdict: self::failure(&failure),
        });
    }
    let output = match resume.output.find(message) {
        Some(output) => output.into_owned(),
        None => "null".to_owned(),
    };
    if output.len() > OUTPUT_MAX {
        return Err(Fault::permanent(
            "OutputTooLarge",
            format!(
                "expected an output of at most {OUTPUT_MAX} bytes at `{}`, found {}",
                resume.output,
                output.len()
            ),
        ));
    }
    Ok(TaskAnswer {
        token,
        verdict: Verdict::Success(output),
    })
}

fn failure(json: &str) -> Verdict {
    let value: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    let cut = |text: &str, most| text.chars().take(most).collect::<String>();
    let (error, cause) = match &value {
        serde_json::Value::String(error) if !error.is_empty() => (error.as_str(), None),
        other => {
            let cause = match other["cause"].as_str() {
                Some(cause) => cause,
                None => json,
            };
            (other["error"].as_str().unwrap_or(DECLINED), Some(cause))
        }
    };
    Verdict::Failure {
        error: cut(error, ERROR_MAX),
        cause: cause.map(|cause| cut(cause, CAUSE_MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::inbound::message::tests::message;
    use crate::domain::inbound::routes::FieldPath;
    use serde_json::json;

    fn read(text: &str) -> Result<TaskAnswer, Fault> {
        let path = |text| FieldPath::parse(text).unwrap();
        let resume = Resume {
            token: path("json.token"),
            output: path("json.answer"),
            error: Some(path("json.error")),
        };
        answer(&message(json!({ "text": text })), &resume)
    }

    fn verdict(text: &str) -> Verdict {
        read(text).unwrap().verdict
    }

    #[test]
    fn an_answer_keeps_its_digits() {
        let answer = read(r#"{"token": "t", "answer": {"n": 9007199254740993}, "error": null}"#);
        let expected = TaskAnswer {
            token: "t".into(),
            verdict: Verdict::Success(r#"{"n": 9007199254740993}"#.into()),
        };
        assert_eq!(answer.unwrap(), expected);
        assert_eq!(verdict(r#"{"token":"t"}"#), Verdict::Success("null".into()));
    }

    #[test]
    fn an_error_in_any_shape_fails_the_task() {
        for (error, name, cause) in [
            (r#""Denied""#, "Denied", None),
            (
                r#"{"error":"Denied","cause":"too dear"}"#,
                "Denied",
                Some("too dear"),
            ),
            (r#"{"cause":"too dear"}"#, DECLINED, Some("too dear")),
            (r#"{"why":1}"#, DECLINED, Some(r#"{"why":1}"#)),
            ("true", DECLINED, Some("true")),
            (r#""""#, DECLINED, Some(r#""""#)),
        ] {
            let text = format!(r#"{{"token":"t","answer":1,"error":{error}}}"#);
            let expected = Verdict::Failure {
                error: name.into(),
                cause: cause.map(Into::into),
            };
            assert_eq!(verdict(&text), expected, "{error}");
        }
        let long = "ü".repeat(40_000);
        let Verdict::Failure { error, cause } = verdict(&format!(
            r#"{{"token":"t","error":{{"error":"{long}","cause":"{long}"}}}}"#
        )) else {
            panic!("expected a failure");
        };
        assert_eq!(error.chars().count(), ERROR_MAX);
        assert_eq!(cause.unwrap().chars().count(), CAUSE_MAX);
    }

    #[test]
    fn a_message_without_a_token_is_refused() {
        for text in [
            "no JSON".to_owned(),
            r#"{"answer":1}"#.to_owned(),
            r#"{"token":""}"#.to_owned(),
            r#"{"token":1}"#.to_owned(),
            format!(r#"{{"token":"{}"}}"#, "t".repeat(TOKEN_MAX + 1)),
        ] {
            let fault = read(&text).unwrap_err();
            assert_eq!(fault.code, "NoToken", "{text}");
        }
        let long = format!(r#"{{"token":"t","answer":"{}"}}"#, "x".repeat(OUTPUT_MAX));
        assert_eq!(read(&long).unwrap_err().code, "OutputTooLarge");
    }
}
