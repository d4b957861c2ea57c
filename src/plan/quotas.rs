//! The limits that a load meets, each with its source.

use serde::Serialize;

use super::model::{FACTORS, Load, Question, RegionClass};
use super::{Source, text};

/// A limit held against a load.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Limit {
    pub name: &'static str,
    /// What is counted: `/s`, or things at once.
    pub unit: &'static str,
    /// At the peak.
    pub need: f64,
    /// What a new deployment has.
    pub limit: f64,
    pub used_percent: f64,
    /// Whose it is.
    pub owner: Owner,
    /// What happens over it.
    pub over_it: &'static str,
    /// Empty where less than [`NEAR`] of it is used.
    pub what_to_do: String,
    #[serde(flatten)]
    pub source: Source,
}

/// Whose a limit is, and so who can raise it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Owner {
    Momento,
    Aws,
    /// The template, or the code.
    Bridge,
}

/// From this share on, in percent, a limit is worth doing something about.
pub const NEAR: f64 = 70.0;

/// A limit of a service, or of the template.
pub struct Quota {
    pub name: &'static str,
    pub unit: &'static str,
    /// In us-east-1, us-west-2 and eu-west-1.
    pub large: f64,
    pub other: f64,
    /// None where the load does not meet it at all.
    need: fn(&Question, &Load) -> Option<f64>,
    pub over_it: &'static str,
    /// `{n}` is how many times the limit is needed, `{need}` what is needed.
    what_to_do: &'static str,
    pub source: Source,
}

impl Quota {
    fn owner(&self) -> Owner {
        match self.name.split(':').next() {
            Some("Momento") => Owner::Momento,
            Some("The template" | "The sweep") => Owner::Bridge,
            _ => Owner::Aws,
        }
    }
}

