//! Damaged letters: `PROPTEST_CASES=20000 cargo test --all-features --lib damaged` tries more.

use proptest::prelude::*;

use super::*;
use crate::testing::damage::damaged;

proptest! {
    #[test]
    fn a_damaged_letter_starts_one_execution_is_parked_for_its_routes_or_a_dead_letter(
        text in damaged(vec![letter(Some("r0")), letter(None)]),
        receives in 1u32..=3,
    ) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        let (returned, calls) = runtime.block_on(async {
            let world = World::default();
            let returned = again(&redrive(&world, &[json!({})]), &text, receives).await;
            (returned, world.calls())
        });
        prop_assert!(!returned, "no port fails");
        let [call] = &calls[..] else {
            return Err(TestCaseError::fail(format!("{text}: {calls:?}")));
        };
        let ends = [&format!("start {MACHINE} r0-"), "park ", "dead_letter "];
        prop_assert!(ends.iter().any(|end| call.starts_with(end)), "{call}");
    }
}
