//! Momento's webhook signature: HMAC-SHA3-256 over the raw bytes of the body.
//!
//! Only [`verify`] turns a request into a [`Verified`] body, and
//! [`TopicMessage::parse`](crate::domain::inbound::message::TopicMessage::parse) takes nothing else.

use std::fmt;

use hmac::{KeyInit, Mac, SimpleHmac};
use sha3::Sha3_256;

/// The header that carries the signature, in lower case.
pub const HEADER: &str = "momento-signature";

/// Bytes of a signature; the header carries twice as many hex digits.
const SIGNATURE_BYTES: usize = 32;

/// A signing secret, hidden in its `Debug` output.
#[derive(Clone)]
pub struct SigningSecret {
    secret: String,
    /// Keyed once, for all bodies.
    keyed: SimpleHmac<Sha3_256>,
}

impl SigningSecret {
    /// Takes the secret as Momento shows it; its UTF-8 bytes are the key.
    ///
    /// `None` for an empty secret, with which anyone could sign.
    pub fn new(secret: impl Into<String>) -> Option<Self> {
        let secret = secret.into();
        (!secret.is_empty()).then(|| Self {
            keyed: keyed(&secret),
            secret,
        })
    }

    /// The signature of `body`: 64 lower-case hex digits.
    pub fn sign(&self, body: &[u8]) -> String {
        hex::encode(self.mac(body).finalize().into_bytes())
    }

    fn mac(&self, body: &[u8]) -> SimpleHmac<Sha3_256> {
        self.keyed.clone().chain_update(body)
    }
}

impl PartialEq for SigningSecret {
    fn eq(&self, other: &Self) -> bool {
        self.secret == other.secret
    }
}

impl Eq for SigningSecret {}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(…)")
    }
}

/// Bytes with a verified signature.
#[derive(Clone, Copy, Debug)]
pub struct Verified<'a>(&'a [u8]);

impl<'a> Verified<'a> {
    /// Bytes from a queue of the bridge: only the bridge writes to it, after verification.
    pub fn stored(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Unverified bytes, for display only: nothing may be sent because of them.
    pub fn only_shown(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn bytes(self) -> &'a [u8] {
        self.0
    }
}

/// Why a signature is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("expected one `momento-signature` header, found none")]
    Missing,
    /// No secret can match it.
    #[error("expected one `momento-signature` header of 64 hex digits, found something else")]
    Malformed,
    #[error(
        "expected `momento-signature` to be the HMAC-SHA3-256 of the body under a current secret"
    )]
    Wrong,
}

/// The signature of `body` under `secret`: 64 lower-case hex digits.
pub fn sign(secret: &str, body: &[u8]) -> String {
    let mac = keyed(secret).chain_update(body);
    hex::encode(mac.finalize().into_bytes())
}

/// Checks `headers`, all values of the `momento-signature` header, against `body` under any of `secrets`.
///
/// The comparison takes constant time. Upper-case hex is accepted; a second header, even an equal one, is refused.
///
/// # Errors
///
/// [`SignatureError::Missing`] without a header, [`SignatureError::Malformed`] for any value that cannot be a signature,
/// [`SignatureError::Wrong`] for any other signature.
pub fn verify<'a, 'h>(
    secrets: &[SigningSecret],
    body: &'a [u8],
    headers: impl IntoIterator<Item = &'h [u8]>,
) -> Result<Verified<'a>, SignatureError> {
    let mut headers = headers.into_iter();
    let header = headers.next().ok_or(SignatureError::Missing)?;
    let mut signature = [0; SIGNATURE_BYTES];
    if headers.next().is_some() || hex::decode_to_slice(header, &mut signature).is_err() {
        return Err(SignatureError::Malformed);
    }
    secrets
        .iter()
        .any(|secret| secret.mac(body).verify_slice(&signature).is_ok())
        .then_some(Verified(body))
        .ok_or(SignatureError::Wrong)
}

