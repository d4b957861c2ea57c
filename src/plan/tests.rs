use super::model::FACTORS;
use super::prices::PRICES;
use super::quotas::QUOTAS;
use super::*;

mod properties;

fn planned(question: Question) -> Plan {
    plan(question).unwrap()
}

fn limit<'a>(plan: &'a Plan, name: &str) -> Option<&'a Limit> {
    plan.limits.iter().find(|limit| limit.name == name)
}

/// The rate at which a limit is just reached, by halving; none where no rate reaches it.
fn rate_of(name: &str, question: &Question) -> Option<f64> {
    let used = |rate: f64| {
        let plan = planned(Question {
            messages_per_second: rate,
            ..question.clone()
        });
        limit(&plan, name).map(|limit| limit.used_percent)
    };
    let (mut low, mut high) = (1e-6, 1e9);
    if used(high)? < 100.0 {
        return None;
    }
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if used(middle)? > 100.0 {
            high = middle;
        } else {
            low = middle;
        }
    }
    Some(low)
}

#[test]
fn every_quota_has_its_boundary() {
    let standard = Question {
        peak: 2.0,
        transitions: 4,
        webhook_ms: 200.0,
        completion_ms: 500.0,
        workflow_seconds: 10.0,
        ..Question::new(1.0)
    };
    let express = Question {
        express: true,
        ..standard.clone()
    };
    let other = Question {
        region: RegionClass::Other,
        ..standard.clone()
    };
    let long = Question {
        result_bytes: 262_144,
        ..standard.clone()
    };
    // Messages a second in the mean; the peak is twice that.
    let cases = [
        ("Momento: messages of a webhook", &standard, 2.5),
        ("Momento: webhooks of a namespace", &standard, 12.5),
        // Published and delivered, twice: four operations.
        ("Momento: operations", &standard, 10.0 / 4.0 / 2.0),
        // 0.2 s of the webhook, a tenth of 0.5 s of the completion.
        (
            "Lambda: environments at once",
            &standard,
            1000.0 / 0.25 / 2.0,
        ),
        ("Lambda: new environments in 10 s", &standard, 1000.0 / 0.2),
        ("Step Functions: StartExecution", &standard, 150.0),
        ("Step Functions: StartExecution", &other, 75.0),
        ("Step Functions: StartExecution, EXPRESS", &express, 3000.0),
        (
            "Step Functions: state transitions",
            &standard,
            1500.0 / 4.0 / 2.0,
        ),
        (
            "Step Functions: state transitions",
            &other,
            500.0 / 4.0 / 2.0,
        ),
        ("Step Functions: open executions", &standard, 50_000.0),
        ("EventBridge: PutEvents by workflows", &express, 5000.0),
        ("EventBridge: invocations of targets", &standard, 9375.0),
        ("EventBridge: invocations of targets", &other, 550.0),
        // Two batches of ten in half a second.
        ("The template: CompletionConcurrency", &standard, 20.0),
        ("Lambda: batches of one queue at once", &standard, 10_000.0),
        ("SQS: results in flight", &standard, 120_000.0),
        ("DynamoDB: writes of a new table", &standard, 1000.0),
        ("DynamoDB: writes of a table", &standard, 10_000.0),
        ("Step Functions: DescribeExecution", &long, 7.5),
        (
            "Step Functions: DescribeExecution",
            &Question {
                region: RegionClass::Other,
                ..long.clone()
            },
            5.0,
        ),
        // Sixty-seven minutes of executions, each five minutes.
        (
            "The sweep: a pass each five minutes",
            &standard,
            58_000.0 / 300.0 * 2.0 / 3.0 / 13.4,
        ),
        (
            "The sweep: a pass each day",
            &standard,
            58_000.0 / 300.0 / 3.0 / 15.0,
        ),
    ];
    for (name, question, expected) in cases {
        let found = rate_of(name, question).unwrap_or_else(|| panic!("{name} is never reached"));
        assert!(
            (found / expected - 1.0).abs() < 1e-6,
            "{name}: {found}, expected {expected}"
        );
    }
    // At most a thousand webhooks and batches start in ten seconds, which is far from 10,000 reads a second.
    let never = "Secrets Manager: GetSecretValue";
    assert_eq!(rate_of(never, &standard), None);
    let tested = |quota: &&quotas::Quota| cases.iter().all(|(name, ..)| *name != quota.name);
    let untested: Vec<_> = QUOTAS
        .iter()
        .filter(tested)
        .map(|quota| quota.name)
        .collect();
    assert_eq!(untested, [never]);
}

