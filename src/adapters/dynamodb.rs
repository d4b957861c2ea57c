//! The ledger, in one DynamoDB table with the partition key `id`.
//!
//! | `state` | means |
//! |---|---|
//! | `publishing` | `lease_owner` has the event until `lease_until` (ms); after that it is anyone's, so a crash repeats and never loses |
//! | `waiting` | given back; what was published of it is in `published` |
//! | `queued` | the sweep sent it to the completion |
//! | `done` | all of it was published |
//!
//! An item lives for 30 days (`expires_at`, s): longer than queues keep an event (14 days) and the sweep looks back (14).

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde_json::{Value, json};

use super::aws::services::DYNAMODB;
use super::aws::{Aws, Client, Refusal};
use crate::ports::{Answer, Begun, Fault, Ledger, Register};

const KEEP_SECONDS: i64 = 30 * 86_400;

/// A free id, or one that is not done and whose lease, if there is one, has ended.
const FREE: &str = "attribute_not_exists(id) OR (#state <> :done AND (attribute_not_exists(lease_until) OR lease_until < :now))";

/// The table, for the completion and the sweep.
pub struct DynamoLedger {
    client: Client,
    table: String,
    /// Milliseconds since the epoch.
    now_ms: fn() -> i64,
}

/// An item: its attributes, each an object of its type and its value, such as `{"S": "text"}`.
type Item = serde_json::Map<String, Value>;

const REFUSED: &str = "ConditionalCheckFailedException";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Updated {
    attributes: Option<Item>,
}

/// What GetItem answers, and an update whose condition does not hold.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Found {
    item: Option<Item>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Batch {
    #[serde(default)]
    responses: HashMap<String, Vec<Item>>,
    #[serde(default)]
    unprocessed_keys: HashMap<String, Keys>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Keys {
    keys: Vec<Item>,
}

impl DynamoLedger {
    pub fn new(aws: &Aws, table: String, now_ms: fn() -> i64) -> Self {
        Self {
            client: Client::new(aws, &DYNAMODB),
            table,
            now_ms,
        }
    }

    fn expires_at(&self) -> Value {
        number((self.now_ms)() / 1000 + KEEP_SECONDS)
    }

    /// An update of one item, with `#state` for its state.
    fn update(&self, id: &str, expression: &str, values: Value) -> Value {
        json!({
            "TableName": self.table, "Key": {"id": text(id)}, "UpdateExpression": expression,
            "ExpressionAttributeNames": {"#state": "state"}, "ExpressionAttributeValues": values,
        })
    }

    async fn item(&self, id: &str) -> Result<Option<Item>, Fault> {
        let input =
            json!({"TableName": self.table, "Key": {"id": text(id)}, "ConsistentRead": true});
        let Found { item } = self.client.call("GetItem", &input).await?;
        Ok(item)
    }
}

impl Ledger for DynamoLedger {
    fn begin<'a>(&'a self, id: &'a str, owner: &'a str, lease_until_ms: i64) -> Answer<'a, Begun> {
        Box::pin(async move {
            let set = "SET #state = :publishing, lease_owner = :owner, lease_until = :until, expires_at = :expires";
            let mut update = self.update(
                id,
                set,
                json!({
                    ":publishing": text("publishing"), ":owner": text(owner), ":until": number(lease_until_ms),
                    ":expires": self.expires_at(), ":done": text("done"), ":now": number((self.now_ms)()),
                }),
            );
            update["ConditionExpression"] = FREE.into();
            update["ReturnValues"] = "ALL_NEW".into();
            update["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD".into();
            match self.client.call("UpdateItem", &update).await {
                Ok(Updated { attributes }) => Ok(Begun::Yours {
                    published: published(attributes.as_ref()),
                }),
                Err(refusal) if refusal.fault.code == REFUSED => {
                    let found = serde_json::from_slice::<Found>(&refusal.body).ok();
                    taken(found.and_then(|found| found.item).as_ref(), owner)
                }
                Err(refusal) => Err(refusal.into()),
            }
        })
    }

    fn finish<'a>(&'a self, id: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let set = "SET #state = :done, expires_at = :expires REMOVE lease_owner, lease_until, published";
            let values = json!({":done": text("done"), ":expires": self.expires_at()});
            let update = self.update(id, set, values);
            Ok(self.client.tell("UpdateItem", &update).await?)
        })
    }

    fn give_back<'a>(
        &'a self,
        id: &'a str,
        owner: &'a str,
        published: &'a [String],
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let set = "SET #state = :waiting REMOVE lease_owner, lease_until";
            let mut values = json!({":waiting": text("waiting"), ":mine": text(owner)});
            // DynamoDB knows no empty set.
            let set = match published.is_empty() {
                true => set.to_owned(),
                false => {
                    let different: HashSet<&String> = published.iter().collect();
                    values[":published"] = json!({"SS": different});
                    format!("{set} ADD published :published")
                }
            };
            let mut update = self.update(id, &set, values);
            update["ConditionExpression"] = "lease_owner = :mine".into();
            // Where it does not hold, the lease has ended and somebody else has the event.
            unless_refused(self.client.tell("UpdateItem", &update).await)
        })
    }
}

