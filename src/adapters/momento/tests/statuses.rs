//! Every gRPC status as the SDK reports it. `tests/it/resets.rs` covers connection errors.

use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};

use super::*;
use FaultKind::{Later, Permanent, Transient};

fn of(status: Status) -> Fault {
    fault(&MomentoError::from(status))
}

fn with_cause(code: Code, cause: &'static str) -> Status {
    let mut metadata = MetadataMap::new();
    metadata.insert("err", MetadataValue::from_static(cause));
    Status::with_metadata(code, "no", metadata)
}

const CODES: [(Code, FaultKind, &str); 16] = [
    (Code::Cancelled, Transient, "CancelledError"),
    (Code::Unknown, Transient, "InternalServerError"),
    (Code::InvalidArgument, Permanent, "InvalidArgumentError"),
    (Code::DeadlineExceeded, Transient, "TimeoutError"),
    (Code::NotFound, Permanent, "CacheNotFoundError"),
    (Code::AlreadyExists, Permanent, "AlreadyExistsError"),
    (Code::PermissionDenied, Permanent, "PermissionError"),
    (Code::ResourceExhausted, Transient, "LimitExceededError"),
    (Code::FailedPrecondition, Later, "FailedPreconditionError"),
    (Code::Aborted, Transient, "InternalServerError"),
    (Code::OutOfRange, Permanent, "BadRequestError"),
    (Code::Unimplemented, Permanent, "BadRequestError"),
    (Code::Internal, Transient, "InternalServerError"),
    (Code::Unavailable, Transient, "ServerUnavailable"),
    (Code::DataLoss, Transient, "InternalServerError"),
    (Code::Unauthenticated, Later, "AuthenticationError"),
];

#[test]
fn a_status_of_the_service_has_its_fault_kind() {
    for (code, kind, name) in CODES {
        let found = of(Status::new(code, "no"));
        assert_eq!((found.kind, found.code.as_str()), (kind, name));
    }
    // An OK as an error makes no sense, and may be transient.
    assert_eq!(of(Status::new(Code::Ok, "")).kind, Transient);
    let item = of(with_cause(Code::NotFound, "item_not_found"));
    assert_eq!(
        (item.kind, item.code.as_str()),
        (Permanent, "ItemNotFoundError")
    );
}

#[test]
fn a_status_made_by_the_connection_is_transient() {
    for (code, ..) in CODES {
        let mut status = Status::new(code, "h2 protocol error: http2 error");
        status.set_source(Arc::new(std::io::Error::other("stream error received")));
        let found = of(status);
        assert_eq!(found.kind, Transient, "{code:?}: {found}");
        assert_eq!(found.text, "stream error received");
        let proxy = Status::new(
            code,
            "grpc-status header missing, mapped from HTTP status code 404",
        );
        assert_eq!(of(proxy).kind, Transient, "{code:?}");
    }
}

#[test]
fn only_size_errors_of_the_service_count_as_too_large() {
    let sizes = |status: Status| of(status).code == Fault::TOO_LARGE;
    for cause in [
        "request_size_limit_exceeded",
        "item_size_limit_exceeded",
        "element_size_limit_exceeded",
    ] {
        for code in [Code::ResourceExhausted, Code::InvalidArgument] {
            let found = of(with_cause(code, cause));
            assert_eq!(
                (found.kind, found.code.as_str()),
                (Permanent, Fault::TOO_LARGE)
            );
        }
        assert!(!sizes(with_cause(Code::Internal, cause)), "{cause}");
    }
    for cause in [
        "topic_subscriptions_limit_exceeded",
        "operations_rate_limit_exceeded",
        "throughput_rate_limit_exceeded",
        "something_new",
    ] {
        let found = of(with_cause(Code::ResourceExhausted, cause));
        assert_eq!(found.kind, Transient, "{cause}: {found}");
    }
    for (code, words, is_size) in [
        (Code::ResourceExhausted, "Request limit exceeded", true),
        (
            Code::ResourceExhausted,
            "item size 1,048,577 is over the limit",
            true,
        ),
        (
            Code::OutOfRange,
            "Error, decoded message length too large: found 5 bytes, the limit is: 4 bytes",
            true,
        ),
        (
            Code::ResourceExhausted,
            "grpc: received message larger than max (5 vs. 4)",
            true,
        ),
        (
            Code::ResourceExhausted,
            "gRPC message exceeds maximum size 4: 5",
            true,
        ),
        (Code::ResourceExhausted, "too many operations", false),
        (Code::ResourceExhausted, "", false),
        (Code::InvalidArgument, "invalid topic", false),
        (
            Code::Internal,
            "h2 protocol error: http2 error: message size",
            false,
        ),
        (Code::Unavailable, "item size", false),
    ] {
        assert_eq!(sizes(Status::new(code, words)), is_size, "{words}");
    }
}