#[test]
fn a_region_is_told_by_its_name() {
    for (name, class) in [
        ("us-east-1", Some(RegionClass::Large)),
        ("eu-west-1", Some(RegionClass::Large)),
        ("us-east-2", Some(RegionClass::Other)),
        ("ap-southeast-3", Some(RegionClass::Other)),
        ("us-gov-west-1", Some(RegionClass::Other)),
        ("", None),
        ("moon", None),
        ("us-1", None),
        ("us-east-", None),
        ("US-EAST-1", None),
    ] {
        assert_eq!(RegionClass::of(name), class, "{name}");
    }
}

#[test]
fn a_limit_that_is_not_met_is_not_there() {
    let standard = planned(Question::new(1.0));
    let express = planned(Question {
        express: true,
        ..Question::new(1.0)
    });
    for (name, of_standard, of_express) in [
        ("Step Functions: StartExecution", true, false),
        ("Step Functions: state transitions", true, false),
        ("Step Functions: open executions", true, false),
        ("The sweep: a pass each day", true, false),
        ("Step Functions: StartExecution, EXPRESS", false, true),
        ("EventBridge: PutEvents by workflows", false, true),
        ("Step Functions: DescribeExecution", false, false),
    ] {
        assert_eq!(limit(&standard, name).is_some(), of_standard, "{name}");
        assert_eq!(limit(&express, name).is_some(), of_express, "{name}");
    }
}

#[test]
fn long_results_are_stored_and_read_once_more() {
    let operations = |text_bytes, result_bytes, subscribers| {
        planned(Question {
            text_bytes,
            result_bytes,
            subscribers,
            ..Question::new(1.0)
        })
        .load
        .momento_operations
    };
    assert_eq!(operations(0, 0, 1), 4.0);
    assert_eq!(operations(1024, 1024, 1), 4.0);
    assert_eq!(operations(1025, 1024, 1), 6.0);
    assert_eq!(operations(200, 4096, 0), 6.0);
    assert_eq!(operations(200, 4096, 2), 14.0);
    // A claim of one chunk, and five of the item: published and stored, delivered and read.
    assert_eq!(operations(200, 4097, 1), 2.0 + 2.0 * 6.0);
}

#[test]
fn a_million_messages_cost_what_their_prices_say() {
    let month = 86_400.0 * 30.0;
    let question = Question {
        webhook_ms: 100.0,
        completion_ms: 100.0,
        ..Question::new(1e6 / month)
    };
    let plan = planned(question.clone());
    let cost = |part: &str| {
        let found = plan.costs.iter().find(|cost| cost.part == part);
        found.unwrap_or_else(|| panic!("no {part}")).dollars_a_month
    };
    for (part, dollars) in [
        ("Lambda: requests", 2.0 * 0.20),
        ("Lambda: duration, arm64", 2.0 * 12_500.0 * 0.000_013_333_4),
        ("Step Functions: transitions", 75.0),
        ("DynamoDB: writes of the ledger", 2.0 * 0.625),
        ("DynamoDB: reads of the sweep", 4.0 * 0.125),
        // Sent, received and deleted; and 2 queues polled 5 times in 20 s.
        ("SQS: requests", 3.0 * 0.40 + month / 2.0 * 0.40 / 1e6),
        (
            "CloudWatch: custom metrics",
            (FACTORS.metrics + FACTORS.metrics_by_route) * 0.30,
        ),
        ("Secrets Manager: two secrets", 0.80),
    ] {
        assert!(
            (cost(part) - dollars).abs() < 1e-6,
            "{part}: {} and not {dollars}",
            cost(part)
        );
    }
    let free = planned(Question {
        free_tier: true,
        ..question
    });
    assert!(free.dollars_a_month < plan.dollars_a_month);
    assert!(
        free.costs
            .iter()
            .any(|cost| cost.part == "Step Functions: transitions" && cost.dollars_a_month == 74.9)
    );
}

