//! The ledger, in one DynamoDB table with the partition key `id`.
//!
//! | `state` | means |
//! |---|---|
//! | `publishing` | `lease_owner` holds the event until `lease_until` (ms); then any invocation may take it, so a crash repeats and never loses |
//! | `waiting` | released; `published` lists its publications so far |
//! | `queued` | queued for the completion by the sweep |
//! | `done` | nothing is left to publish |
//!
//! An item of the ledger lives for 30 days (`expires_at`, s): longer than the retention of queues (14 days) and the sweep's
//! range (14). A saved text never expires.

use std::collections::{HashMap, HashSet};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{
    AttributeValue, KeysAndAttributes, ReturnValue, ReturnValuesOnConditionCheckFailure,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::retry::ProvideErrorKind;

use super::fault::fault;
use crate::domain::fault::Fault;
use crate::domain::ports::{Answer, Exclusive, Lease, Ledger, Register};

const KEEP_SECONDS: i64 = 30 * 86_400;

/// The condition for a lease: a new id, or one that is not done and has no current lease.
const FREE: &str = "attribute_not_exists(id) OR (#state <> :done AND (attribute_not_exists(lease_until) OR lease_until < :now))";

/// The table, for the completion and the sweep.
pub struct DynamoLedger {
    client: Client,
    table: String,
    /// Milliseconds since the epoch.
    now_ms: fn() -> i64,
}

type Item = HashMap<String, AttributeValue>;

impl DynamoLedger {
    pub fn new(aws: &SdkConfig, table: String, now_ms: fn() -> i64) -> Self {
        Self {
            client: Client::new(aws),
            table,
            now_ms,
        }
    }

    fn expires_at(&self) -> AttributeValue {
        number((self.now_ms)() / 1000 + KEEP_SECONDS)
    }

    /// The item of a saved text.
    fn put_saved(&self, key: &str, saved: &str) -> PutItemFluentBuilder {
        self.client
            .put_item()
            .table_name(&self.table)
            .item("id", text(key))
            .item("saved", text(saved))
    }

    /// An update of one item; `#state` is its state.
    fn update(&self, id: &str, expression: impl Into<String>) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .key("id", text(id))
            .update_expression(expression)
            .expression_attribute_names("#state", "state")
    }
}

impl Ledger for DynamoLedger {
    fn begin<'a>(&'a self, id: &'a str, owner: &'a str, lease_until_ms: i64) -> Answer<'a, Lease> {
        Box::pin(async move {
            let set = "SET #state = :publishing, lease_owner = :owner, lease_until = :until, expires_at = :expires";
            let call = self
                .update(id, set)
                .condition_expression(FREE)
                .expression_attribute_values(":publishing", text("publishing"))
                .expression_attribute_values(":owner", text(owner))
                .expression_attribute_values(":until", number(lease_until_ms))
                .expression_attribute_values(":expires", self.expires_at())
                .expression_attribute_values(":done", text("done"))
                .expression_attribute_values(":now", number((self.now_ms)()))
                .return_values(ReturnValue::AllNew)
                .return_values_on_condition_check_failure(
                    ReturnValuesOnConditionCheckFailure::AllOld,
                );
            match call.send().await {
                Ok(output) => Ok(Lease::Yours {
                    published: published(output.attributes.as_ref()),
                }),
                Err(e) => match e.as_service_error() {
                    Some(UpdateItemError::ConditionalCheckFailedException(refusal)) => {
                        taken(refusal.item(), owner)
                    }
                    _ => Err(fault(&e)),
                },
            }
        })
    }

    fn finish<'a>(&'a self, id: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let set = "SET #state = :done, expires_at = :expires REMOVE lease_owner, lease_until, published";
            let call = self
                .update(id, set)
                .expression_attribute_values(":done", text("done"))
                .expression_attribute_values(":expires", self.expires_at());
            call.send().await.map(|_| ()).map_err(|e| fault(&e))
        })
    }

    fn release<'a>(
        &'a self,
        id: &'a str,
        owner: &'a str,
        published: &'a [String],
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let set = "SET #state = :waiting REMOVE lease_owner, lease_until";
            let call = if published.is_empty() {
                // DynamoDB has no empty set.
                self.update(id, set)
            } else {
                let different: HashSet<&String> = published.iter().collect();
                let published = AttributeValue::Ss(different.into_iter().cloned().collect());
                self.update(id, format!("{set} ADD published :published"))
                    .expression_attribute_values(":published", published)
            };
            let call = call
                .condition_expression("lease_owner = :mine")
                .expression_attribute_values(":waiting", text("waiting"))
                .expression_attribute_values(":mine", text(owner));
            // If the condition fails, the lease has ended and another invocation holds the event.
            unless_refused(call.send().await)
        })
    }
}