/// By the way of a message.
pub const QUOTAS: &[Quota] = &[
    Quota {
        name: "Momento: messages of a webhook",
        unit: "/s",
        large: 5.0,
        other: 5.0,
        need: |_, load| Some(load.peak),
        over_it: "messages are lost",
        what_to_do: "share the topics out among {n} webhooks, ask Momento for a higher rate, or run the relay, which knows no such rate",
        source: Source::high("Momento's documentation of webhooks, last published in April 2025"),
    },
    Quota {
        name: "Momento: webhooks of a namespace",
        unit: "",
        large: 5.0,
        other: 5.0,
        need: |_, load| Some((load.peak / 5.0).ceil()),
        over_it: "no more can be made",
        what_to_do: "use {n} namespaces (3 are allowed at first), ask Momento, or run the relay",
        source: Source::high("Momento's documentation of webhooks, last published in April 2025"),
    },
    Quota {
        name: "Momento: operations",
        unit: "/s",
        large: 10.0,
        other: 10.0,
        need: |_, load| Some(load.peak * load.momento_operations),
        over_it: "deliveries are lost, and results wait in their queue",
        what_to_do: "ask Momento for {need}/s; nothing in AWS helps, and smaller results need fewer",
        source: Source::high(
            "Momento's documentation, limits of topics, read November 2026; that publishing counts as well as each delivery is read from its words",
        ),
    },
    Quota {
        name: "Lambda: environments at once",
        unit: "",
        large: 1000.0,
        other: 1000.0,
        need: |_, load| Some(load.environments),
        over_it: "messages are lost",
        what_to_do: "raise the account's concurrency to {need} or more (new accounts have less than 1,000), or use {n} regions or accounts",
        source: Source::high(
            "AWS Lambda guide, scaling behaviour, read November 2026; an environment takes 10 requests a second",
        ),
    },
    Quota {
        name: "Lambda: new environments in 10 s",
        unit: "",
        large: 1000.0,
        other: 1000.0,
        need: |_, load| Some(load.new_environments),
        over_it: "messages are lost",
        what_to_do: "keep environments warm (provisioned concurrency), or share the webhook out among {n} stacks",
        source: Source::high(
            "AWS Lambda guide, scaling behaviour, read November 2026; by function",
        ),
    },
    Quota {
        name: "Secrets Manager: GetSecretValue",
        unit: "/s",
        large: 10_000.0,
        other: 10_000.0,
        need: |_, load| {
            let webhooks = load.new_environments.min(1000.0) * FACTORS.webhook_secrets;
            let completions = load.batches.min(1000.0) * FACTORS.completion_secrets;
            Some((webhooks + completions) / 10.0)
        },
        over_it: "functions that start wait, and messages may be lost",
        what_to_do: "keep environments warm (provisioned concurrency)",
        source: Source::high("AWS, What's New, 4 March 2025"),
    },
    Quota {
        name: "Step Functions: StartExecution",
        unit: "/s",
        large: 300.0,
        other: 150.0,
        need: |question, load| (!question.express).then_some(load.peak * FACTORS.starts),
        over_it: "messages are parked and tried again",
        what_to_do: "raise it to {need}/s (a bucket of 1,300, elsewhere 800, bears shorter peaks), use {n} regions or accounts, or EXPRESS, which has 6,000/s",
        source: Source::medium("AWS Step Functions guide, quotas, 2023 and a later copy"),
    },
    Quota {
        name: "Step Functions: StartExecution, EXPRESS",
        unit: "/s",
        large: 6000.0,
        other: 6000.0,
        need: |question, load| question.express.then_some(load.peak * FACTORS.starts),
        over_it: "messages are parked and tried again",
        what_to_do: "raise it to {need}/s, or use {n} regions or accounts",
        source: Source::medium("AWS Step Functions guide, quotas, 2023 and a later copy"),
    },
    Quota {
        name: "Step Functions: state transitions",
        unit: "/s",
        large: 1500.0,
        other: 500.0,
        need: |question, load| {
            let transitions = f64::from(question.transitions);
            (!question.express).then_some(load.peak * transitions)
        },
        over_it: "workflows get slower",
        what_to_do: "raise it to {need}/s (new accounts have less), use fewer states, EXPRESS, or {n} regions or accounts",
        source: Source::medium("AWS Step Functions guide, quotas, 2023 and a later copy"),
    },
    Quota {
        name: "Step Functions: open executions",
        unit: "",
        large: 1_000_000.0,
        other: 1_000_000.0,
        need: |question, load| (!question.express).then_some(load.open_executions),
        over_it: "messages are parked and tried again",
        what_to_do: "raise it to {need}, end workflows sooner, or use {n} regions or accounts",
        source: Source::high("AWS Step Functions guide, quotas; ExecutionLimitExceeded in the API"),
    },
    Quota {
        name: "EventBridge: PutEvents by workflows",
        unit: "/s",
        large: 10_000.0,
        other: 600.0,
        need: |question, load| question.express.then_some(load.peak),
        over_it: "tasks of workflows fail, unless they retry",
        what_to_do: "raise it to {need}/s, or use {n} regions or accounts",
        source: Source::low(
            "Amazon EventBridge guide, quotas, for us-east-1; for regions but us-east-2 (2,400/s) general knowledge",
        ),
    },
    Quota {
        name: "EventBridge: invocations of targets",
        unit: "/s",
        large: 18_750.0,
        other: 1100.0,
        need: |_, load| Some(load.peak * FACTORS.target_invocations),
        over_it: "results come later",
        what_to_do: "raise it to {need}/s, or use {n} regions or accounts",
        source: Source::medium("Amazon EventBridge guide, quotas; other regions 750 to 4,500/s"),
    },
    Quota {
        name: "The template: CompletionConcurrency",
        unit: "",
        large: 2.0,
        other: 2.0,
        need: |_, load| Some(load.batches),
        over_it: "results wait in their queue",
        what_to_do: "set CompletionConcurrency to {need}, once Momento allows that many operations",
        source: Source::high("template.yaml"),
    },
    Quota {
        name: "Lambda: batches of one queue at once",
        unit: "",
        large: 1000.0,
        other: 1000.0,
        need: |_, load| Some(load.batches),
        over_it: "results wait in their queue",
        what_to_do: "share the routes out among {n} stacks",
        source: Source::high("AWS Lambda API, ScalingConfig.MaximumConcurrency"),
    },
    Quota {
        name: "SQS: results in flight",
        unit: "",
        large: 120_000.0,
        other: 120_000.0,
        need: |_, load| Some(load.batches * super::model::BATCH),
        over_it: "results wait in their queue",
        what_to_do: "share the routes out among {n} stacks",
        source: Source::low("general knowledge of the quotas of Amazon SQS"),
    },
    Quota {
        name: "DynamoDB: writes of a new table",
        unit: "/s",
        large: 4000.0,
        other: 4000.0,
        need: |_, load| Some(load.peak * FACTORS.ledger_writes),
        over_it: "results wait in their queue",
        what_to_do: "warm the table to {need} writes a second before, or let the load double in half an hour at most",
        source: Source::high(
            "AWS knowledge center, throttling of on-demand tables, read November 2026",
        ),
    },
    Quota {
        name: "DynamoDB: writes of a table",
        unit: "/s",
        large: 40_000.0,
        other: 40_000.0,
        need: |_, load| Some(load.peak * FACTORS.ledger_writes),
        over_it: "results wait in their queue",
        what_to_do: "raise the table's quota to {need}/s, or share the routes out among {n} stacks",
        source: Source::medium("AWS re:Post, by AWS, on the limit of on-demand tables"),
    },
    Quota {
        name: "Step Functions: DescribeExecution",
        unit: "/s",
        large: 15.0,
        other: 10.0,
        need: |_, load| Some(load.peak * load.describes).filter(|need| *need > 0.0),
        over_it: "results wait in their queue",
        what_to_do: "keep input and output together under 248 KB, raise it to {need}/s, or use {n} regions or accounts",
        source: Source::medium("AWS Step Functions guide, quotas, 2023 and a later copy"),
    },
    Quota {
        name: "The sweep: a pass each five minutes",
        unit: "/s",
        large: LISTED_A_SECOND * 2.0 / 3.0,
        other: LISTED_A_SECOND * 2.0 / 3.0,
        need: |question, load| {
            let window = 300.0 + 3600.0 + question.workflow_seconds.max(120.0);
            let listed = window.min(86_700.0) / 300.0;
            (!question.express).then_some(load.mean * listed)
        },
        over_it: "a result whose event was lost comes later; from 129 messages a second on, never",
        what_to_do: "accept that, share the routes out among {n} stacks, or let workflows publish by themselves",
        source: Source::high(
            "src/sweep: 1,000 executions a call, one call a second, two thirds of 58 s in five minutes",
        ),
    },
    Quota {
        name: "The sweep: a pass each day",
        unit: "/s",
        large: LISTED_A_SECOND / 3.0,
        other: LISTED_A_SECOND / 3.0,
        need: |question, load| (!question.express).then_some(load.mean * REDRIVABLE_DAYS),
        over_it: "an end without an event, of a workflow that ran for over a day or was redriven, is found days later",
        what_to_do: "accept that, or share the routes out among {n} stacks",
        source: Source::high(
            "src/sweep: 1,000 executions a call, one call a second, a third of 58 s in five minutes",
        ),
    },
];