#[test]
fn a_price_falls_by_steps() {
    let logs = PRICES
        .iter()
        .find(|price| price.part == "CloudWatch: logs taken in")
        .unwrap();
    assert_eq!(logs.dollars(10_000.0, false), 5000.0);
    assert_eq!(logs.dollars(60_000.0, false), 12_500.0);
    assert_eq!(logs.dollars(4.0, true), 0.0);
    assert_eq!(logs.dollars(6.0, true), 0.5);
}

#[test]
fn the_answer_is_a_sentence() {
    let small = Question {
        peak: 1.0,
        transitions: 1,
        ..Question::new(0.1)
    };
    assert_eq!(
        planned(small.clone()).verdict,
        "It fits: nearest to its limit is `Momento: webhooks of a namespace` (20 %)."
    );
    let one = Question {
        messages_per_second: 2.6,
        ..small
    };
    assert_eq!(
        planned(one).verdict,
        "It does not fit as it is: `Momento: operations` is hit first (104 %); nothing else is over its limit. None of AWS's limits is in the way: the nearest is `Step Functions: StartExecution` (0.9 %).\nFirst: ask Momento for 11/s; nothing in AWS helps, and smaller results need fewer."
    );
    let many = planned(Question::new(11.6)).verdict;
    assert!(
        many.contains(", then `") && many.contains(" more"),
        "{many}"
    );
    let most = planned(Question::new(11_600.0)).verdict;
    assert!(
        most.contains("Of AWS's limits, `Step Functions: StartExecution` is the first (116 times)"),
        "{most}"
    );
}

#[test]
fn absurd_questions_are_answered_with_a_sentence() {
    let base = || Question::new(1.0);
    let cases = [
        Question::new(0.0),
        Question::new(-1.0),
        Question::new(f64::NAN),
        Question::new(f64::INFINITY),
        Question::new(1e12),
        Question {
            peak: 0.5,
            ..base()
        },
        Question {
            peak: f64::NAN,
            ..base()
        },
        Question {
            transitions: 0,
            ..base()
        },
        Question {
            transitions: 25_001,
            ..base()
        },
        Question {
            text_bytes: 4097,
            ..base()
        },
        Question {
            result_bytes: 262_145,
            ..base()
        },
        Question {
            subscribers: u32::MAX,
            ..base()
        },
        Question {
            routes: 0,
            ..base()
        },
        Question {
            memory_mb: 64,
            ..base()
        },
        Question {
            webhook_ms: 0.0,
            ..base()
        },
        Question {
            webhook_ms: 5001.0,
            ..base()
        },
        Question {
            completion_ms: 60_001.0,
            ..base()
        },
        Question {
            workflow_seconds: -1.0,
            ..base()
        },
        Question {
            workflow_seconds: 4e7,
            ..base()
        },
        Question {
            workflow_seconds: 301.0,
            express: true,
            ..base()
        },
    ];
    for question in cases {
        let said = plan(question.clone()).unwrap_err().to_string();
        assert!(
            said.contains(": expected ") && said.contains(", found "),
            "{said}: {question:?}"
        );
    }
    let said = plan(Question {
        text_bytes: 5000,
        ..base()
    })
    .unwrap_err();
    assert_eq!(
        said.to_string(),
        "bytes of text: expected 0 to 4096, found 5000: a topic message ends at 4,096 bytes"
    );
}

#[test]
fn every_number_has_a_source() {
    let quotas = QUOTAS.iter().map(|quota| (quota.name, quota.source));
    let prices = PRICES.iter().map(|price| (price.part, price.source));
    for (name, source) in quotas.chain(prices) {
        assert!(source.text.len() > 10, "{name}");
    }
}