impl Register for DynamoLedger {
    fn known<'a>(&'a self, ids: &'a [String]) -> Answer<'a, HashSet<String>> {
        Box::pin(async move {
            let mut known = HashSet::new();
            let mut left: Vec<Item> = ids.iter().map(|id| key(id)).collect();
            while !left.is_empty() {
                let requested = left.len();
                let keys = KeysAndAttributes::builder()
                    .set_keys(Some(left))
                    .projection_expression("id")
                    .consistent_read(true)
                    .build()
                    .map_err(|e| Fault::permanent("BadRequest", e.to_string()))?;
                let call = self
                    .client
                    .batch_get_item()
                    .request_items(&self.table, keys);
                let mut output = call.send().await.map_err(|e| fault(&e))?;
                let mut found = output.responses.take().unwrap_or_default();
                let items = found.remove(&self.table).unwrap_or_default();
                known.extend(items.iter().filter_map(|item| string(item, "id")));
                let unprocessed = output
                    .unprocessed_keys
                    .and_then(|mut tables| tables.remove(&self.table));
                left = unprocessed.map_or_else(Vec::new, |keys| keys.keys);
                if left.len() == requested {
                    return Err(Fault::transient("UnprocessedKeys", "no key was processed"));
                }
            }
            Ok(known)
        })
    }

    fn mark<'a>(&'a self, id: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let call = self
                .client
                .put_item()
                .table_name(&self.table)
                .item("id", text(id))
                .item("state", text("queued"))
                .item("expires_at", self.expires_at())
                .condition_expression("attribute_not_exists(id)");
            unless_refused(call.send().await)
        })
    }

    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<String>> {
        Box::pin(async move {
            let call = self
                .client
                .get_item()
                .table_name(&self.table)
                .key("id", text(key))
                .consistent_read(true);
            let output = call.send().await.map_err(|e| fault(&e))?;
            Ok(output.item.and_then(|item| string(&item, "saved")))
        })
    }

    fn save<'a>(&'a self, key: &'a str, saved: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let call = self.put_saved(key, saved);
            call.send().await.map(|_| ()).map_err(|e| fault(&e))
        })
    }
}

impl Exclusive for DynamoLedger {
    fn replace<'a>(
        &'a self,
        key: &'a str,
        saved: &'a str,
        previous: Option<&'a str>,
    ) -> Answer<'a, bool> {
        Box::pin(async move {
            let call = self
                .put_saved(key, saved)
                .return_values_on_condition_check_failure(
                    ReturnValuesOnConditionCheckFailure::AllOld,
                );
            let call = match previous {
                None => call.condition_expression("attribute_not_exists(id)"),
                Some(previous) => call
                    .condition_expression("saved = :previous")
                    .expression_attribute_values(":previous", text(previous)),
            };
            match call.send().await {
                Ok(_) => Ok(true),
                Err(e) => match e.as_service_error() {
                    Some(PutItemError::ConditionalCheckFailedException(refusal)) => {
                        let item = refusal.item();
                        Ok(item.and_then(|item| string(item, "saved")).as_deref() == Some(saved))
                    }
                    _ => Err(fault(&e)),
                },
            }
        })
    }
}

/// The reason for a refused lease, from the existing item.
fn taken(item: Option<&Item>, owner: &str) -> Result<Lease, Fault> {
    let state = item.and_then(|item| string(item, "state"));
    let until_ms = item.and_then(|item| item.get("lease_until")?.as_n().ok()?.parse().ok());
    match (state.as_deref(), until_ms) {
        (Some("done"), _) => Ok(Lease::Done),
        // A repeated call by the same owner, after a lost response.
        _ if item.and_then(|item| string(item, "lease_owner")).as_deref() == Some(owner) => {
            Ok(Lease::Yours {
                published: published(item),
            })
        }
        (_, Some(until_ms)) => Ok(Lease::Busy { until_ms }),
        _ => Err(Fault::transient(
            "BadResponse",
            "expected the item that refused an update, found none",
        )),
    }
}

/// The result of a conditional write; an unmet condition counts as success.
fn unless_refused<T, E>(result: Result<T, SdkError<E, HttpResponse>>) -> Result<(), Fault>
where
    E: ProvideErrorMetadata + ProvideErrorKind,
{
    match result {
        Ok(_) => Ok(()),
        Err(e) if e.code() == Some("ConditionalCheckFailedException") => Ok(()),
        Err(e) => Err(fault(&e)),
    }
}

fn published(item: Option<&Item>) -> Vec<String> {
    let set = item.and_then(|item| item.get("published")?.as_ss().ok());
    set.cloned().unwrap_or_default()
}

fn key(id: &str) -> Item {
    Item::from([("id".to_owned(), text(id))])
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn string(item: &Item, attribute: &str) -> Option<String> {
    item.get(attribute)?.as_s().ok().cloned()
}
