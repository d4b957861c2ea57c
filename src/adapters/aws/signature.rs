//! AWS Signature Version 4, as far as the bridge signs: headers of a request, or a URL that gives an object.
//!
//! The tests compare with the SDK's signer.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use ring::{digest, hmac};

use super::credentials::Credentials;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// Room for a hash in hex digits, a method and line ends; or for the names of a few headers.
const ROOM: usize = 100;
const SECONDS_OF_A_DAY: u64 = 86_400;

/// What a request says that is signed.
#[derive(Clone, Copy, Debug)]
pub struct Signable<'a> {
    pub method: &'a str,
    /// Percent-encoded as S3 sends it; other services get `/`.
    pub path: &'a str,
    /// Encoded, in the order of its keys.
    pub query: &'a str,
    /// Names in lower case and in their order; no value with spaces to trim.
    pub headers: &'a [(&'a str, &'a str)],
    /// SHA-256 of the body as hex digits, or what stands for it.
    pub payload: &'a str,
}

/// Signs for one service in one region.
#[derive(Debug)]
pub struct Signer {
    region: String,
    service: &'static str,
    /// The key of a day and a secret, which four hashes make.
    key: Mutex<Option<Key>>,
}

#[derive(Clone)]
struct Key {
    day: String,
    secret: Arc<Credentials>,
    key: hmac::Key,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("day", &self.day).finish()
    }
}

impl Signer {
    pub fn new(region: &str, service: &'static str) -> Self {
        Self {
            region: region.to_owned(),
            service,
            key: Mutex::new(None),
        }
    }

    /// The header `Authorization` of a request, one of whose headers is `x-amz-date` with `time`.
    pub fn authorization(
        &self,
        credentials: &Arc<Credentials>,
        time: &str,
        request: Signable<'_>,
    ) -> String {
        let id = &credentials.access_key_id;
        let scope = self.scope(time);
        let signature = self.signature(credentials, time, request);
        let mut names = String::with_capacity(ROOM);
        push_names(&mut names, request.headers);
        [
            ALGORITHM,
            " Credential=",
            id,
            "/",
            &scope,
            ", SignedHeaders=",
            &names,
            ", Signature=",
            &signature,
        ]
        .concat()
    }

    /// The query of a URL that answers GET for `seconds` from `time`, whoever asks `host` for `path`.
    pub fn presigned_query(
        &self,
        credentials: &Arc<Credentials>,
        time: &str,
        (host, path): (&str, &str),
        seconds: u64,
    ) -> String {
        let credential = format!("{}/{}", credentials.access_key_id, self.scope(time));
        let mut query = format!(
            "X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={}&X-Amz-Date={time}&X-Amz-Expires={seconds}",
            encoded(&credential)
        );
        if let Some(token) = &credentials.session_token {
            query.push_str("&X-Amz-Security-Token=");
            query.push_str(&encoded(token));
        }
        query.push_str("&X-Amz-SignedHeaders=host");
        let request = Signable {
            method: "GET",
            path,
            query: &query,
            headers: &[("host", host)],
            payload: "UNSIGNED-PAYLOAD",
        };
        let signature = self.signature(credentials, time, request);
        query.push_str("&X-Amz-Signature=");
        query.push_str(&signature);
        query
    }

    fn scope(&self, time: &str) -> String {
        [day(time), &self.region, self.service, "aws4_request"].join("/")
    }

    fn signature(
        &self,
        credentials: &Arc<Credentials>,
        time: &str,
        request: Signable<'_>,
    ) -> String {
        let canonical = sha256(canonical(request).as_bytes());
        let scope = self.scope(time);
        let to_sign = [ALGORITHM, time, &scope, &canonical].join("\n");
        let key = self.key(credentials, day(time));
        digits(hmac::sign(&key, to_sign.as_bytes()).as_ref())
    }

    fn key(&self, credentials: &Arc<Credentials>, day: &str) -> hmac::Key {
        let mut kept = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = &*kept
            && kept.day == day
            && Arc::ptr_eq(&kept.secret, credentials)
        {
            return kept.key.clone();
        }
        let key = |secret: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, secret);
        let mut derived = key(format!("AWS4{}", credentials.secret_access_key).as_bytes());
        for part in [day, &self.region, self.service, "aws4_request"] {
            derived = key(hmac::sign(&derived, part.as_bytes()).as_ref());
        }
        *kept = Some(Key {
            day: day.to_owned(),
            secret: credentials.clone(),
            key: derived.clone(),
        });
        derived
    }
}

/// SHA-256 as hex digits.
pub fn sha256(bytes: &[u8]) -> String {
    digits(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// Hex digits of a hash, at a quarter of what `hex::encode` takes, which goes from character to character.
fn digits(hash: &[u8]) -> String {
    let mut digits = vec![0; 2 * hash.len()];
    let _ = hex::encode_to_slice(hash, &mut digits);
    String::from_utf8(digits).unwrap_or_default()
}

/// As SigV4 writes a time: `20261126T173831Z`.
pub fn time(now: SystemTime) -> String {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, second) = (since / SECONDS_OF_A_DAY, since % SECONDS_OF_A_DAY);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// Year, month and day, so many days after 1970-01-01, in years that begin with March: their leap day is the last one.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    (era * 400 + year + u64::from(month <= 2), month, day)
}

fn day(time: &str) -> &str {
    time.get(..8).unwrap_or(time)
}

fn canonical(request: Signable<'_>) -> String {
    let Signable {
        method,
        path,
        query,
        headers,
        payload,
    } = request;
    let headers_bytes = |&(name, value): &(&str, &str)| 2 * name.len() + value.len() + 3;
    let room = headers.iter().map(headers_bytes).sum::<usize>();
    let mut text = String::with_capacity(room + path.len() + query.len() + ROOM);
    for line in [method, path, query] {
        text.push_str(line);
        text.push('\n');
    }
    for (name, value) in headers {
        text.push_str(name);
        text.push(':');
        text.push_str(value);
        text.push('\n');
    }
    text.push('\n');
    push_names(&mut text, headers);
    text.push('\n');
    text.push_str(payload);
    text
}

fn push_names(text: &mut String, headers: &[(&str, &str)]) {
    for (at, (name, _)) in headers.iter().enumerate() {
        if at > 0 {
            text.push(';');
        }
        text.push_str(name);
    }
}

/// For a query: all but letters, digits and `-._~` as `%XX`.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(byte.into());
            }
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests;
