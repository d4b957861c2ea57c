//! What a load costs in a month, part by part. List prices of us-east-1 in US dollars, without tax.
//!
//! Momento's price is not among them: it is not known here.

use serde::Serialize;

use super::model::{Architecture, FACTORS, LINE_OVERHEAD, Load, Log, MONTH, Question, TRACED};
use super::quotas::LISTED_A_SECOND;
use super::{Source, text};

/// When the prices were last compared with their sources.
pub const AS_OF: &str = "2026-11-26";

/// A part of the costs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cost {
    pub part: &'static str,
    /// Of a month, in [`Cost::unit`].
    pub quantity: f64,
    pub unit: &'static str,
    /// What one, or a million of them, costs at first: `$0.20 / M`.
    pub price: String,
    pub dollars_a_month: f64,
    #[serde(flatten)]
    pub source: Source,
}

/// A price. Where it falls with the quantity, the later steps say up to where the one before holds.
pub struct Price {
    pub part: &'static str,
    pub unit: &'static str,
    /// What [`Price::first`] buys: one, or a million.
    per: f64,
    first: f64,
    /// From this quantity on, so much for each [`Price::per`].
    then: &'static [(f64, f64)],
    /// Given each month for nothing.
    free: f64,
    quantity: fn(&Question, &Load) -> f64,
    pub source: Source,
}

const MILLION: f64 = 1e6;
const GB: f64 = 1e9;
/// A request of SQS, or an event, is billed by chunks of that many bytes.
const BILLED_CHUNK: f64 = 64.0 * 1024.0;
/// Lambda polls an idle queue five times in 20 s; there are two queues.
const IDLE_POLLS: f64 = 2.0 * 5.0 / 20.0 * MONTH;
/// How often the sweep looks an end up: every five minutes, for 15; and once more in its daily pass.
const LOOKED_UP: f64 = 3.0 + 1.0;
/// An item of the ledger with what DynamoDB adds to it, in bytes, and how long it is kept, in s.
const LEDGER_ITEM: f64 = 450.0;
const LEDGER_KEEPS: f64 = 30.0 * 86_400.0;
/// What Step Functions logs of an EXPRESS execution for each state (entered, left) and for itself (started, ended), in bytes a
/// line. An estimate: the local stack writes no such log.
const EXPRESS_LINE: f64 = 500.0;
/// The smallest memory that an EXPRESS execution is billed for, in GB.
const EXPRESS_GB: f64 = 64.0 / 1024.0;
/// How long logs are kept as a rule (`LogRetentionDays`), in months.
const LOGS_KEEP: f64 = 1.0;

const LAMBDA: Source =
    Source::high("AWS Lambda pricing page, read 2026-09-20; wring.co, 2026-03-08");
const STATES: Source =
    Source::high("AWS Step Functions pricing page, a copy; AWS agent toolkit, 2026");
const EXPRESS: Source =
    Source::medium("AWS agent toolkit, Step Functions, 2026; only the first price step");
const SQS: Source = Source::low("factualminds.com, 2026-06-13, on Amazon SQS");
const DYNAMODB: Source = Source::low("airbyte.com, undated, on Amazon DynamoDB");
const EVENTS: Source = Source::high("Amazon EventBridge pricing page; cloudburn.io, 2026-03-13");
const LOGS: Source =
    Source::low("duckbillgroup.com, May 2025, on logs of Lambda; hykell.com, undated");
const METRICS: Source =
    Source::low("signoz.io, 2026-02-15, on Amazon CloudWatch; only the first price step");
const XRAY: Source = Source::low("general knowledge, not compared with the price list");
const SECRETS: Source = Source::high("AWS Secrets Manager pricing page, read 2026-09-20");

/// Prices of logs of Lambda, for a GB.
const LOG_STEPS: &[(f64, f64)] = &[(10_000.0, 0.25), (30_000.0, 0.10), (50_000.0, 0.05)];

