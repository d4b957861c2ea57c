//! The ledger, read back by a trace.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;

use super::model::Entry;
use super::sources::Entries;
use crate::adapters::aws::fault::fault;
use crate::domain::ports::Answer;

/// The ledger's table.
pub struct LedgerTable {
    client: Client,
    table: String,
}

impl LedgerTable {
    pub fn new(aws: &SdkConfig, table: String) -> Self {
        Self {
            client: Client::new(aws),
            table,
        }
    }
}

impl Entries for LedgerTable {
    fn entry<'a>(&'a self, id: &'a str) -> Answer<'a, Option<Entry>> {
        Box::pin(async move {
            let call = self.client.get_item().table_name(&self.table);
            let call = call.key("id", AttributeValue::S(id.to_owned()));
            let output = call.consistent_read(true).send().await;
            let item = output.map_err(|e| fault(&e))?.item.unwrap_or_default();
            let Some(AttributeValue::S(state)) = item.get("state") else {
                return Ok(None);
            };
            let published = item.get("published").and_then(|set| set.as_ss().ok());
            // Each begins with its place in the event.
            let topic = |name: &String| match name.split_once(' ') {
                Some((_, topic)) => topic.to_owned(),
                None => name.clone(),
            };
            Ok(Some(Entry {
                state: state.clone(),
                published: published.into_iter().flatten().map(topic).collect(),
            }))
        })
    }
}
