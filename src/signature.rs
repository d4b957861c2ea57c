//! Momento's webhook signature: HMAC-SHA3-256 over the raw bytes of the body.
//!
//! [`verify`] is the only way from a request to a [`Verified`] body, and a [`Verified`] body is the only way to a
//! [`TopicMessage`](crate::message::TopicMessage), so nothing in a body can be believed before its signature holds.

use std::fmt;

use hmac::{KeyInit, Mac, SimpleHmac};
use sha3::Sha3_256;

/// The header that carries the signature, in lower case.
pub const HEADER: &str = "momento-signature";

/// Bytes of a signature; the header carries twice as many hex digits.
const SIGNATURE_BYTES: usize = 32;

/// A signing secret. It never prints itself.
#[derive(Clone)]
pub struct SigningSecret {
    secret: String,
    /// Has taken in the key already, which is the same for every body.
    keyed: SimpleHmac<Sha3_256>,
}

impl SigningSecret {
    /// Takes the secret as Momento shows it; its UTF-8 bytes are the key.
    ///
    /// An empty secret is refused with `None`: anybody could sign with it.
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

/// Bytes whose signature was checked.
#[derive(Clone, Copy, Debug)]
pub struct Verified<'a>(&'a [u8]);

impl<'a> Verified<'a> {
    /// Bytes that were verified before they were put into a queue of the bridge, which only the bridge may write to.
    pub fn stored(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Bytes that nobody verified, for a person to look at what they say: nothing may be sent anywhere because of them.
    #[cfg(feature = "cli")]
    pub fn only_shown(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn bytes(self) -> &'a [u8] {
        self.0
    }
}

/// Why a request is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("expected one `momento-signature` header, found none")]
    Missing,
    /// No secret can mend it.
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
/// The comparison takes the same time wherever the first difference is. Upper-case hex is accepted; a second
/// header, even an equal one, is not.
///
/// # Errors
///
/// [`SignatureError::Missing`] without a header, [`SignatureError::Malformed`] where none can be a signature,
/// [`SignatureError::Wrong`] where it is that of something else.
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
        let vectors: Vec<Vector> =
            serde_json::from_str(include_str!("../tests/fixtures/signature.json")).unwrap();
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
    fn a_missing_header_is_told_from_a_wrong_one() {
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
    fn an_empty_secret_is_no_secret_and_none_is_printed() {
        assert_eq!(SigningSecret::new(""), None);
        assert!(!format!("{:?}", SigningSecret::new("hush")).contains("hush"));
    }

    proptest! {
        #[test]
        fn what_is_signed_verifies(secret in ".{1,200}", body in any::<Vec<u8>>()) {
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
