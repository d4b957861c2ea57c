//! Calls beside AWS: the signed POST to the webhook, and the value of a claim.

use std::time::Duration;

use momento::CacheClient;

use crate::clock::now_ms;
use crate::domain::fault::Fault;
use crate::domain::inbound::signature::HEADER;
use crate::tools::local::claim::{Claim, Resolver};

/// More than Momento's 5 s, so that a late answer is shown, too.
const WITHIN: Duration = Duration::from_secs(30);

/// Bytes of an answer.
const MOST: usize = 64 * 1024;

/// Posts a body with its signature: status and answer.
///
/// # Errors
///
/// When no answer comes.
pub async fn post(
    client: &reqwest::Client,
    url: &str,
    signature: String,
    body: Vec<u8>,
) -> Result<(u16, String), Fault> {
    let unreachable =
        |error: reqwest::Error| Fault::transient("NoAnswer", error.without_url().to_string());
    let request = client
        .post(url)
        .timeout(WITHIN)
        .header("content-type", "application/json")
        .header(HEADER, signature);
    let mut response = request.body(body).send().await.map_err(unreachable)?;
    let mut answer = Vec::new();
    while answer.len() < MOST
        && let Some(chunk) = response.chunk().await.map_err(unreachable)?
    {
        answer.extend_from_slice(&chunk);
    }
    let answer = String::from_utf8_lossy(&answer).into_owned();
    Ok((response.status().as_u16(), answer))
}

/// The value of a claim; none for a text that is no claim.
///
/// # Errors
///
/// When the value cannot be read, with the reason.
pub async fn resolve(items: Option<&CacheClient>, text: &str) -> Result<Option<String>, Fault> {
    let Some(claim) = Claim::of(text) else {
        return Ok(None);
    };
    let items = items.ok_or_else(|| {
        let text = "expected the Momento API key in MOMENTO_API_KEY and its endpoint in MOMENTO_ENDPOINT, found none: set them and start the console again";
        Fault::permanent("NoMomento", text)
    })?;
    let resolver = Resolver::new(items.clone(), now_ms);
    let resolver = resolver.map_err(|error| Fault::permanent("NoClient", error.to_string()))?;
    let value = resolver.resolve(&claim).await;
    value
        .map(Some)
        .map_err(|error| Fault::permanent("Unresolved", error.to_string()))
}
