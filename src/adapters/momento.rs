//! What Momento's clients share: the API key of a secret, its rotation, and one reading of errors.
//!
//! The SDK retries nothing, and its deadline does not bound the set-up of a connection: [`crate::retry`] does both.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use momento::{
    CacheClient, CredentialProvider, MomentoError, MomentoErrorCode, MomentoResult, TopicClient,
};
use tokio::sync::{Mutex, OnceCell};
use tokio::time::Instant;

use super::{items, topics};
use crate::config::MomentoEndpoint;
use crate::ports::{Fault, FaultKind, Secrets, Stage};

/// Momento, with the API key of a secret.
///
/// The key is fetched when first used. When Momento refuses it, the secret is read again, once for all calls that were
/// refused together: if there is another key, it is used from then on and the call is worth repeating.
pub struct Momento {
    secret: Arc<dyn Secrets>,
    endpoint: MomentoEndpoint,
    /// Locked while the secret is read, so that a reading is never overtaken by an older one.
    kept: Mutex<Kept>,
    /// How often the secret was read to the end.
    reads: AtomicU64,
}

/// The least time between two reads of the secret that missing permissions cause.
const PERMISSION_EVERY: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Kept {
    session: Option<Arc<Session>>,
    /// What was wrong when the secret was last read.
    fault: Option<Fault>,
    /// When a missing permission last made the secret be read.
    permission_at: Option<Instant>,
}

/// The clients of one key. Each connects when first used.
struct Session {
    key: String,
    credentials: CredentialProvider,
    topics: OnceCell<TopicClient>,
    items: OnceCell<CacheClient>,
}

/// The session for one call.
pub(super) struct Lease {
    session: Arc<Session>,
    /// [`Momento::reads`] before the call.
    reads: u64,
}

impl Momento {
    /// With a secret that holds a v2 API key and nothing else.
    pub fn new(secret: Arc<dyn Secrets>, endpoint: MomentoEndpoint) -> Self {
        Self {
            secret,
            endpoint,
            kept: Mutex::default(),
            reads: AtomicU64::default(),
        }
    }

    /// Fetches the API key and makes the client of Topics ahead of the first call, which tries again if this fails.
    pub async fn warm_up(&self) {
        let ready = async { self.lease().await?.topics().await.map(drop) };
        if let Err(fault) = ready.await {
            tracing::warn!(
                error.code = fault.code,
                error.text = fault.text,
                "no client of Momento yet"
            );
        }
    }

    /// What a call begins with; [`Momento::settle`] is what it ends with.
    pub(super) async fn lease(&self) -> Result<Lease, Fault> {
        let before = self.reads();
        let mut kept = self.kept.lock().await;
        let session = match (&kept.session, &kept.fault) {
            (Some(session), _) => session.clone(),
            // Somebody else has just found out, while this call waited for the lock.
            (None, Some(fault)) if self.reads() != before => return Err(fault.clone()),
            (None, _) => self.read(&mut kept).await?,
        };
        Ok(Lease {
            session,
            reads: self.reads(),
        })
    }

    /// The call's result, after a look at the secret where Momento refused the key. A key that was revoked may show as
    /// one without permission.
    pub(super) async fn settle<T>(
        &self,
        lease: Lease,
        result: MomentoResult<T>,
    ) -> Result<T, Fault> {
        use MomentoErrorCode::{AuthenticationError, PermissionError};
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
                // Whether the secret has a better key by now is not known yet.
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

    /// Reads the secret, and begins a session if its key is another one.
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
            // A secret that may not be read, for example.
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
            topics: OnceCell::new(),
            items: OnceCell::new(),
        }))
    }

    fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }
}

impl Kept {
    /// A missing permission is mostly just that, and the calls to other topics shall not wait for the secret each time.
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

impl Lease {
    pub(super) async fn topics(&self) -> Result<&TopicClient, Fault> {
        let connect = async || topics::for_lambda(self.session.credentials.clone());
        let client = self.session.topics.get_or_try_init(connect).await;
        client.map_err(|error| fault(&error))
    }

    pub(super) async fn items(&self) -> Result<&CacheClient, Fault> {
        let connect = async || items::for_lambda(self.session.credentials.clone());
        let client = self.session.items.get_or_try_init(connect).await;
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
fn fault(error: &MomentoError) -> Fault {
    use MomentoErrorCode as Code;
    let code = format!("{:?}", error.error_code);
    let text = &error.message;
    match error.error_code {
        Code::ServerUnavailable
        | Code::CancelledError
        | Code::InternalServerError
        | Code::TimeoutError
        | Code::UnknownServiceError => Fault::transient(code, text),
        // A rate gives way; a size does not.
        Code::LimitExceededError if text.to_lowercase().contains("size") => {
            Fault::permanent(Fault::TOO_LARGE, text)
        }
        Code::LimitExceededError => Fault::transient(code, text),
        Code::AuthenticationError => Fault::later(code, text),
        _ => Fault::permanent(code, text),
    }
}

#[cfg(test)]
mod tests;
