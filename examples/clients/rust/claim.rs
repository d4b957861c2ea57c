//! A result over 4 KB comes as {"claim":{"cache","key","bytes","sha256","expires_at"}}, or with a "url" in place of cache
//! and key.

use std::error::Error;

use momento::CacheClient;
use ring::digest::{SHA256, digest};
use serde_json::Value;

/// The value of a message: its claim's, or its text.
pub async fn read(items: &CacheClient, message: String) -> Result<String, Box<dyn Error>> {
    let parsed: Value = serde_json::from_str(&message).unwrap_or_default();
    let claim = &parsed["claim"];
    let value: Vec<u8> = match (&claim["url"], &claim["cache"], &claim["key"]) {
        (Value::String(url), _, _) => {
            let response = reqwest::get(url).await?.error_for_status()?;
            response.bytes().await?.into()
        }
        (_, Value::String(cache), Value::String(key)) => {
            items.get(cache, key.as_str()).await?.try_into()?
        }
        _ => return Ok(message),
    };
    if hex::encode(digest(&SHA256, &value)) != claim["sha256"] {
        return Err("the value of a claim has another hash".into());
    }
    Ok(String::from_utf8(value)?)
}
