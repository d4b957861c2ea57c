//! A message that answers a workflow which waits on a task token.

use crate::message::TopicMessage;
use crate::ports::Fault;
use crate::routes::Resume;

/// Most characters of a task token, by SendTaskSuccess's model.
const TOKEN_MAX: usize = 2048;
/// Most bytes of an output, by SendTaskSuccess's model (`SensitiveData`, UTF-8).
const OUTPUT_MAX: usize = 262_144;
/// Most characters of an error and of a cause, by SendTaskFailure's model.
const ERROR_MAX: usize = 256;
const CAUSE_MAX: usize = 32_768;
/// The error of an answer that says no in another way than by an error's name.
const DECLINED: &str = "WorkflowBridge.Declined";

/// What a waiting task is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskAnswer {
    pub token: String,
    pub verdict: Verdict,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The task's output, as JSON.
    Success(String),
    Failure {
        error: String,
        cause: Option<String>,
    },
}

/// The answer in a message.
///
/// Where something stands at the route's `error`, the task fails: a text is the error's name, an object may have `error` and
/// `cause`, and anything else is the cause. Else the output is what stands at `output`, or `null` for nothing.
///
/// # Errors
///
/// A permanent fault, when there is no token or the output is too long.
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
    use crate::message::tests::message;
    use crate::routes::FieldPath;
    use serde_json::json;

    fn said(text: &str) -> Result<TaskAnswer, Fault> {
        let path = |text| FieldPath::parse(text).unwrap();
        let resume = Resume {
            token: path("json.token"),
            output: path("json.answer"),
            error: Some(path("json.error")),
        };
        answer(&message(json!({ "text": text })), &resume)
    }

    fn verdict(text: &str) -> Verdict {
        said(text).unwrap().verdict
    }

    #[test]
    fn an_answer_keeps_its_digits() {
        let answer = said(r#"{"token": "t", "answer": {"n": 9007199254740993}, "error": null}"#);
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
    fn without_a_token_nobody_is_answered() {
        for text in [
            "no JSON".to_owned(),
            r#"{"answer":1}"#.to_owned(),
            r#"{"token":""}"#.to_owned(),
            r#"{"token":1}"#.to_owned(),
            format!(r#"{{"token":"{}"}}"#, "t".repeat(TOKEN_MAX + 1)),
        ] {
            let fault = said(&text).unwrap_err();
            assert_eq!(fault.code, "NoToken", "{text}");
        }
        let long = format!(r#"{{"token":"t","answer":"{}"}}"#, "x".repeat(OUTPUT_MAX));
        assert_eq!(said(&long).unwrap_err().code, "OutputTooLarge");
    }
}