impl Register for DynamoLedger {
    fn known<'a>(&'a self, ids: &'a [String]) -> Answer<'a, HashSet<String>> {
        Box::pin(async move {
            let mut known = HashSet::new();
            let mut left: Vec<Item> = ids.iter().map(|id| key(id)).collect();
            while !left.is_empty() {
                let asked = left.len();
                let input = json!({"RequestItems": {&self.table: {
                    "Keys": left, "ProjectionExpression": "id", "ConsistentRead": true,
                }}});
                let mut batch: Batch = self.client.call("BatchGetItem", &input).await?;
                let items = batch.responses.remove(&self.table).unwrap_or_default();
                known.extend(items.iter().filter_map(|item| string(item, "id")));
                let unprocessed = batch.unprocessed_keys.remove(&self.table);
                left = unprocessed.map_or_else(Vec::new, |keys| keys.keys);
                if left.len() == asked {
                    return Err(Fault::transient("UnprocessedKeys", "no key was processed"));
                }
            }
            Ok(known)
        })
    }

    fn mark<'a>(&'a self, id: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let input = json!({
                "TableName": self.table,
                "Item": {"id": text(id), "state": text("queued"), "expires_at": self.expires_at()},
                "ConditionExpression": "attribute_not_exists(id)",
            });
            unless_refused(self.client.tell("PutItem", &input).await)
        })
    }

    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<String>> {
        Box::pin(async move {
            let item = self.item(key).await?;
            Ok(item.and_then(|item| string(&item, "saved")))
        })
    }

    fn save<'a>(&'a self, key: &'a str, saved: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let item = json!({"id": text(key), "saved": text(saved)});
            let input = json!({"TableName": self.table, "Item": item});
            Ok(self.client.tell("PutItem", &input).await?)
        })
    }
}

#[cfg(feature = "cli")]
impl crate::trace::sources::Entries for DynamoLedger {
    fn entry<'a>(&'a self, id: &'a str) -> Answer<'a, Option<crate::trace::model::Entry>> {
        Box::pin(async move {
            let item = self.item(id).await?;
            let item = item.as_ref();
            let state = item.and_then(|item| string(item, "state"));
            Ok(state.map(|state| crate::trace::model::Entry {
                state,
                // Each is preceded by its place in the event.
                published: published(item)
                    .iter()
                    .map(|name| {
                        name.split_once(' ')
                            .map_or(name.as_str(), |(_, to)| to)
                            .to_owned()
                    })
                    .collect(),
            }))
        })
    }
}

/// Why an event cannot be begun, from the item that was there.
fn taken(item: Option<&Item>, owner: &str) -> Result<Begun, Fault> {
    let state = item.and_then(|item| string(item, "state"));
    let until_ms = item.and_then(|item| item.get("lease_until")?["N"].as_str()?.parse().ok());
    match (state.as_deref(), until_ms) {
        (Some("done"), _) => Ok(Begun::Done),
        // An attempt of the same owner, whose answer was lost.
        _ if item.and_then(|item| string(item, "lease_owner")).as_deref() == Some(owner) => {
            Ok(Begun::Yours {
                published: published(item),
            })
        }
        (_, Some(until_ms)) => Ok(Begun::Busy { until_ms }),
        _ => Err(Fault::transient(
            "BadResponse",
            "expected the item that refused an update, found none",
        )),
    }
}

/// What a conditional write did; nothing, where its condition did not hold.
fn unless_refused(result: Result<(), Refusal>) -> Result<(), Fault> {
    match result {
        Err(refusal) if refusal.fault.code != REFUSED => Err(refusal.into()),
        _ => Ok(()),
    }
}

fn published(item: Option<&Item>) -> Vec<String> {
    let set = item.and_then(|item| item.get("published")?["SS"].as_array());
    let names = set.into_iter().flatten();
    names
        .filter_map(|name| Some(name.as_str()?.to_owned()))
        .collect()
}

fn key(id: &str) -> Item {
    Item::from_iter([("id".to_owned(), text(id))])
}

fn text(value: &str) -> Value {
    json!({"S": value})
}

fn number(value: i64) -> Value {
    json!({"N": value.to_string()})
}

fn string(item: &Item, attribute: &str) -> Option<String> {
    Some(item.get(attribute)?["S"].as_str()?.to_owned())
}
