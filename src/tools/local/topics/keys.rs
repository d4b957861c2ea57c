//! API keys for local use. They have the form of a Momento v2 key, a JWT whose claims have `"t":"g"`, so Momento's SDKs
//! accept them. Their signature is the word `localkey`, so they are useless elsewhere.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The key of `bridge local`, the same at every start, so that clients survive a restart. It is public: the server listens on
/// loopback only and refuses the pages of other sites.
pub const STABLE_API_KEY: &str =
    "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJ0IjoiZyIsImp0aSI6ImxvY2FsIn0.localkey";

/// A new key.
pub fn local_api_key() -> String {
    let id = rand::random::<u128>();
    let claims = format!(r#"{{"t":"g","jti":"{id:032x}"}}"#);
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    format!("{header}.{}.localkey", URL_SAFE_NO_PAD.encode(claims))
}
