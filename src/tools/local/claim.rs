//! Resolves the claim published in place of a large value.

use std::time::Duration;

use momento::CacheClient;
use momento::cache::GetResponse;
use ring::digest::{SHA256, digest};
use serde::Deserialize;

use crate::adapters::momento::fault;

/// The largest object to read, in bytes: a claim may come from any publisher.
const MAX_OBJECT_BYTES: u64 = 100_000_000;

/// Deadline for reading an object.
const OBJECT_WITHIN: Duration = Duration::from_secs(30);

/// A claim on a value; see [`crate::domain::outbound::claims`] for its form.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Claim {
    #[serde(flatten)]
    place: Place,
    bytes: u64,
    sha256: String,
    /// ms since the epoch.
    expires_at: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Place {
    Item { cache: String, key: String },
    Object { url: String },
}

/// Why a claim cannot be resolved.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    #[error(
        "expected a valid claim, found one that ended {0} ago; follow the topic while results come, or raise CLAIM_TTL_SECONDS"
    )]
    Expired(String),
    #[error(
        "expected {0}, found nothing before the claim's end; it was deleted, or its cache was full"
    )]
    Missing(String),
    #[error("expected the claimed value of {expected} bytes, found {found}; do not use it")]
    WrongSize { expected: u64, found: String },
    #[error("expected the claimed value with the SHA-256 {expected}, found {found}; do not use it")]
    WrongDigest { expected: String, found: String },
    #[error(
        "expected an object of at most {MAX_OBJECT_BYTES} bytes, found a claim of {0}; read it by its URL"
    )]
    TooLarge(u64),
    #[error("expected a value in UTF-8, found other bytes; read it by its place")]
    NotText,
    #[error("cannot read {place}: {text}")]
    Unreadable { place: String, text: String },
}

/// Resolves claims.
pub struct Resolver {
    items: CacheClient,
    http: reqwest::Client,
    now_ms: fn() -> i64,
}

impl Claim {
    /// Reads a message; `None` for a value.
    pub fn of(message: &str) -> Option<Self> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Message {
            claim: Claim,
        }
        let message: Message = serde_json::from_str(message).ok()?;
        Some(message.claim)
    }

    /// Checks a value's size and digest.
    fn check(&self, value: &[u8]) -> Result<(), Unresolved> {
        if value.len() as u64 != self.bytes {
            return Err(Unresolved::WrongSize {
                expected: self.bytes,
                found: value.len().to_string(),
            });
        }
        let found = hex::encode(digest(&SHA256, value));
        if found != self.sha256 {
            let expected = self.sha256.clone();
            return Err(Unresolved::WrongDigest { expected, found });
        }
        Ok(())
    }

    /// The place, for people; without the signature in a URL.
    fn place(&self) -> String {
        match &self.place {
            Place::Item { cache, key } => format!("the item `{key}` of cache `{cache}`"),
            Place::Object { url } => {
                let end = url.find('?').unwrap_or(url.len());
                format!("the object `{}`", &url[..end])
            }
        }
    }
}

impl Resolver {
    /// `items` needs a key that may read the items.
    ///
    /// # Errors
    ///
    /// When the client for objects cannot be made.
    pub fn new(items: CacheClient, now_ms: fn() -> i64) -> reqwest::Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(OBJECT_WITHIN)
            // A claim's publisher names the place; its server must not name another one.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self {
            items,
            http,
            now_ms,
        })
    }

    /// The claimed value, checked.
    ///
    /// # Errors
    ///
    /// When the value is missing, differs from the claim, or cannot be read.
    pub async fn resolve(&self, claim: &Claim) -> Result<String, Unresolved> {
        let value = match &claim.place {
            Place::Item { cache, key } => self.item(claim, cache, key).await?,
            Place::Object { url } => self.object(claim, url).await?,
        };
        claim.check(&value)?;
        String::from_utf8(value).map_err(|_| Unresolved::NotText)
    }

    async fn item(&self, claim: &Claim, cache: &str, key: &str) -> Result<Vec<u8>, Unresolved> {
        match self.items.get(cache, key).await {
            Ok(GetResponse::Hit { value }) => Ok(value.into()),
            Ok(GetResponse::Miss) => Err(self.absent(claim)),
            Err(error) => Err(unreadable(claim, fault(&error).text)),
        }
    }

    async fn object(&self, claim: &Claim, url: &str) -> Result<Vec<u8>, Unresolved> {
        if claim.bytes > MAX_OBJECT_BYTES {
            return Err(Unresolved::TooLarge(claim.bytes));
        }
        let broken = |error: reqwest::Error| {
            let text = match () {
                () if error.is_timeout() => {
                    format!("no answer within {} s", OBJECT_WITHIN.as_secs())
                }
                () if error.is_connect() => "no connection".to_owned(),
                () => error.without_url().to_string(),
            };
            unreadable(claim, text)
        };
        let mut response = self.http.get(url).send().await.map_err(broken)?;
        match response.status().as_u16() {
            200 => {}
            404 => return Err(self.absent(claim)),
            // S3's answers to an expired URL.
            400 | 403 if self.expired(claim).is_some() => return Err(self.absent(claim)),
            status => {
                return Err(unreadable(
                    claim,
                    format!("expected the status 200, found {status}"),
                ));
            }
        }
        let mut value = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            value.extend_from_slice(&chunk);
            if value.len() as u64 > claim.bytes {
                return Err(Unresolved::WrongSize {
                    expected: claim.bytes,
                    found: "more".to_owned(),
                });
            }
        }
        Ok(value)
    }

    fn absent(&self, claim: &Claim) -> Unresolved {
        match self.expired(claim) {
            Some(since) => Unresolved::Expired(since),
            None => Unresolved::Missing(claim.place()),
        }
    }

    /// How long ago the claim ended, if it did.
    fn expired(&self, claim: &Claim) -> Option<String> {
        let ago = (self.now_ms)().saturating_sub(claim.expires_at);
        let seconds = ago / 1000;
        match seconds {
            _ if ago < 0 => None,
            ..120 => Some(format!("{seconds} s")),
            120..7200 => Some(format!("{} min", seconds / 60)),
            _ => Some(format!("{} h", seconds / 3600)),
        }
    }
}

fn unreadable(claim: &Claim, text: impl ToString) -> Unresolved {
    Unresolved::Unreadable {
        place: claim.place(),
        text: text.to_string(),
    }
}

#[cfg(test)]
mod tests;