fn keyed(secret: &str) -> SimpleHmac<Sha3_256> {
    let mac = <SimpleHmac<Sha3_256> as KeyInit>::new_from_slice(secret.as_bytes());
    mac.expect("HMAC takes a key of any length")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn secrets(list: &[&str]) -> Vec<SigningSecret> {
        list.iter().filter_map(|s| SigningSecret::new(*s)).collect()
    }

    fn check(secret: &str, body: &[u8], header: &str) -> Result<(), SignatureError> {
        verify(&secrets(&[secret]), body, [header.as_bytes()]).map(|_| ())
    }

    #[derive(serde::Deserialize)]
    struct Vector {
        name: String,
        secret: String,
        body: String,
        hex: String,
    }

    #[test]
    fn known_answers_hold() {
        let vectors: Vec<Vector> = serde_json::from_str(include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/signature.json"
        )))
        .unwrap();
        assert_eq!(vectors.len(), 6);
        for v in vectors {
            assert_eq!(sign(&v.secret, v.body.as_bytes()), v.hex, "{}", v.name);
            assert_eq!(
                check(&v.secret, v.body.as_bytes(), &v.hex),
                Ok(()),
                "{}",
                v.name
            );
        }
    }

    #[test]
    fn missing_malformed_and_wrong_headers_are_distinguished() {
        let none: [&[u8]; 0] = [];
        assert_eq!(
            verify(&secrets(&["k"]), b"x", none).unwrap_err(),
            SignatureError::Missing
        );
        let good = sign("k", b"x");
        for wrong in [
            "",
            " ",
            &good[..63],
            &format!("{good}0"),
            &format!("sha3-256={good}"),
            &format!("{good},{good}"),
            &"g".repeat(64),
        ] {
            assert_eq!(
                check("k", b"x", wrong),
                Err(SignatureError::Malformed),
                "{wrong}"
            );
        }
        let another = "0".repeat(64);
        assert_eq!(check("k", b"x", &another), Err(SignatureError::Wrong));
    }

    #[test]
    fn upper_case_hex_is_accepted_and_a_second_header_is_not() {
        let good = sign("k", b"x");
        assert_eq!(check("k", b"x", &good.to_uppercase()), Ok(()));
        let twice = [good.as_bytes(), good.as_bytes()];
        assert_eq!(
            verify(&secrets(&["k"]), b"x", twice).unwrap_err(),
            SignatureError::Malformed
        );
    }

    #[test]
    fn any_of_several_secrets_verifies() {
        let header = sign("old", b"x");
        assert!(verify(&secrets(&["new", "old"]), b"x", [header.as_bytes()]).is_ok());
        assert!(verify(&secrets(&["new"]), b"x", [header.as_bytes()]).is_err());
        assert!(verify(&[], b"x", [header.as_bytes()]).is_err());
    }

    #[test]
    fn an_empty_secret_is_refused_and_no_secret_is_printed() {
        assert_eq!(SigningSecret::new(""), None);
        assert!(!format!("{:?}", SigningSecret::new("hush")).contains("hush"));
    }

    proptest! {
        #[test]
        fn a_signed_body_verifies(secret in ".{1,200}", body in any::<Vec<u8>>()) {
            prop_assert_eq!(check(&secret, &body, &sign(&secret, &body)), Ok(()));
        }

        #[test]
        fn one_flipped_byte_is_refused(
            body in prop::collection::vec(any::<u8>(), 1..300), at in any::<prop::sample::Index>(), flip in 1u8..,
        ) {
            let header = sign("k", &body);
            let mut forged = body.clone();
            forged[at.index(body.len())] ^= flip;
            prop_assert_eq!(check("k", &forged, &header), Err(SignatureError::Wrong));

            let mut bytes = header.clone().into_bytes();
            bytes[at.index(header.len())] ^= flip;
            // Hex is accepted in both cases, so a flip of case alone is the same signature.
            prop_assume!(!bytes.eq_ignore_ascii_case(header.as_bytes()));
            prop_assert!(verify(&secrets(&["k"]), &body, [bytes.as_slice()]).is_err());
        }
    }
}
