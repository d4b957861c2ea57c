use std::sync::Mutex as StdMutex;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;

use super::*;
use crate::ports::Answer;

/// A secret that is read slowly, so that those who ask at once overlap, and counts.
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

/// A key with the form of a v2 key.
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

/// Begins `count` calls at once.
async fn leases(momento: &Momento, count: usize) -> Vec<Lease> {
    let all = join_all((0..count).map(|_| momento.lease())).await;
    all.into_iter().map(|lease| lease.ok().unwrap()).collect()
}

async fn refuse_all(momento: &Momento, leases: Vec<Lease>) -> Vec<FaultKind> {
    let faults = join_all(leases.into_iter().map(|lease| refuse(momento, lease))).await;
    faults.into_iter().map(|fault| fault.kind).collect()
}

#[tokio::test(start_paused = true)]
async fn the_key_is_read_once_for_all_who_begin() {
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
async fn a_replaced_key_is_read_once_and_makes_the_call_worth_repeating() {
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
async fn a_key_that_is_just_wrong_is_for_somebody_to_mend() {
    let (secret, momento) = momento(key("a"));
    let lease = momento.lease().await.ok().unwrap();
    let fault = refuse(&momento, lease).await;
    assert_eq!(fault, Fault::later("AuthenticationError", "refused"));
    let lease = momento.lease().await.ok().unwrap();
    let fault = refuse_with(&momento, lease, MomentoErrorCode::PermissionError).await;
    assert_eq!(fault, Fault::permanent("PermissionError", "refused"));
    // Each of these calls began after the secret was last read.
    assert_eq!(secret.reads(), 3);
    // Permissions that are missing all the time do not keep the secret busy. Before it is read again, nobody knows that there
    // is no better key.
    for (reads, kind) in [(3, FaultKind::Later), (4, FaultKind::Permanent)] {
        let lease = momento.lease().await.ok().unwrap();
        let fault = refuse_with(&momento, lease, MomentoErrorCode::PermissionError).await;
        assert_eq!((fault.code.as_str(), fault.kind), ("PermissionError", kind));
        assert_eq!(secret.reads(), reads);
        tokio::time::advance(PERMISSION_EVERY).await;
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_refused_together_read_the_secret_once() {
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
async fn a_straggler_replaces_no_newer_session() {
    let (secret, momento) = momento(key("a"));
    let mut old = leases(&momento, 2).await;
    secret.set(key("b"));
    refuse(&momento, old.remove(0)).await;
    let new = momento.lease().await.ok().unwrap();
    // Refused long after everybody else: the key that took its place is enough.
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
async fn a_secret_without_a_key_is_for_somebody_to_mend() {
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
        assert!(momento.lease().await.is_ok(), "it was mended");
    }
}

#[tokio::test(start_paused = true)]
async fn other_faults_have_nothing_to_do_with_the_key() {
    let (secret, momento) = momento(key("a"));
    let lease = momento.lease().await.ok().unwrap();
    let fault = refuse_with(&momento, lease, MomentoErrorCode::ServerUnavailable).await;
    assert_eq!(fault.kind, FaultKind::Transient);
    assert_eq!(secret.reads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_timed_out_is_not_used_again() {
    use MomentoErrorCode::{CancelledError, ServerUnavailable, TimeoutError};
    let (_, momento) = momento(key("a"));
    let clients = async || momento.lease().await.ok().unwrap().clients.clone();
    let same = |one: &Arc<Clients>, other: &Arc<Clients>| Arc::ptr_eq(one, other);
    momento.warm_up().await;
    let lease = momento.lease().await.ok().unwrap();
    let first = lease.clients.clone();
    assert!(
        first.topics.initialized(),
        "it is the one that was made ahead"
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
    // Of those that time out together, the first one is enough.
    refuse_with(&momento, together, TimeoutError).await;
    let third = momento.lease().await.ok().unwrap();
    assert!(same(&third.clients, &second.clients));
    momento.settle(third, Ok(())).await.unwrap();
    // A call that is cut off from outside settles nothing.
    let second_clients = second.clients.clone();
    drop(second);
    assert!(!same(&clients().await, &second_clients));
}

#[test]
fn what_the_sdk_says_by_itself_is_sorted_by_whether_asking_again_can_help() {
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
        // Without a status of the service, no words make a size of it.
        let fault = fault(&error(code.clone(), "Message size limit was exceeded"));
        assert_eq!((fault.kind, fault.code), (kind, format!("{code:?}")));
    }
}

#[cfg(feature = "cli")]
mod statuses;
