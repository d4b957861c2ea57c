//! The ledger's table of the shipped template, in the emulator's DynamoDB.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::Instant;
use workflow_bridge::adapters::aws::dynamodb::DynamoLedger;
use workflow_bridge::domain::fault::FaultKind;
use workflow_bridge::domain::ports::{Lease, Ledger, Register};
use workflow_bridge::domain::retry::{RetryPolicy, retry};
use workflow_bridge::tools::local::aws::Account;

use crate::deployed::{RUNTIME, stack};

const START: i64 = 1_704_296_470_000;

/// An ID unique among all tests.
fn fresh_id() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("arn:execution-{}#0", COUNT.fetch_add(1, Ordering::Relaxed))
}

async fn ledger(now_ms: fn() -> i64) -> DynamoLedger {
    let stack = stack().await;
    let table = stack.resource("LedgerTable").unwrap().to_owned();
    DynamoLedger::new(stack.account().config(), table, now_ms)
}

async fn item(id: &str) -> Option<HashMap<String, AttributeValue>> {
    let stack = stack().await;
    let client = aws_sdk_dynamodb::Client::new(stack.account().config());
    let call = client
        .get_item()
        .table_name(stack.resource("LedgerTable").unwrap())
        .key("id", AttributeValue::S(id.to_owned()));
    call.send().await.unwrap().item
}

fn yours(published: &[&str]) -> Lease {
    let published = published.iter().map(|&text| text.to_owned()).collect();
    Lease::Yours { published }
}

fn busy(until_ms: i64) -> Lease {
    Lease::Busy { until_ms }
}

#[test]
fn one_of_many_concurrent_owners_gets_the_event() {
    RUNTIME.block_on(async {
        let (ledger, id) = (ledger(|| START).await, fresh_id());
        let owners: Vec<String> = (0..16).map(|i| i.to_string()).collect();
        let until_ms = START + 1000;
        let begin = owners
            .iter()
            .map(|owner| ledger.begin(&id, owner, until_ms));
        let begun: Vec<Lease> = join_all(begin)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        let winners: Vec<usize> = (0..16).filter(|&i| begun[i] == yours(&[])).collect();
        assert_eq!(winners.len(), 1, "{begun:?}");
        let others = begun.iter().filter(|b| **b == busy(until_ms));
        assert_eq!(others.count(), 15, "{begun:?}");
        // The owner keeps the event when it retries after a lost answer.
        let winner = &owners[winners[0]];
        assert_eq!(ledger.begin(&id, winner, until_ms).await, Ok(yours(&[])));
    });
}

#[test]
fn an_expired_lease_goes_to_the_next_owner() {
    static NOW: AtomicI64 = AtomicI64::new(START);
    RUNTIME.block_on(async {
        let (ledger, id) = (ledger(|| NOW.load(Ordering::Relaxed)).await, fresh_id());
        let until_ms = START + 60_000;
        assert_eq!(ledger.begin(&id, "one", until_ms).await, Ok(yours(&[])));
        NOW.store(until_ms, Ordering::Relaxed);
        let later = until_ms + 60_000;
        assert_eq!(ledger.begin(&id, "two", later).await, Ok(busy(until_ms)));
        NOW.store(until_ms + 1, Ordering::Relaxed);
        assert_eq!(ledger.begin(&id, "two", later).await, Ok(yours(&[])));

        // The first owner wakes up and gives back a lease that it has lost.
        ledger
            .release(&id, "one", &["late".to_owned()])
            .await
            .unwrap();
        assert_eq!(ledger.begin(&id, "three", later + 1).await, Ok(busy(later)));
    });
}

#[test]
fn the_next_owner_gets_the_published_names() {
    RUNTIME.block_on(async {
        let (ledger, id) = (ledger(|| START).await, fresh_id());
        let lease = START + 60_000;
        let names = ["b", "a", "b"].map(str::to_owned);
        assert_eq!(ledger.begin(&id, "one", lease).await, Ok(yours(&[])));
        ledger.release(&id, "one", &[]).await.unwrap();
        assert_eq!(ledger.begin(&id, "one", lease).await, Ok(yours(&[])));
        ledger.release(&id, "one", &names).await.unwrap();
        ledger.begin(&id, "one", lease).await.unwrap();
        ledger.release(&id, "one", &["c".to_owned()]).await.unwrap();
        let Ok(Lease::Yours { mut published }) = ledger.begin(&id, "one", lease).await else {
            panic!("it was given back");
        };
        published.sort();
        assert_eq!(published, ["a", "b", "c"]);
    });
}

