//! Shared parts of Momento's clients: the API key of a secret, its rotation, and the classification of errors.
//!
//! The SDK does not retry, and its deadline excludes connection set-up: [`crate::domain::retry`] covers both.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use momento::{
    CacheClient, CredentialProvider, ErrorSource, MomentoError, MomentoErrorCode, MomentoResult,
    TopicClient,
};
use tokio::sync::{Mutex, OnceCell};
use tokio::time::Instant;

pub mod items;
pub mod topics;
use crate::config::MomentoEndpoint;
use crate::domain::fault::{Fault, FaultKind};
use crate::domain::ports::{Secrets, Stage};

/// Momento, with the API key of a secret.
///
/// The key is fetched on first use. After a refusal by Momento the secret is read again, once for all concurrent refusals: a
/// new key is used from then on, and the fault is transient.
pub struct Momento {
    secret: Arc<dyn Secrets>,
    endpoint: MomentoEndpoint,
    /// Locked while the secret is read, so that no older read replaces a newer one.
    kept: Mutex<Kept>,
    /// Completed reads of the secret.
    reads: AtomicU64,
}

/// Minimum time between two reads of the secret after missing permissions.
const PERMISSION_EVERY: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Kept {
    session: Option<Arc<Session>>,
    /// The fault of the last read.
    fault: Option<Fault>,
    /// When a missing permission last led to a read.
    permission_at: Option<Instant>,
}

/// One key and its clients.
struct Session {
    key: String,
    credentials: CredentialProvider,
    /// Replaced after a time-out: the connection may be dead, and the SDK would use it for another 50 s.
    clients: StdMutex<Arc<Clients>>,
}

/// The clients of one key. Each connects on first use, with several connections.
#[derive(Default)]
struct Clients {
    topics: OnceCell<TopicClient>,
    items: OnceCell<CacheClient>,
}

/// The session for one call. Dropping it before [`Momento::settle`] means a cancelled call, which counts as a time-out.
pub(super) struct Lease {
    session: Arc<Session>,
    clients: Arc<Clients>,
    /// [`Momento::reads`] before the call.
    reads: u64,
    is_settled: bool,
}

impl Momento {
    /// `secret` holds a v2 API key and nothing else.
    pub fn new(secret: Arc<dyn Secrets>, endpoint: MomentoEndpoint) -> Self {
        Self {
            secret,
            endpoint,
            kept: Mutex::default(),
            reads: AtomicU64::default(),
        }
    }

    /// Fetches the API key and creates the Topics client ahead of the first call, which tries again after a failure here.
    pub async fn warm_up(&self) {
        let ready = async {
            let lease = self.lease().await?;
            let ready = lease.topics().await.map(drop);
            self.settle(lease, Ok(())).await?;
            ready
        };
        if let Err(fault) = ready.await {
            tracing::warn!(
                error.code = fault.code,
                error.text = fault.text,
                "no client of Momento yet"
            );
        }
    }

    /// Begins a call; [`Momento::settle`] ends it.
    pub(super) async fn lease(&self) -> Result<Lease, Fault> {
        let before = self.reads();
        let mut kept = self.kept.lock().await;
        let session = match (&kept.session, &kept.fault) {
            (Some(session), _) => session.clone(),
            // A concurrent call read the secret while this one waited for the lock.
            (None, Some(fault)) if self.reads() != before => return Err(fault.clone()),
            (None, _) => self.read(&mut kept).await?,
        };
        let clients = session.clients().clone();
        Ok(Lease {
            session,
            clients,
            reads: self.reads(),
            is_settled: false,
        })
    }

    /// Returns the call's result, after reading the secret again if Momento refused the key. A revoked key may show as a
    /// missing permission.
    pub(super) async fn settle<T>(
        &self,
        mut lease: Lease,
        result: MomentoResult<T>,
    ) -> Result<T, Fault> {
        use MomentoErrorCode::{
            AuthenticationError, CancelledError, PermissionError, TimeoutError,
        };
        let timed_out =
            |error: &MomentoError| matches!(error.error_code, CancelledError | TimeoutError);
        lease.is_settled = !result.as_ref().is_err_and(timed_out);
        let error = match result {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let refused = fault(&error);
        if !matches!(error.error_code, AuthenticationError | PermissionError) {
            return Err(refused);
        }
        let mut kept = self.kept.lock().await;
        let is_old = |kept: &Kept| {
            let session = kept.session.as_ref();
            session.is_none_or(|session| Arc::ptr_eq(session, &lease.session))
        };
        if is_old(&kept) && self.reads() == lease.reads {
            if !kept.may_read(&error) {
                // The secret may hold a better key.
                return Err(Fault::later(refused.code, refused.text));
            }
            self.read(&mut kept).await?;
        }
        Err(match &kept.fault {
            _ if !is_old(&kept) => Fault::transient(
                refused.code,
                "the API key was refused, and the secret has another one by now",
            ),
            Some(fault) => fault.clone(),
            None => refused,
        })
    }

    /// Reads the secret, and begins a session if the key changed.
    async fn read(&self, kept: &mut Kept) -> Result<Arc<Session>, Fault> {
        let read = self.secret.fetch(Stage::Current).await;
        self.reads.fetch_add(1, Ordering::Relaxed);
        let session = self.session(read, kept.session.as_ref());
        kept.fault = session.as_ref().err().cloned();
        if let Ok(session) = &session {
            kept.session = Some(session.clone());
        }
        session
    }

    fn session(
        &self,
        read: Result<Option<String>, Fault>,
        old: Option<&Arc<Session>>,
    ) -> Result<Arc<Session>, Fault> {
        let secret = read.map_err(|fault| match fault.kind {
            // For example, a missing permission to read the secret.
            FaultKind::Permanent => Fault::later(fault.code, fault.text),
            _ => fault,
        })?;
        let secret = secret.ok_or_else(|| {
            Fault::later(
                "NoSecretValue",
                "expected a Momento API key in the secret, found none; put one",
            )
        })?;
        let key = secret.trim();
        if let Some(old) = old.filter(|old| old.key == key) {
            return Ok(old.clone());
        }
        let credentials = credentials(key, &self.endpoint).map_err(|_| {
            Fault::later(
                "BadApiKey",
                "expected a Momento API key of version 2 as the whole secret, found something else; put one",
            )
        })?;
        Ok(Arc::new(Session {
            key: key.to_owned(),
            credentials,
            clients: StdMutex::default(),
        }))
    }

    fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }
}

