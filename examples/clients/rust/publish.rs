//! Publishes a message: cargo run --features cli --example publish -- CACHE TOPIC TEXT

use momento::TopicClient;
use momento::topics::configurations::Laptop;

mod credentials;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("expected CACHE TOPIC TEXT");
    let (cache, topic, text) = (next()?, next()?, next()?);
    let topics = TopicClient::builder()
        .configuration(Laptop::latest())
        .credential_provider(credentials::credentials()?)
        .build()?;
    topics.publish(cache, topic, text).await?;
    Ok(())
}
