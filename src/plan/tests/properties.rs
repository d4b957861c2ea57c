//! What holds for every question.

use proptest::prelude::*;

use super::super::model::BATCH;
use super::{Architecture, Question, RegionClass, planned, quotas};

prop_compose! {
    fn questions()(
        rate in -5.0..8.0_f64,
        peak in 1.0..20.0_f64,
        transitions in 1..100_u32,
        (text_bytes, result_bytes) in (0..=4096_u32, 0..=262_144_u32),
        (subscribers, routes) in (0..20_u32, 1..30_u32),
        (large, arm, express, free_tier) in any::<(bool, bool, bool, bool)>(),
        memory_mb in 128..10_240_u32,
        (webhook_ms, completion_ms) in (1.0..5000.0_f64, 1.0..60_000.0_f64),
        workflow_seconds in 0.0..300.0_f64,
    ) -> Question {
        Question {
            peak,
            transitions,
            text_bytes,
            result_bytes,
            subscribers,
            routes,
            region: if large { RegionClass::Large } else { RegionClass::Other },
            architecture: if arm { Architecture::Arm64 } else { Architecture::X86 },
            memory_mb,
            webhook_ms,
            completion_ms,
            workflow_seconds,
            express,
            free_tier,
            ..Question::new(10_f64.powf(rate))
        }
    }
}

proptest! {
    #[test]
    fn more_messages_never_need_less(question in questions(), times in 1.0..10.0_f64) {
        let fewer = planned(question.clone());
        let more = planned(Question {
            messages_per_second: question.messages_per_second * times,
            ..question
        });
        for limit in &fewer.limits {
            let of_more = super::limit(&more, limit.name).unwrap();
            prop_assert!(of_more.need >= limit.need, "{}", limit.name);
            prop_assert!(of_more.used_percent >= limit.used_percent, "{}", limit.name);
        }
        for cost in &fewer.costs {
            let of_more = more.costs.iter().find(|other| other.part == cost.part).unwrap();
            prop_assert!(of_more.dollars_a_month >= cost.dollars_a_month * 0.999_999, "{}", cost.part);
        }
        prop_assert!(more.dollars_a_month >= fewer.dollars_a_month * 0.999_999);
    }

    #[test]
    fn every_plan_is_whole(question in questions()) {
        let plan = planned(question);
        let used: Vec<f64> = plan.limits.iter().map(|limit| limit.used_percent).collect();
        prop_assert!(used.is_sorted_by(|a, b| a >= b), "{used:?}");
        prop_assert!(used.iter().all(|used| used.is_finite() && *used >= 0.0), "{used:?}");
        let sum: f64 = plan.costs.iter().map(|cost| cost.dollars_a_month).sum();
        prop_assert!((sum - plan.dollars_a_month).abs() <= sum * 1e-9);
        prop_assert!(plan.costs.iter().all(|cost| cost.dollars_a_month.is_finite() && cost.dollars_a_month >= 0.0));
        prop_assert!((1.0..=BATCH).contains(&plan.load.results_in_a_batch));
        for limit in &plan.limits {
            prop_assert_eq!(limit.what_to_do.is_empty(), limit.used_percent < quotas::NEAR);
            prop_assert!(!limit.what_to_do.contains('{'), "{}", limit.what_to_do);
        }
        let text = plan.text(100);
        prop_assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    }
}
