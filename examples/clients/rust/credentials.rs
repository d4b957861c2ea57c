//! Momento where MOMENTO_API_KEY and MOMENTO_ENDPOINT are set, else the local stack at port MOMENTO_PORT (8080).

use std::env;

use momento::{CredentialProvider, MomentoResult};

/// The fixed key of the local stack: this SDK has no local mode, and refuses an empty key.
const LOCAL: &str = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJ0IjoiZyIsImp0aSI6ImxvY2FsIn0.localkey";

pub fn credentials() -> MomentoResult<CredentialProvider> {
    if env::var("MOMENTO_API_KEY").is_ok() {
        return CredentialProvider::from_default_env_var_v2();
    }
    let port = env::var("MOMENTO_PORT").unwrap_or("8080".into());
    let local = CredentialProvider::from_api_key_v2(LOCAL, "local")?;
    Ok(local.insecure_endpoint_override(&format!("http://127.0.0.1:{port}")))
}
