use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::credential_fn::provide_credentials_fn;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;

use super::*;

/// A service with one fixed response.
#[derive(Clone, Debug)]
struct Answers(u16, Vec<(&'static str, &'static str)>, String);

impl HttpConnector for Answers {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let mut response = http::Response::builder().status(self.0);
        for (name, value) in &self.1 {
            response = response.header(*name, *value);
        }
        let response = response.body(SdkBody::from(self.2.as_str())).unwrap();
        HttpConnectorFuture::ready(Ok(response.try_into().unwrap()))
    }
}

impl HttpClient for Answers {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

fn config(answers: Answers) -> SdkConfig {
    let credentials = Credentials::new("AKID", "secret", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .retry_config(aws_config::retry::RetryConfig::disabled())
        .http_client(answers)
        .build()
}

/// The fault of a StartExecution with this response.
async fn answered(
    status: u16,
    headers: &[(&'static str, &'static str)],
    body: impl Into<String>,
) -> Fault {
    let answers = Answers(status, headers.to_vec(), body.into());
    let client = aws_sdk_sfn::Client::new(&config(answers));
    let call = client.start_execution().state_machine_arn("arn").name("n");
    fault(&call.send().await.unwrap_err())
}

async fn kind_of(code: &str) -> FaultKind {
    let body = format!(r#"{{"__type":"com.amazonaws.states#{code}","message":"m"}}"#);
    let fault = answered(400, &[], body).await;
    assert_eq!(fault.code, code);
    fault.kind
}

/// Every code from the API references of the called operations, and the common errors of AWS's APIs, with status 400.
#[tokio::test]
async fn each_error_code_has_its_fault_kind() {
    for code in [
        // Step Functions, EventBridge, SQS, Secrets Manager, SSM, DynamoDB, S3.
        "ExecutionLimitExceeded",
        "KmsThrottlingException",
        "KmsInvalidStateException",
        "ThrottlingException",
        "InternalException",
        "InternalServiceError",
        "InternalServerError",
        "InternalFailure",
        "InternalError",
        "RequestThrottled",
        "KmsThrottled",
        "KmsInvalidState",
        "OverLimit",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "TransactionConflictException",
        "TransactionInProgressException",
        "LimitExceededException",
        "TooManyUpdates",
        "SlowDown",
        "OperationAborted",
        // All services.
        "Throttling",
        "ThrottledException",
        "TooManyRequestsException",
        "BandwidthLimitExceeded",
        "PriorRequestNotComplete",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        // Clock skew and expired credentials.
        "ExpiredToken",
        "ExpiredTokenException",
        "TokenRefreshRequired",
        "RequestExpired",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "InvalidSignatureException",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
    ] {
        assert_eq!(kind_of(code).await, FaultKind::Transient, "{code}");
    }
    for code in [
        "AccessDenied",
        "AccessDeniedException",
        "KmsAccessDeniedException",
        "KmsAccessDenied",
        "KmsDisabled",
        "KmsDisabledException",
        "KmsOptInRequired",
        "OptInRequired",
        "UnauthorizedOperation",
        "NotAuthorized",
        "InvalidSecurity",
    ] {
        assert_eq!(kind_of(code).await, FaultKind::Later, "{code}");
    }
    for code in [
        "ConditionalCheckFailedException",
        "InvalidArn",
        "InvalidExecutionInput",
        "InvalidName",
        "InvalidOutput",
        "InvalidToken",
        "KmsNotFoundException",
        "MalformedDetail",
        "InvalidArgument",
        "NotAuthorizedForSourceException",
        "NotAuthorizedForDetailTypeException",
        "InvalidAccountIdException",
        "NoSuchBucket",
        "ParameterNotFound",
        "QueueDoesNotExist",
        "ReceiptHandleIsInvalid",
        "ResourceNotFoundException",
        "StateMachineDeleting",
        "StateMachineDoesNotExist",
        "TaskDoesNotExist",
        "TaskTimedOut",
        "ValidationError",
        "ValidationException",
    ] {
        assert_eq!(kind_of(code).await, FaultKind::Permanent, "{code}");
    }
}

/// Error responses as AWS, its front ends and proxies in between send them.
#[tokio::test]
async fn the_fault_kind_depends_on_code_and_status() {
    let missing = "StateMachineDoesNotExist";
    let html = "<html><body><h1>Forbidden</h1></body></html>";
    let xml = "<ErrorResponse><Error><Code>Throttling</Code></Error></ErrorResponse>";
    for (status, body, code, kind) in [
        (
            400,
            r#"{"__type":"StateMachineDoesNotExist"}"#,
            missing,
            FaultKind::Permanent,
        ),
        (
            400,
            r#"{"code":"StateMachineDoesNotExist"}"#,
            missing,
            FaultKind::Permanent,
        ),
        (
            400,
            r#"{"code":"ThrottlingException"}"#,
            "ThrottlingException",
            FaultKind::Transient,
        ),
        (
            400,
            r#"{"__type":"AccessDeniedException","message":"a","Message":"b"}"#,
            "AccessDeniedException",
            FaultKind::Later,
        ),
        (
            400,
            "\u{feff}{\"__type\":\"StateMachineDoesNotExist\"}",
            "Unknown",
            FaultKind::Transient,
        ),
        (400, xml, "Unknown", FaultKind::Transient),
        (400, "", "Unknown", FaultKind::Transient),
        (400, "{}", "Unknown", FaultKind::Transient),
        (302, html, "Unknown", FaultKind::Transient),
        (403, html, "Unknown", FaultKind::Transient),
        (404, html, "Unknown", FaultKind::Transient),
        (407, html, "Unknown", FaultKind::Transient),
        (408, html, "Unknown", FaultKind::Transient),
        (425, html, "Unknown", FaultKind::Transient),
        (429, html, "Unknown", FaultKind::Transient),
        (
            500,
            r#"{"__type":"ValidationException"}"#,
            "ValidationException",
            FaultKind::Transient,
        ),
        (503, "busy", "Unknown", FaultKind::Transient),
        (413, html, "Unknown", FaultKind::Permanent),
        (
            413,
            r#"{"__type":"RequestEntityTooLarge"}"#,
            "RequestEntityTooLarge",
            FaultKind::Permanent,
        ),
    ] {
        let fault = answered(status, &[("x-amzn-requestid", "id-1")], body).await;
        assert_eq!(
            (fault.code.as_str(), fault.kind),
            (code, kind),
            "{status} {body}"
        );
        let traced = format!("(HTTP {status}, request id-1)");
        assert!(fault.text.ends_with(&traced), "{fault}");
    }
    let header = [(
        "x-amzn-errortype",
        "ThrottlingException:http://internal.amazon.com/",
    )];
    let fault = answered(400, &header, "{}").await;
    assert_eq!(fault.code, "ThrottlingException");
    assert!(fault.text.contains("request unknown"), "{fault}");
}

#[tokio::test]
async fn error_texts_that_may_quote_a_message_are_withheld() {
    let body = r#"{"__type":"InvalidExecutionInput","message":"Invalid Input: 'my secret text'"}"#;
    let quoting = answered(400, &[], body).await;
    assert!(!quoting.to_string().contains("secret"), "{quoting}");
    let body =
        r#"{"__type":"StateMachineDoesNotExist","message":"State Machine Does Not Exist: 'arn'"}"#;
    let naming = answered(400, &[], body).await;
    assert!(naming.to_string().contains("'arn'"), "{naming}");
}

#[tokio::test]
async fn a_failed_entry_has_the_fault_of_a_failed_call() {
    for (code, kind) in [
        (Some("InternalFailure"), FaultKind::Transient),
        (Some("ThrottlingException"), FaultKind::Transient),
        (Some("AccessDeniedException"), FaultKind::Later),
        (Some("MalformedDetail"), FaultKind::Permanent),
        (None, FaultKind::Transient),
    ] {
        assert_eq!(entry_fault(code, None, Some("id-1")).kind, kind, "{code:?}");
    }
    let fault = entry_fault(Some("MalformedDetail"), Some("secret"), Some("id-1"));
    assert_eq!(
        fault.to_string(),
        "MalformedDetail: the service's words are withheld: they may quote the message (HTTP 200, request id-1)"
    );
}

#[tokio::test]
async fn missing_credentials_are_transient() {
    let answers = Answers(200, vec![], "{}".to_owned());
    let provider = provide_credentials_fn(async || Err(CredentialsError::not_loaded("none")));
    let config = config(answers).into_builder();
    let config = config.credentials_provider(SharedCredentialsProvider::new(provider));
    let client = aws_sdk_sfn::Client::new(&config.build());
    let call = client.start_execution().state_machine_arn("arn").name("n");
    let fault = fault(&call.send().await.unwrap_err());
    assert_eq!(
        (fault.code.as_str(), fault.kind),
        ("NoCredentials", FaultKind::Transient)
    );
}

#[tokio::test]
async fn a_missing_region_is_not_permanent() {
    let answers = Answers(200, vec![], "{}".to_owned());
    let config = config(answers).into_builder().region(None).build();
    let client = aws_sdk_sfn::Client::new(&config);
    let call = client.start_execution().state_machine_arn("arn").name("n");
    let fault = fault(&call.send().await.unwrap_err());
    assert_ne!(fault.kind, FaultKind::Permanent, "{fault}");
}

#[tokio::test]
async fn expired_credentials_are_remembered() {
    answered(400, &[], r#"{"__type":"ExpiredTokenException"}"#).await;
    assert!(credentials_expired());
}
