use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::testing::{Behaviour, World};

const NOW: i64 = 1_704_296_470_564;

fn claims(world: &World) -> Claims {
    Claims {
        items: Arc::new(world.clone()),
        objects: None,
        max_message_bytes: 4096,
        max_item_bytes: 100_000,
        ttl: Duration::from_millis(3_600_999),
        now_ms: || NOW,
    }
}

fn with_bucket(world: &World) -> Claims {
    Claims {
        objects: Some(Arc::new(world.clone())),
        ..claims(world)
    }
}

fn publication(value: String) -> Publication {
    Publication {
        cache: "demo".into(),
        topic: "out".into(),
        value,
    }
}

async fn text(claims: &Claims, value: &str) -> Result<String, Unclaimed> {
    let deadline = Instant::now() + Duration::from_secs(20);
    let publication = publication(value.to_owned());
    claims
        .text(&publication, deadline)
        .await
        .map(Cow::into_owned)
}

fn sha256(value: &str) -> String {
    hex::encode(digest(&SHA256, value.as_bytes()))
}

/// A value of so many bytes, ending with a character of `last`'s size.
fn of_bytes(bytes: usize, last: char) -> String {
    let mut value = "x".repeat(bytes - last.len_utf8());
    value.push(last);
    assert_eq!(value.len(), bytes);
    value
}

