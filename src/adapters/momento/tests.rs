use std::sync::Mutex as StdMutex;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;

use super::*;
use crate::domain::ports::Answer;

/// A secret with slow reads, so that concurrent calls overlap, and a count of them.
struct Secret(StdMutex<(Result<Option<String>, Fault>, u32)>);

impl Secret {
    fn set(&self, answer: Result<Option<String>, Fault>) {
        self.0.lock().unwrap().0 = answer;
    }

    fn reads(&self) -> u32 {
        self.0.lock().unwrap().1
    }
}

impl Secrets for Secret {
    fn fetch(&self, stage: Stage) -> Answer<'_, Option<String>> {
        assert_eq!(stage, Stage::Current);
        Box::pin(async {
            let answer = {
                let mut state = self.0.lock().unwrap();
                state.1 += 1;
                state.0.clone()
            };
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            answer
        })
    }
}

/// A key in the form of a v2 key.
fn key(id: &str) -> Result<Option<String>, Fault> {
    let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
    let claims = format!(r#"{{"t":"g","jti":"{id}"}}"#);
    Ok(Some(format!("{}.{}.x\n", part("{}"), part(&claims))))
}

fn momento(first: Result<Option<String>, Fault>) -> (Arc<Secret>, Momento) {
    let secret = Arc::new(Secret(StdMutex::new((first, 0))));
    let endpoint = MomentoEndpoint::Local("http://127.0.0.1:1".into());
    (secret.clone(), Momento::new(secret, endpoint))
}

fn error(error_code: MomentoErrorCode, message: &str) -> MomentoError {
    MomentoError {
        message: message.into(),
        error_code,
        inner_error: None,
    }
}

async fn refuse(momento: &Momento, lease: Lease) -> Fault {
    refuse_with(momento, lease, MomentoErrorCode::AuthenticationError).await
}

async fn refuse_with(momento: &Momento, lease: Lease, code: MomentoErrorCode) -> Fault {
    let result = Err::<(), _>(error(code, "refused"));
    momento.settle(lease, result).await.unwrap_err()
}

/// Begins `count` concurrent calls.
async fn leases(momento: &Momento, count: usize) -> Vec<Lease> {
    let all = join_all((0..count).map(|_| momento.lease())).await;
    all.into_iter().map(|lease| lease.ok().unwrap()).collect()
}

async fn refuse_all(momento: &Momento, leases: Vec<Lease>) -> Vec<FaultKind> {
    let faults = join_all(leases.into_iter().map(|lease| refuse(momento, lease))).await;
    faults.into_iter().map(|fault| fault.kind).collect()
}

#[tokio::test(start_paused = true)]
async fn concurrent_calls_share_one_read_of_the_key() {
    let (secret, momento) = momento(key("a"));
    let leases = leases(&momento, 10).await;
    assert!(
        leases
            .iter()
            .all(|lease| Arc::ptr_eq(&lease.session, &leases[0].session))
    );
    for lease in leases {
        momento.settle(lease, Ok(())).await.unwrap();
    }
    assert_eq!(secret.reads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_replaced_key_is_read_once_and_the_fault_is_transient() {
    for code in [
        MomentoErrorCode::AuthenticationError,
        MomentoErrorCode::PermissionError,
    ] {
        let (secret, momento) = momento(key("old"));
        let old = momento.lease().await.ok().unwrap();
        secret.set(key("new"));
        let fault = refuse_with(&momento, old, code).await;
        assert_eq!(fault.kind, FaultKind::Transient, "{fault}");
        let new = momento.lease().await.ok().unwrap();
        assert_eq!(Ok(Some(format!("{}\n", new.session.key))), key("new"));
        assert_eq!(secret.reads(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_key_needs_an_operator() {
    let (secret, momento) = momento(key("a"));
    let lease = momento.lease().await.ok().unwrap();
    let fault = refuse(&momento, lease).await;
    assert_eq!(fault, Fault::later("AuthenticationError", "refused"));
    let lease = momento.lease().await.ok().unwrap();
    let fault = refuse_with(&momento, lease, MomentoErrorCode::PermissionError).await;
    assert_eq!(fault, Fault::permanent("PermissionError", "refused"));
    // Each of these calls began after the secret was last read.
    assert_eq!(secret.reads(), 3);
    // Repeated missing permissions do not keep reading the secret. Until the next read, a better key is possible.
    for (reads, kind) in [(3, FaultKind::Later), (4, FaultKind::Permanent)] {
        let lease = momento.lease().await.ok().unwrap();
        let fault = refuse_with(&momento, lease, MomentoErrorCode::PermissionError).await;
        assert_eq!((fault.code.as_str(), fault.kind), ("PermissionError", kind));
        assert_eq!(secret.reads(), reads);
        tokio::time::advance(PERMISSION_EVERY).await;
    }
}

#[tokio::test(start_paused = true)]
async fn concurrent_refusals_read_the_secret_once() {
    let (secret, momento) = momento(key("a"));
    let first = leases(&momento, 20).await;
    assert_eq!(refuse_all(&momento, first).await, [FaultKind::Later; 20]);
    assert_eq!(secret.reads(), 2);

    let second = leases(&momento, 20).await;
    secret.set(key("b"));
    assert_eq!(
        refuse_all(&momento, second).await,
        [FaultKind::Transient; 20]
    );
    assert_eq!(secret.reads(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_late_refusal_keeps_the_newer_session() {
    let (secret, momento) = momento(key("a"));
    let mut old = leases(&momento, 2).await;
    secret.set(key("b"));
    refuse(&momento, old.remove(0)).await;
    let new = momento.lease().await.ok().unwrap();
    // Refused long after the others: their new key is enough.
    let fault = refuse(&momento, old.remove(0)).await;
    assert_eq!(fault.kind, FaultKind::Transient);
    let kept = momento.lease().await.ok().unwrap();
    assert!(Arc::ptr_eq(&kept.session, &new.session));
    assert_eq!(secret.reads(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_cannot_be_read_leaves_the_key_in_use() {
    let (secret, momento) = momento(key("a"));
    let lease = momento.lease().await.ok().unwrap();
    let down = Fault::transient("InternalServiceError", "down");
    secret.set(Err(down.clone()));
    assert_eq!(refuse(&momento, lease).await, down);
    let again = momento.lease().await.ok().unwrap();
    secret.set(key("b"));
    assert_eq!(refuse(&momento, again).await.kind, FaultKind::Transient);
}

#[tokio::test(start_paused = true)]
async fn a_secret_without_a_key_needs_an_operator() {
    let denied = Fault::permanent("AccessDeniedException", "not allowed");
    for (answer, code) in [
        (Ok(None), "NoSecretValue"),
        (Ok(Some("not a key".to_owned())), "BadApiKey"),
        (Ok(Some(String::new())), "BadApiKey"),
        (Err(denied), "AccessDeniedException"),
    ] {
        let (secret, momento) = momento(answer);
        let faults = join_all((0..10).map(|_| momento.lease())).await;
        for fault in faults {
            let fault = fault.err().unwrap();
            assert_eq!((fault.code.as_str(), fault.kind), (code, FaultKind::Later));
        }
        assert_eq!(secret.reads(), 1, "{code}");
        secret.set(key("a"));
        assert!(momento.lease().await.is_ok(), "the secret was corrected");
    }
}

#[tokio::test(start_paused = true)]
async fn other_faults_keep_the_key() {
    let (secret, momento) = momento(key("a"));
    let lease = momento.lease().await.ok().unwrap();
    let fault = refuse_with(&momento, lease, MomentoErrorCode::ServerUnavailable).await;
    assert_eq!(fault.kind, FaultKind::Transient);
    assert_eq!(secret.reads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_time_out_discards_the_connection() {
    use MomentoErrorCode::{CancelledError, ServerUnavailable, TimeoutError};
    let (_, momento) = momento(key("a"));
    let clients = async || momento.lease().await.ok().unwrap().clients.clone();
    let same = |one: &Arc<Clients>, other: &Arc<Clients>| Arc::ptr_eq(one, other);
    momento.warm_up().await;
    let lease = momento.lease().await.ok().unwrap();
    let first = lease.clients.clone();
    assert!(
        first.topics.initialized(),
        "the warm-up has created the client"
    );
    momento.settle(lease, Ok(())).await.unwrap();
    let lease = momento.lease().await.ok().unwrap();
    refuse_with(&momento, lease, ServerUnavailable).await;
    let lease = momento.lease().await.ok().unwrap();
    assert!(same(&lease.clients, &first));
    let together = momento.lease().await.ok().unwrap();

    let fault = refuse_with(&momento, lease, CancelledError).await;
    assert_eq!(fault.kind, FaultKind::Transient);
    let second = momento.lease().await.ok().unwrap();
    assert!(!same(&second.clients, &first));
    // The first of several concurrent time-outs is enough.
    refuse_with(&momento, together, TimeoutError).await;
    let third = momento.lease().await.ok().unwrap();
    assert!(same(&third.clients, &second.clients));
    momento.settle(third, Ok(())).await.unwrap();
    // A cancelled call does not settle.
    let second_clients = second.clients.clone();
    drop(second);
    assert!(!same(&clients().await, &second_clients));
}

#[test]
fn errors_of_the_sdk_have_their_fault_kinds() {
    use FaultKind::{Later, Permanent, Transient};
    use MomentoErrorCode as Code;
    for (code, kind) in [
        (Code::InvalidArgumentError, Permanent),
        (Code::UnknownServiceError, Transient),
        (Code::AlreadyExistsError, Permanent),
        (Code::CacheNotFoundError, Permanent),
        (Code::StoreNotFoundError, Permanent),
        (Code::ItemNotFoundError, Permanent),
        (Code::InternalServerError, Transient),
        (Code::PermissionError, Permanent),
        (Code::AuthenticationError, Later),
        (Code::CancelledError, Transient),
        (Code::LimitExceededError, Transient),
        (Code::BadRequestError, Permanent),
        (Code::TimeoutError, Transient),
        (Code::ServerUnavailable, Transient),
        (Code::ClientResourceExhausted, Transient),
        (Code::FailedPreconditionError, Later),
        (Code::UnknownError, Transient),
        (Code::Miss, Transient),
        (Code::TypeError, Transient),
    ] {
        // Without a status of the service, no text counts as a size limit.
        let fault = fault(&error(code.clone(), "Message size limit was exceeded"));
        assert_eq!((fault.kind, fault.code), (kind, format!("{code:?}")));
    }
}

#[cfg(feature = "cli")]
mod statuses;
