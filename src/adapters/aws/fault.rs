//! Errors that AWS names, as faults.

use http::HeaderMap;
use serde::Deserialize;

use crate::ports::{Fault, FaultKind};

/// Nobody answered.
pub fn unreachable() -> Fault {
    Fault::transient("Unreachable", "no connection, or it broke")
}

/// A request that could not go out.
pub fn unsent() -> Fault {
    let text = "the request could not be sent; look at the endpoint's URL";
    Fault::permanent("BadRequest", text)
}

/// Nobody to sign for. Whoever gives out credentials may be back soon, so it is worth another attempt.
pub fn no_credentials() -> Fault {
    let text = "no AWS credentials could be had; look at the role, and at who may assume it";
    Fault::transient("NoCredentials", text)
}

/// An answer that is none of success.
#[derive(Deserialize, Default)]
struct Error {
    #[serde(rename = "__type", default)]
    kind: Option<String>,
    #[serde(default, alias = "Message")]
    message: Option<String>,
}

/// The error of an answer in AWS's JSON protocols.
///
/// Its name is in a header or in the body, with a namespace before it (`com.amazonaws.states#`) or an address behind it. SQS
/// tells the name that its former protocol had in a header, and that one is documented.
pub fn answered(status: u16, headers: &HeaderMap, body: &[u8]) -> Fault {
    let header = |name| headers.get(name)?.to_str().ok();
    let error = serde_json::from_slice::<Error>(body).unwrap_or_default();
    let code = header("x-amzn-query-error")
        .and_then(|error| error.split(';').next())
        .or_else(|| header("x-amzn-errortype"))
        .or(error.kind.as_deref())
        .unwrap_or("Unknown");
    let code = code.rsplit('#').next().unwrap_or(code);
    let code = code.split(':').next().unwrap_or(code).trim();
    service_fault(code, error.message.as_deref().unwrap_or_default(), status)
}

/// An error that a service named, with the HTTP status it came with.
pub fn service_fault(code: &str, message: &str, status: u16) -> Fault {
    /// Named as a client's error, but a later attempt can work.
    const TRANSIENT: [&str; 11] = [
        "ExecutionLimitExceeded",
        "ExpiredToken",
        "ExpiredTokenException",
        "InternalFailure",
        "KmsThrottled",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "TooManyRequestsException",
    ];
    let transient =
        status >= 500 || status == 429 || code.contains("Throttl") || TRANSIENT.contains(&code);
    Fault {
        kind: if transient {
            FaultKind::Transient
        } else {
            FaultKind::Permanent
        },
        code: code.to_owned(),
        text: if quotes_no_content(code) {
            message
        } else {
            "the service's words are withheld: they may quote the message"
        }
        .to_owned(),
    }
}

/// Whether an error's words hold names and ARNs only. `InvalidExecutionInput` and `ValidationException`, for
/// example, quote the input, and `InvalidSignatureException` the session's token.
fn quotes_no_content(code: &str) -> bool {
    [
        "AccessDenied",
        "DoesNotExist",
        "NotFound",
        "NonExistent",
        "Throttl",
        "LimitExceeded",
        "Expired",
        "UnrecognizedClient",
        "Kms",
    ]
    .iter()
    .any(|part| code.contains(part))
        || matches!(code, "InvalidArn" | "InvalidName" | "StateMachineDeleting")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_error_is_found_wherever_a_service_puts_it() {
        for (header, body, code) in [
            (
                None,
                r#"{"__type":"com.amazonaws.states#StateMachineDoesNotExist"}"#,
                "StateMachineDoesNotExist",
            ),
            (
                None,
                r#"{"__type":"ExecutionLimitExceeded","message":"m"}"#,
                "ExecutionLimitExceeded",
            ),
            (
                Some((
                    "x-amzn-errortype",
                    "ThrottlingException:http://internal.amazon.com/",
                )),
                "{}",
                "ThrottlingException",
            ),
            (
                Some((
                    "x-amzn-query-error",
                    "AWS.SimpleQueueService.NonExistentQueue;Sender",
                )),
                r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist"}"#,
                "AWS.SimpleQueueService.NonExistentQueue",
            ),
            (None, "<html>", "Unknown"),
            (None, "", "Unknown"),
        ] {
            let mut headers = HeaderMap::new();
            if let Some((name, value)) = header {
                headers.insert(name, value.parse().unwrap());
            }
            assert_eq!(
                answered(400, &headers, body.as_bytes()).code,
                code,
                "{body}"
            );
        }
    }

    #[test]
    fn the_words_of_an_error_are_found_in_either_spelling() {
        for key in ["message", "Message"] {
            let body = format!(r#"{{"__type":"AccessDeniedException","{key}":"why"}}"#);
            assert_eq!(
                answered(400, &HeaderMap::new(), body.as_bytes()).text,
                "why"
            );
        }
        let error = answered(503, &HeaderMap::new(), b"busy");
        assert_eq!(error.kind, FaultKind::Transient);
    }

    #[test]
    fn faults_are_sorted_by_whether_asking_again_can_help() {
        for (code, status) in [
            ("ThrottlingException", 400),
            ("ExecutionLimitExceeded", 400),
            ("KmsThrottlingException", 400),
            ("ProvisionedThroughputExceededException", 400),
            ("RequestLimitExceeded", 400),
            ("InternalFailure", 200),
            ("Unknown", 503),
            ("Unknown", 429),
        ] {
            assert_eq!(
                service_fault(code, "", status).kind,
                FaultKind::Transient,
                "{code}"
            );
        }
        for code in [
            "StateMachineDoesNotExist",
            "AccessDeniedException",
            "InvalidExecutionInput",
            "ValidationException",
            "MalformedDetail",
            "NotAuthorizedForSourceException",
            "KmsAccessDeniedException",
        ] {
            assert_eq!(
                service_fault(code, "", 400).kind,
                FaultKind::Permanent,
                "{code}"
            );
        }
    }

    #[test]
    fn words_that_may_quote_a_message_are_withheld() {
        let quoting = service_fault(
            "InvalidExecutionInput",
            "Invalid Input: 'my secret text'",
            400,
        );
        assert!(!quoting.to_string().contains("secret"));
        let naming = service_fault(
            "StateMachineDoesNotExist",
            "State Machine Does Not Exist: 'arn'",
            400,
        );
        assert!(naming.to_string().contains("'arn'"));
    }
}