#[test]
fn a_finished_event_is_never_begun_again() {
    static NOW: AtomicI64 = AtomicI64::new(START);
    RUNTIME.block_on(async {
        let (ledger, id) = (ledger(|| NOW.load(Ordering::Relaxed)).await, fresh_id());
        let lease = START + 60_000;
        ledger.begin(&id, "one", lease).await.unwrap();
        ledger.finish(&id).await.unwrap();
        NOW.store(lease + 1, Ordering::Relaxed);
        assert_eq!(ledger.begin(&id, "two", lease * 2).await, Ok(Lease::Done));
        // Too late: no effect.
        ledger.release(&id, "one", &["x".to_owned()]).await.unwrap();
        ledger.mark(&id).await.unwrap();
        assert_eq!(ledger.begin(&id, "two", lease * 2).await, Ok(Lease::Done));

        let expires_at = item(&id).await.unwrap().remove("expires_at").unwrap();
        assert_eq!(
            expires_at.as_n().unwrap(),
            &(START / 1000 + 30 * 86_400).to_string()
        );
    });
}

#[test]
fn a_marked_event_can_be_begun() {
    RUNTIME.block_on(async {
        let (ledger, id) = (ledger(|| START).await, fresh_id());
        ledger.mark(&id).await.unwrap();
        ledger.mark(&id).await.unwrap();
        assert!(item(&id).await.unwrap().contains_key("expires_at"));
        assert_eq!(ledger.begin(&id, "one", START + 1).await, Ok(yours(&[])));
    });
}

#[test]
fn a_hundred_ids_are_looked_up_together() {
    RUNTIME.block_on(async {
        let ledger = ledger(|| START).await;
        let ids: Vec<String> = (0..100).map(|_| fresh_id()).collect();
        // Beside other tests, the emulator may be slow to accept fifty connections.
        let policy = RetryPolicy::until(Instant::now() + Duration::from_secs(60));
        let marks = ids[..50].iter().map(|id| retry(policy, || ledger.mark(id)));
        for (marked, _) in join_all(marks).await {
            marked.unwrap();
        }
        let (known, _) = retry(policy, || ledger.known(&ids)).await;
        let known = known.unwrap();
        assert_eq!(known, ids[..50].iter().cloned().collect::<HashSet<_>>());
        assert!(ledger.known(&[]).await.unwrap().is_empty());
    });
}

#[test]
fn a_saved_text_comes_back_and_never_expires() {
    RUNTIME.block_on(async {
        let (ledger, key) = (ledger(|| START).await, fresh_id());
        assert_eq!(ledger.load(&key).await, Ok(None));
        ledger.save(&key, "one").await.unwrap();
        ledger.save(&key, "two").await.unwrap();
        assert_eq!(ledger.load(&key).await, Ok(Some("two".to_owned())));
        assert!(!item(&key).await.unwrap().contains_key("expires_at"));
    });
}

#[test]
fn a_missing_table_is_a_fault_with_its_code() {
    RUNTIME.block_on(async {
        let aws = stack().await.account().config();
        let ledger = DynamoLedger::new(aws, "no-such-table".to_owned(), || START);
        let fault = ledger.begin("id", "one", START).await.unwrap_err();
        assert_eq!(fault.code, "ResourceNotFoundException");
    });
}

/// Answers a BatchGetItem with items for the first `processed` keys; the other keys stay unprocessed.
async fn busy_table(processed: usize) -> DynamoLedger {
    let answer = async move |body: Bytes| {
        let request: Value = serde_json::from_slice(&body).unwrap();
        let keys = request["RequestItems"]["busy"]["Keys"].as_array().unwrap();
        let (done, left) = keys.split_at(processed);
        let mut answer = json!({"Responses": {"busy": done}});
        if !left.is_empty() {
            answer["UnprocessedKeys"]["busy"]["Keys"] = json!(left);
        }
        axum::Json(answer)
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(post(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let account = Account::new(&endpoint, "123456789012");
    DynamoLedger::new(account.config(), "busy".to_owned(), || START)
}

#[tokio::test]
async fn unprocessed_keys_are_requested_again() {
    let ids = ["a", "b", "c"].map(str::to_owned);
    let known = busy_table(1).await.known(&ids).await.unwrap();
    assert_eq!(known, HashSet::from(ids.clone()));
    let fault = busy_table(0).await.known(&ids).await.unwrap_err();
    assert_eq!(
        (fault.kind, fault.code.as_str()),
        (FaultKind::Transient, "UnprocessedKeys")
    );
}
