//! A subscriber by the documented HTTP API: one request after the other per topic, each topic on a connection of its own.

use std::borrow::Cow;
use std::sync::Arc;

use anyhow::{Context, Result};
use reqwest::Client;
use reqwest::header::AUTHORIZATION;
use serde::Deserialize;
use tokio::task::JoinSet;

use super::{CACHE, Source, Tally, broken, topic};

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    items: Vec<Element<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Element<'a> {
    Item {
        sequence_page: u64,
        topic_sequence_number: u64,
        #[serde(borrow)]
        value: Value<'a>,
    },
    Discontinuity {
        new_topic_sequence: u64,
        new_sequence_page: u64,
    },
}

#[derive(Deserialize)]
struct Value<'a> {
    #[serde(borrow)]
    text: Cow<'a, str>,
}

/// One topic.
struct Poller {
    client: Client,
    url: String,
    key: String,
    tally: Arc<Tally>,
    /// The number of the next message, and its page.
    place: (u64, u64),
}

/// Returns when every topic's position is known: from then on no message can be missed. With `forget` there is no position:
/// each request asks for the next message, and this returns at once.
pub async fn subscribe(source: &Source, tally: &Arc<Tally>) -> Result<()> {
    let client = Client::builder().http1_only().no_proxy().build()?;
    let forget = source.forget;
    let mut opening = JoinSet::new();
    for name in (0..source.topics).map(topic) {
        let mut poller = Poller {
            client: client.clone(),
            url: format!("{}/topics/{CACHE}/{name}", source.endpoint),
            key: source.key.clone(),
            tally: tally.clone(),
            // A number never reached: the immediate answer is a discontinuity with number and page.
            place: (u64::MAX, 0),
        };
        opening.spawn(async move {
            if forget.is_none() {
                poller.poll().await?;
            }
            tokio::spawn(async move {
                loop {
                    if forget.is_some() {
                        poller.place = (0, 0);
                    }
                    if let Err(error) = poller.poll().await {
                        broken(&name, &format!("{error:#}"));
                    }
                    if let Some(gap) = forget.filter(|gap| !gap.is_zero()) {
                        tokio::time::sleep(gap).await;
                    }
                }
            });
            anyhow::Ok(())
        });
    }
    while let Some(opened) = opening.join_next().await {
        opened??;
    }
    Ok(())
}

impl Poller {
    async fn poll(&mut self) -> Result<()> {
        let (sequence, page) = self.place;
        let position = format!("sequence_number={sequence}&sequence_page={page}");
        let request = self.client.get(format!("{}?{position}", self.url));
        let request = request.header(AUTHORIZATION, &self.key);
        let answer = request.send().await?.error_for_status()?;
        let body = answer.bytes().await?;
        let answer: Answer<'_> = serde_json::from_slice(&body).context("expected items")?;
        for element in answer.items {
            self.place = match element {
                Element::Item {
                    sequence_page,
                    topic_sequence_number,
                    value,
                } => {
                    self.tally.note(&value.text);
                    (topic_sequence_number + 1, sequence_page)
                }
                Element::Discontinuity {
                    new_topic_sequence,
                    new_sequence_page,
                } => (new_topic_sequence, new_sequence_page),
            };
        }
        Ok(())
    }
}