/// What the sweep lists a second, in the mean of its five minutes.
pub(super) const LISTED_A_SECOND: f64 = 1000.0 * 58.0 / 300.0;

/// How many days its daily pass goes back, when one that failed so long ago may still be redriven.
const REDRIVABLE_DAYS: f64 = 15.0;

/// All limits that the load meets, the one that is hit first first.
pub fn limits(question: &Question, load: &Load) -> Vec<Limit> {
    let mut limits: Vec<Limit> = QUOTAS
        .iter()
        .filter_map(|quota| {
            let need = (quota.need)(question, load)?;
            let limit = match question.region {
                RegionClass::Large => quota.large,
                RegionClass::Other => quota.other,
            };
            let used_percent = need / limit * 100.0;
            let what_to_do = match used_percent >= NEAR {
                false => String::new(),
                true => quota
                    .what_to_do
                    .replace("{n}", &text::whole((need / limit).ceil().max(2.0)))
                    .replace("{need}", &text::whole(need.ceil())),
            };
            Some(Limit {
                name: quota.name,
                unit: quota.unit,
                need,
                limit,
                used_percent,
                owner: quota.owner(),
                over_it: quota.over_it,
                what_to_do,
                source: quota.source,
            })
        })
        .collect();
    limits.sort_by(|a, b| b.used_percent.total_cmp(&a.used_percent));
    limits
}