/// By the way of a message.
pub const PRICES: &[Price] = &[
    Price {
        part: "Lambda: requests",
        unit: "requests",
        per: MILLION,
        first: 0.20,
        then: &[],
        free: MILLION,
        quantity: |_, load| month(load.mean + load.mean_batches),
        source: LAMBDA,
    },
    Price {
        part: "Lambda: duration, arm64",
        unit: "GB-s",
        per: MILLION,
        first: 13.3334,
        then: &[],
        free: 400_000.0,
        quantity: |question, load| gb_seconds(question, load, Architecture::Arm64),
        source: Source::medium("wring.co, March 2026, and others; only the first price step"),
    },
    Price {
        part: "Lambda: duration, x86_64",
        unit: "GB-s",
        per: MILLION,
        first: 16.6667,
        then: &[],
        free: 400_000.0,
        quantity: |question, load| gb_seconds(question, load, Architecture::X86),
        source: Source::medium("wring.co, March 2026, and others; only the first price step"),
    },
    Price {
        part: "Step Functions: transitions",
        unit: "transitions",
        per: MILLION,
        first: 25.0,
        then: &[],
        free: 4000.0,
        quantity: |question, load| match question.express {
            true => 0.0,
            false => month(load.mean * f64::from(question.transitions)),
        },
        source: STATES,
    },
    Price {
        part: "Step Functions: EXPRESS requests",
        unit: "requests",
        per: MILLION,
        first: 1.0,
        then: &[],
        free: 0.0,
        quantity: |question, load| month(express(question, load)),
        source: EXPRESS,
    },
    Price {
        part: "Step Functions: EXPRESS duration",
        unit: "GB-s",
        per: MILLION,
        first: 16.67,
        then: &[],
        free: 0.0,
        // Billed by 100 ms.
        quantity: |question, load| {
            let seconds = (question.workflow_seconds * 10.0).ceil().max(1.0) / 10.0;
            month(express(question, load) * seconds * EXPRESS_GB)
        },
        source: Source::low("open-source price calculators, 2025; only the first price step"),
    },
    Price {
        part: "EventBridge: events of workflows",
        unit: "events",
        per: MILLION,
        first: 1.0,
        then: &[],
        free: 0.0,
        quantity: |question, load| {
            month(express(question, load) * billed_chunks(f64::from(question.result_bytes)))
        },
        source: EVENTS,
    },
    Price {
        part: "SQS: requests",
        unit: "requests",
        per: MILLION,
        first: 0.40,
        then: &[],
        free: MILLION,
        // EventBridge sends; Lambda receives and deletes.
        quantity: |_, load| {
            let batch = load.results_in_a_batch * load.event_bytes;
            let received = load.mean_batches * (billed_chunks(batch) + 1.0);
            month(load.mean * billed_chunks(load.event_bytes) + received) + IDLE_POLLS
        },
        source: SQS,
    },
    Price {
        part: "DynamoDB: writes of the ledger",
        unit: "units",
        per: MILLION,
        first: 0.625,
        then: &[],
        free: 0.0,
        quantity: |_, load| month(load.mean * FACTORS.ledger_writes),
        source: DYNAMODB,
    },
    Price {
        part: "DynamoDB: reads of the sweep",
        unit: "units",
        per: MILLION,
        first: 0.125,
        then: &[],
        free: 0.0,
        quantity: |question, load| match question.express {
            true => 0.0,
            // One sweep reads no more than it can list.
            false => month((load.mean * LOOKED_UP).min(LISTED_A_SECOND)),
        },
        source: DYNAMODB,
    },
    Price {
        part: "DynamoDB: storage",
        unit: "GB",
        per: 1.0,
        first: 0.25,
        then: &[],
        free: 25.0,
        quantity: |_, load| load.mean * LEDGER_KEEPS * LEDGER_ITEM / GB,
        source: Source::low("general knowledge, not compared with the price list"),
    },
    Price {
        part: "CloudWatch: logs taken in",
        unit: "GB",
        per: 1.0,
        first: 0.50,
        then: LOG_STEPS,
        free: 5.0,
        quantity: log_gb,
        source: LOGS,
    },
    Price {
        part: "CloudWatch: logs kept a month",
        unit: "GB",
        per: 1.0,
        first: 0.03,
        then: &[],
        free: 0.0,
        quantity: |question, load| log_gb(question, load) * LOGS_KEEP,
        source: LOGS,
    },
    Price {
        part: "CloudWatch: custom metrics",
        unit: "metrics",
        per: 1.0,
        first: 0.30,
        then: &[],
        free: 10.0,
        quantity: |question, _| {
            FACTORS.metrics + FACTORS.metrics_by_route * f64::from(question.routes)
        },
        source: METRICS,
    },
    Price {
        part: "X-Ray: traces",
        unit: "traces",
        per: MILLION,
        first: 5.0,
        then: &[],
        free: 100_000.0,
        // The message's own, and those that Lambda makes of its invocations: one a second and a share of the others.
        quantity: |_, load| {
            let invocations = load.mean + load.mean_batches;
            let lambdas = invocations.min(1.0 + (invocations - 1.0) * TRACED);
            month(load.mean * TRACED + lambdas)
        },
        source: XRAY,
    },
    Price {
        part: "Secrets Manager: two secrets",
        unit: "secrets",
        per: 1.0,
        first: 0.40,
        then: &[],
        free: 0.0,
        quantity: |_, _| 2.0,
        source: SECRETS,
    },
];