#[tokio::test(start_paused = true)]
async fn a_value_is_published_up_to_the_limit_in_bytes() {
    for last in ['x', 'ä', '€', '🦀'] {
        for (bytes, fits) in [(4095, true), (4096, true), (4097, false)] {
            let world = World::default();
            let value = of_bytes(bytes, last);
            let text = text(&claims(&world), &value).await.unwrap();
            assert_eq!(text == value, fits, "{bytes} bytes, {last}");
            assert_eq!(world.calls().is_empty(), fits);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_larger_value_is_stored_under_its_hash_and_claimed() {
    let world = World::default();
    let value = of_bytes(4097, '€');
    let sha256 = sha256(&value);
    let first = text(&claims(&world), &value).await.unwrap();
    let expected = format!(
        r#"{{"claim":{{"cache":"demo","key":"workflow-bridge/{sha256}","bytes":4097,"sha256":"{sha256}","expires_at":1704300070000}}}}"#
    );
    assert_eq!(first, expected);
    let stored = format!("item demo/workflow-bridge/{sha256} 4097 3600");
    assert_eq!(world.calls(), [stored.as_str()]);
    // Again: the same item and the same claim.
    assert_eq!(text(&claims(&world), &value).await.unwrap(), first);
    assert_eq!(world.calls(), [stored.as_str(), stored.as_str()]);
}

#[tokio::test(start_paused = true)]
async fn a_value_over_the_item_limit_becomes_an_object() {
    let world = World::default();
    let value = "x".repeat(100_001);
    let sha256 = sha256(&value);
    let text = text(&with_bucket(&world), &value).await.unwrap();
    let expected = json!({"claim": {
        "url": format!("https://bucket/workflow-bridge/{sha256}?signed"),
        "bytes": 100_001, "sha256": sha256, "expires_at": 1_704_300_070_000_i64,
    }});
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
    assert_eq!(
        world.calls(),
        [format!("object workflow-bridge/{sha256} 100001 3600")]
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_bucket_it_is_too_large() {
    let world = World::default();
    let refused = text(&claims(&world), &"x".repeat(100_001)).await;
    let too_large = Unclaimed::TooLarge {
        found: 100_001,
        most: 100_000,
    };
    assert_eq!(refused, Err(too_large));
    assert!(world.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_item_that_momento_finds_too_large_becomes_an_object_too() {
    let world = World::default();
    let refusal = Fault::permanent(Fault::TOO_LARGE, "Item size limit exceeded");
    world.make("item", Behaviour::Fails(refusal));
    let value = "x".repeat(50_000);
    let claimed = text(&with_bucket(&world), &value).await.unwrap();
    assert!(claimed.starts_with(r#"{"claim":{"url":"#), "{claimed}");
    assert_eq!(world.calls().len(), 2);
    let too_large = Unclaimed::TooLarge {
        found: 50_000,
        most: 49_999,
    };
    assert_eq!(text(&claims(&world), &value).await, Err(too_large));
}

#[tokio::test(start_paused = true)]
async fn an_oversized_claim_is_refused() {
    let world = World::default();
    let small = Claims {
        max_message_bytes: 100,
        ..with_bucket(&world)
    };
    let item = text(&small, &"x".repeat(101)).await;
    let too_large = Unclaimed::TooLarge {
        found: 101,
        most: 100,
    };
    assert_eq!(item, Err(too_large));
    assert!(world.calls().is_empty(), "nothing is stored needlessly");
    let object = text(&small, &"x".repeat(100_001)).await;
    assert!(matches!(object, Err(Unclaimed::TooLarge { .. })));
}

#[tokio::test(start_paused = true)]
async fn storing_is_tried_again_until_the_deadline() {
    let world = World::default();
    let value = "x".repeat(5000);
    let down = Fault::transient("ServerUnavailable", "down");
    world.make("item", Behaviour::FailsOnce(down.clone()));
    assert!(text(&claims(&world), &value).await.is_ok());
    assert_eq!(world.calls().len(), 2);

    world.make("item", Behaviour::Fails(down.clone()));
    let began = Instant::now();
    let Err(Unclaimed::Store {
        bytes: 5000,
        attempts,
        fault,
    }) = text(&claims(&world), &value).await
    else {
        panic!("expected to give up");
    };
    assert!(attempts > 10 && fault == down, "{attempts} {fault}");
    assert!(began.elapsed() <= Duration::from_secs(20));

    world.heal();
    let wrong = Fault::later("AuthenticationError", "wrong key");
    world.make("item", Behaviour::Fails(wrong.clone()));
    let failed = Unclaimed::Store {
        bytes: 5000,
        attempts: 1,
        fault: wrong,
    };
    assert_eq!(text(&claims(&world), &value).await, Err(failed));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// For any value: the value or a claim that describes it, within the limit of a message.
    #[test]
    fn a_publication_fits_and_describes_its_value(
        value in "\\PC{0,700}",
        max_message_bytes in 0_usize..1200,
        max_item_bytes in 0_usize..1200,
        bucket: bool,
    ) {
        let world = World::default();
        let base = if bucket { with_bucket(&world) } else { claims(&world) };
        let claims = Claims { max_message_bytes, max_item_bytes, ..base };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        match runtime.block_on(text(&claims, &value)) {
            Ok(text) => {
                prop_assert!(text.len() <= max_message_bytes);
                if text != value {
                    prop_assert!(value.len() > max_message_bytes);
                    let claim: Value = serde_json::from_str(&text).unwrap();
                    prop_assert_eq!(&claim["claim"]["bytes"], value.len());
                    prop_assert_eq!(&claim["claim"]["sha256"], &sha256(&value));
                    prop_assert_eq!(world.calls().len(), 1);
                }
            }
            Err(Unclaimed::TooLarge { found, most }) => {
                prop_assert_eq!(found, value.len());
                prop_assert!(found > max_message_bytes && most < found);
            }
            Err(failed) => panic!("the fakes never fail: {failed}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_to_store_has_five_seconds() {
    let world = World::default();
    world.make("item", Behaviour::HangsOnce);
    let began = Instant::now();
    text(&claims(&world), &of_bytes(5000, 'x')).await.unwrap();
    let waited = began.elapsed();
    let pause = Duration::from_millis(50)..=Duration::from_millis(100);
    assert!(pause.contains(&(waited - ATTEMPT_WITHIN)), "{waited:?}");
}
