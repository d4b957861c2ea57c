//! What all AWS clients share: one HTTP client, no retries of their own, and one reading of errors.

use std::error::Error;
use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::{DispatchFailure, SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;

use super::https::{self, RootsError};
use crate::config::environment;
use crate::ports::{Fault, FaultKind};

/// Bound of a connection's set-up.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);

/// Reads region, credentials and endpoints from wherever the AWS tools do, for what runs anywhere; in a function it is [`super::function::config`].
pub async fn config() -> SdkConfig {
    let http_client = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client)
        .retry_config(no_retries())
        .timeout_config(timeouts())
        .load()
        .await
}

/// Retries are off: [`crate::retry`] repeats calls, since it knows the deadline and reads what a 200 may hide.
pub(super) fn no_retries() -> RetryConfig {
    RetryConfig::disabled()
}

pub(super) fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_WITHIN)
        .build()
}

/// One HTTP connection pool in a function, for what no SDK is there for, too.
///
/// # Errors
///
/// When a variable names trusted roots that cannot be read.
pub(super) fn connector() -> Result<SharedHttpConnector, RootsError> {
    https::connector(&environment, CONNECT_WITHIN)
}

/// An SDK's error as a fault.
pub fn fault<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Fault {
    match error {
        SdkError::ConstructionFailure(_) => {
            Fault::permanent("BadRequest", "the request could not be built")
        }
        SdkError::TimeoutError(_) => Fault::timed_out(),
        SdkError::DispatchFailure(failure) if failure.is_user() => Fault::permanent(
            "BadRequest",
            "the request could not be sent; look at the endpoint's URL",
        ),
        SdkError::DispatchFailure(failure) if lacks_credentials(failure) => Fault::transient(
            "NoCredentials",
            "no AWS credentials could be had; look at the role, and at who may assume it",
        ),
        SdkError::DispatchFailure(_) => {
            Fault::transient("Unreachable", "no connection, or it broke")
        }
        SdkError::ResponseError(_) => {
            Fault::transient("BadResponse", "the response could not be read")
        }
        SdkError::ServiceError(service) => {
            let code = service.err().code().unwrap_or("Unknown");
            service_fault(
                code,
                service.err().message().unwrap_or_default(),
                service.raw().status().as_u16(),
            )
        }
        _ => Fault::transient("Unknown", "an unknown error"),
    }
}

/// Whether the request was not even signed. Whoever gives out credentials may be back soon, so it is worth another attempt.
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