impl Kept {
    /// A missing permission rarely means a revoked key, and calls to other topics must not wait for the secret each time.
    fn may_read(&mut self, refused: &MomentoError) -> bool {
        if refused.error_code != MomentoErrorCode::PermissionError {
            return true;
        }
        let early = self
            .permission_at
            .is_some_and(|at| at.elapsed() < PERMISSION_EVERY);
        if !early {
            self.permission_at = Some(Instant::now());
        }
        !early
    }
}

impl Session {
    fn clients(&self) -> std::sync::MutexGuard<'_, Arc<Clients>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.is_settled {
            return;
        }
        let mut clients = self.session.clients();
        // Another call may have replaced them already.
        if Arc::ptr_eq(&clients, &self.clients) {
            *clients = Arc::default();
        }
    }
}

impl Lease {
    pub(super) async fn topics(&self) -> Result<&TopicClient, Fault> {
        let connect = async || topics::for_lambda(self.session.credentials.clone());
        let client = self.clients.topics.get_or_try_init(connect).await;
        client.map_err(|error| fault(&error))
    }

    pub(super) async fn items(&self) -> Result<&CacheClient, Fault> {
        let connect = async || items::for_lambda(self.session.credentials.clone());
        let client = self.clients.items.get_or_try_init(connect).await;
        client.map_err(|error| fault(&error))
    }
}

/// Credentials of a v2 API key.
///
/// # Errors
///
/// When the key is not a v2 key.
pub fn credentials(key: &str, endpoint: &MomentoEndpoint) -> MomentoResult<CredentialProvider> {
    Ok(match endpoint {
        MomentoEndpoint::Host(host) => CredentialProvider::from_api_key_v2(key, host)?,
        MomentoEndpoint::Local(url) => {
            CredentialProvider::from_api_key_v2(key, "localhost")?.insecure_endpoint_override(url)
        }
    })
}

/// The SDK's error as a fault. Its own deadline shows as `CancelledError`.
///
/// The SDK's error codes are unreliable: every HTTP/2 error becomes a size limit, and a stream reset by the service's
/// front end with INADEQUATE_SECURITY a missing permission. So connection errors are separated from the service's, and
/// only the service's can be permanent.
pub fn fault(error: &MomentoError) -> Fault {
    use MomentoErrorCode as Code;
    let (code, text) = (format!("{:?}", error.error_code), &error.message);
    let broken = connection_fault(error);
    match (&error.error_code, broken) {
        (
            Code::LimitExceededError
            | Code::AuthenticationError
            | Code::PermissionError
            | Code::BadRequestError,
            Some(broken),
        ) => Fault::transient("ConnectionError", broken),
        (_, Some(broken)) => Fault::transient(code, broken),
        _ if refuses_size(error) => Fault::permanent(Fault::TOO_LARGE, text),
        // An operator has to correct it.
        (Code::AuthenticationError | Code::FailedPreconditionError, _) => Fault::later(code, text),
        (
            Code::InvalidArgumentError
            | Code::PermissionError
            | Code::CacheNotFoundError
            | Code::StoreNotFoundError
            | Code::ItemNotFoundError
            | Code::AlreadyExistsError
            | Code::BadRequestError,
            _,
        ) => Fault::permanent(code, text),
        _ => Fault::transient(code, text),
    }
}

/// The connection's error; `None` for a response of the service.
fn connection_fault(error: &MomentoError) -> Option<String> {
    let Some(ErrorSource::TonicStatus(status)) = &error.inner_error else {
        return None;
    };
    // Statuses made by the client have a source; the service's have none.
    if let Some(mut cause) = status.source() {
        while let Some(source) = cause.source() {
            cause = source;
        }
        return Some(cause.to_string());
    }
    // A proxy's HTTP response, without gRPC.
    let is_of_proxy = status.message().starts_with("grpc-status header missing");
    is_of_proxy.then(|| status.message().to_owned())
}

/// Whether the service refuses a request, an item or an element for its size.
fn refuses_size(error: &MomentoError) -> bool {
    const INVALID_ARGUMENT: i32 = 3;
    const RESOURCE_EXHAUSTED: i32 = 8;
    const OUT_OF_RANGE: i32 = 11;

    let Some(details) = error.details() else {
        return false;
    };
    let refuses = [INVALID_ARGUMENT, RESOURCE_EXHAUSTED, OUT_OF_RANGE];
    if !refuses.contains(&(details.code as i32)) {
        return false;
    }
    if let Some(cause) = details.metadata.get("err") {
        let cause = cause.to_str().unwrap_or_default();
        return ["request", "item", "element"]
            .iter()
            .any(|what| cause == format!("{what}_size_limit_exceeded"));
    }
    // Texts of Momento, then of gRPC servers in Rust, Go and Java.
    let words = [
        "request limit",
        "request size",
        "item size",
        "element size",
        "message length too large",
        "message larger than max",
        "message exceeds maximum size",
    ];
    let text = details.message.to_lowercase();
    words.iter().any(|words| text.contains(words))
}

#[cfg(test)]
mod tests;