fn month(a_second: f64) -> f64 {
    a_second * MONTH
}

fn billed_chunks(bytes: f64) -> f64 {
    (bytes / BILLED_CHUNK).ceil().max(1.0)
}

/// EXPRESS executions a second.
fn express(question: &Question, load: &Load) -> f64 {
    if question.express { load.mean } else { 0.0 }
}

/// What an invocation with fewer than ten results costs less is not known: it counts like one with ten.
fn gb_seconds(question: &Question, load: &Load, architecture: Architecture) -> f64 {
    if question.architecture != architecture {
        return 0.0;
    }
    let ms = load.mean * question.webhook_ms + load.mean_batches * question.completion_ms;
    month(ms / 1e3) * f64::from(question.memory_mb) / 1024.0
}

fn log_gb(question: &Question, load: &Load) -> f64 {
    let log = |log: Log| log.bytes + log.lines * LINE_OVERHEAD;
    let message = log(FACTORS.webhook_log) + log(FACTORS.completion_log);
    let lines = 2.0 * f64::from(question.transitions) + 2.0;
    let workflows = express(question, load) * lines * (EXPRESS_LINE + LINE_OVERHEAD);
    let bytes = load.mean * message + load.mean_batches * log(FACTORS.batch_log) + workflows;
    month(bytes) / GB
}

impl Price {
    /// What one, or a million, costs at first: `$0.20 / M`.
    pub fn list(&self) -> String {
        let per = match self.per {
            MILLION => "M",
            _ => self.unit.trim_end_matches('s'),
        };
        let falls = if self.then.is_empty() {
            ""
        } else {
            ", falling"
        };
        format!("{} / {per}{falls}", text::price(self.first))
    }

    /// What a quantity costs, in dollars.
    pub fn dollars(&self, quantity: f64, free_tier: bool) -> f64 {
        let free = if free_tier { self.free } else { 0.0 };
        let billed = (quantity - free).max(0.0);
        let mut dollars = 0.0;
        let (mut from, mut price) = (0.0, self.first);
        for (until, next) in self.then {
            dollars += (billed.min(*until) - from).max(0.0) * price;
            (from, price) = (*until, *next);
        }
        (dollars + (billed - from).max(0.0) * price) / self.per
    }
}

/// All parts that the load has.
pub fn costs(question: &Question, load: &Load) -> Vec<Cost> {
    let costs = PRICES.iter().filter_map(|price| {
        let quantity = (price.quantity)(question, load);
        (quantity > 0.0).then(|| Cost {
            part: price.part,
            quantity,
            unit: price.unit,
            price: price.list(),
            dollars_a_month: price.dollars(quantity, question.free_tier),
            source: price.source,
        })
    });
    costs.collect()
}
