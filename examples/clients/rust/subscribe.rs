//! Prints the messages of a topic, large ones in full: cargo run --features cli --example subscribe -- CACHE TOPIC
//!
//! The SDK reconnects by itself, without a pause, and resumes at the last message, which then comes again. It does not report
//! missed messages. A new subscription first gets the last message published before it.

use std::time::Duration;

use futures_util::StreamExt as _;
use momento::topics::ValueKind;
use momento::{CacheClient, TopicClient, cache, topics};

mod claim;
mod credentials;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("expected CACHE TOPIC");
    let (cache, topic) = (next()?, next()?);
    let items = CacheClient::builder()
        .default_ttl(Duration::from_secs(60))
        .configuration(cache::configurations::Laptop::latest())
        .credential_provider(credentials::credentials()?)
        .build()?;
    let topics = TopicClient::builder()
        .configuration(topics::configurations::Laptop::latest())
        .credential_provider(credentials::credentials()?)
        .build()?;
    let mut messages = topics.subscribe(cache, topic).await?;
    while let Some(message) = messages.next().await {
        match message.kind {
            ValueKind::Text(text) => println!("{}", claim::read(&items, text).await?),
            ValueKind::Binary(bytes) => println!("{} bytes", bytes.len()),
        }
    }
    Ok(())
}
