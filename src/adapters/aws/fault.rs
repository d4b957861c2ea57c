//! The SDKs' errors as faults, classified by whether a retry can help.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_credential_types::provider::error::CredentialsError;
use aws_runtime::retries::classifiers::{THROTTLING_ERRORS, TRANSIENT_ERRORS};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::{DispatchFailure, SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::retry::{ErrorKind, ProvideErrorKind};
use aws_types::request_id::RequestId;

use crate::domain::fault::{Fault, FaultKind};

/// Whether a service refused this process's credentials as expired.
static EXPIRED: AtomicBool = AtomicBool::new(false);

/// Whether a service refused this process's credentials as expired. Lambda sets a function's credentials once, at its start,
/// so the function has to start again.
pub fn credentials_expired() -> bool {
    EXPIRED.load(Ordering::Relaxed)
}

/// Transient errors beyond those that the SDKs retry: temporary limits, expired credentials, clock skew, keys changing
/// state.
const PASSING: [&str; 29] = [
    "ExecutionLimitExceeded",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InternalError",
    "InternalException",
    "InternalFailure",
    "InternalServerError",
    "InternalServiceError",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "KmsInvalidState",
    "KmsInvalidStateException",
    "KmsThrottled",
    "KmsThrottlingException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "OperationAborted",
    "OverLimit",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
    "TooManyUpdates",
    "TransactionConflictException",
    "UnrecognizedClientException",
];

/// Missing permissions and disabled keys: IAM takes seconds to propagate, and an operator can correct them.
const DENIALS: [&str; 11] = [
    "AccessDenied",
    "AccessDeniedException",
    "InvalidSecurity",
    "KmsAccessDenied",
    "KmsAccessDeniedException",
    "KmsDisabled",
    "KmsDisabledException",
    "KmsOptInRequired",
    "NotAuthorized",
    "OptInRequired",
    "UnauthorizedOperation",
];

/// An SDK's error as a fault.
pub fn fault<E>(error: &SdkError<E, HttpResponse>) -> Fault
where
    E: ProvideErrorMetadata + ProvideErrorKind,
{
    match error {
        SdkError::ConstructionFailure(_) => {
            Fault::permanent("BadRequest", "the request could not be built")
        }
        SdkError::TimeoutError(_) => Fault::timed_out(),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => Fault::timed_out(),
        SdkError::DispatchFailure(failure) if failure.is_user() => Fault::permanent(
            "BadRequest",
            "the request could not be sent; look at the endpoint's URL",
        ),
        SdkError::DispatchFailure(failure) if lacks_credentials(failure) => Fault::transient(
            "NoCredentials",
            "no AWS credentials were found; look at the role, and at its trust policy",
        ),
        SdkError::DispatchFailure(_) => {
            Fault::transient("Unreachable", "no connection, or it broke")
        }
        SdkError::ResponseError(response) => {
            let answer = Answer::of(response.raw(), error.request_id());
            answer.fault(None, None, None)
        }
        SdkError::ServiceError(service) => {
            let answer = Answer::of(service.raw(), error.request_id());
            let metadata = service.err().meta();
            let kind = service.err().retryable_error_kind();
            answer.fault(metadata.code(), metadata.message(), kind)
        }
        _ => Fault::transient("Unknown", "an unknown error"),
    }
}

/// The failure of one entry of a response whose status is 200.
pub fn entry_fault(code: Option<&str>, message: Option<&str>, request_id: Option<&str>) -> Fault {
    let answer = Answer {
        status: 200,
        request_id,
    };
    answer.fault(code, message, None)
}

/// A success response without the operation's result, for example from a proxy: the SDKs fill in missing fields.
pub fn unproven(operation: &str) -> Fault {
    let text = format!("expected the result of {operation}, found a response without one");
    Fault::transient("BadResponse", text)
}

/// Whether the request could not be signed. Credentials may return soon, so a retry can help.
fn lacks_credentials(failure: &DispatchFailure) -> bool {
    let mut cause = failure.as_connector_error().and_then(Error::source);
    while let Some(error) = cause {
        if error.is::<CredentialsError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// An error response.
#[derive(Clone, Copy)]
struct Answer<'a> {
    status: u16,
    request_id: Option<&'a str>,
}

impl<'a> Answer<'a> {
    fn of(raw: &HttpResponse, request_id: Option<&'a str>) -> Self {
        Self {
            status: raw.status().as_u16(),
            request_id,
        }
    }

    /// `kind` is the SDK's own classification.
    fn fault(self, code: Option<&str>, message: Option<&str>, kind: Option<ErrorKind>) -> Fault {
        if code.is_some_and(|code| code.starts_with("ExpiredToken")) {
            EXPIRED.store(true, Ordering::Relaxed);
        }
        Fault {
            kind: self.kind(code, kind),
            code: code.unwrap_or("Unknown").to_owned(),
            text: self.text(code, message),
        }
    }

    fn kind(self, code: Option<&str>, kind: Option<ErrorKind>) -> FaultKind {
        // A retry cannot help an oversized request, whether the service or a proxy refuses it.
        if self.status == 413 {
            return FaultKind::Permanent;
        }
        let Some(code) = code else {
            // Not from AWS, but from a proxy, a captive portal or a load balancer.
            return FaultKind::Transient;
        };
        let is_retryable = kind.is_some_and(|kind| kind != ErrorKind::ClientError)
            || matches!(self.status, 408 | 425 | 429 | 500..)
            || THROTTLING_ERRORS.contains(&code)
            || TRANSIENT_ERRORS.contains(&code)
            || PASSING.contains(&code);
        if is_retryable {
            return FaultKind::Transient;
        }
        match DENIALS.contains(&code) {
            true => FaultKind::Later,
            false => FaultKind::Permanent,
        }
    }

    fn text(self, code: Option<&str>, message: Option<&str>) -> String {
        let words = match code {
            None => "a response without an AWS error code",
            Some(code) if quotes_no_content(code) => message.unwrap_or_default(),
            Some(_) => "the service's words are withheld: they may quote the message",
        };
        let space = if words.is_empty() { "" } else { " " };
        let request = self.request_id.unwrap_or("unknown");
        format!("{words}{space}(HTTP {}, request {request})", self.status)
    }
}

/// Whether the error's text consists of names and ARNs only. `InvalidExecutionInput` and `ValidationException`, for
/// example, quote the input, and `InvalidSignatureException` the session token.
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
mod tests;
