//! Structured logs on standard output, which Lambda carries to CloudWatch: one JSON object a line, with the keys of
//! Powertools where it has one.
//!
//! Lines within [`message_span`] have the message's `correlation_id` and `xray_trace_id`, once [`correlate`] has set
//! them; lines after [`invoked`] have the invocation's `function_request_id` and `cold_start`.

use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing::level_filters::LevelFilter;
use tracing::{Span, error_span, field};
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::environment::Lookup;

mod lines;
pub mod metrics;
mod settings;
pub mod xray;

use lines::Lines;
use settings::Settings;

/// The share of invocations that log at DEBUG.
static SAMPLE_RATE: OnceLock<f64> = OnceLock::new();

/// Whether the current invocation logs at DEBUG.
static SAMPLED: AtomicBool = AtomicBool::new(false);

/// The current invocation: a Lambda function has one at a time, any other program none.
static INVOCATION: Mutex<Option<Invocation>> = Mutex::new(None);

#[derive(Clone, Debug)]
struct Invocation {
    request_id: String,
    cold_start: bool,
}

/// Logs one JSON object a line as `service`, or as `POWERTOOLS_SERVICE_NAME` says, from the level of
/// `POWERTOOLS_LOG_LEVEL` up, else `AWS_LAMBDA_LOG_LEVEL` (Lambda's own variable), else INFO. A share of the invocations, by
/// `POWERTOOLS_LOGGER_SAMPLE_RATE` (0 to 1), logs at DEBUG.
///
/// Below ERROR, only lines of this crate and of the command line `bridge` are written: the SDKs' lines may hold payloads and
/// signatures.
pub fn init(service: &str, lookup: Lookup<'_>) {
    let (settings, problems) = Settings::read(service, lookup);
    let (level, most) = (settings.level, settings.sampled_level());
    SAMPLE_RATE.get_or_init(|| settings.sample_rate);
    let filter = dynamic_filter_fn(move |metadata, _| {
        let level = match SAMPLED.load(Ordering::Relaxed) {
            true => most,
            false => level,
        };
        *metadata.level()
            <= if is_ours(metadata.target()) {
                level
            } else {
                level.min(LevelFilter::ERROR)
            }
    });
    let lines = Lines::new(settings.service, write_line);
    tracing_subscriber::registry()
        .with(lines.with_filter(filter.with_max_level_hint(most)))
        .init();
    for problem in problems {
        tracing::warn!(error.text = problem, "an invalid log setting is ignored");
    }
}

fn is_ours(target: &str) -> bool {
    let within = |krate| {
        let path = target.strip_prefix(krate);
        path.is_some_and(|path| path.is_empty() || path.starts_with("::"))
    };
    within(env!("CARGO_CRATE_NAME")) || within("bridge")
}

/// Begins an invocation of a Lambda function.
pub fn invoked(request_id: &str) {
    let rate = SAMPLE_RATE.get().copied().unwrap_or_default();
    SAMPLED.store(fastrand::f64() < rate, Ordering::Relaxed);
    let mut invocation = INVOCATION.lock().unwrap_or_else(PoisonError::into_inner);
    *invocation = Some(Invocation {
        request_id: request_id.to_owned(),
        cold_start: invocation.is_none(),
    });
}

/// The span for all lines about one message.
pub fn message_span() -> Span {
    // At ERROR, to be enabled at any level.
    error_span!(
        "message",
        correlation_id = field::Empty,
        xray_trace_id = field::Empty
    )
}

/// Sets the message of the current span, made by [`message_span`]: its id, or the first 16 digits if no more is known.
pub fn correlate(message_id: &str, trace_id: Option<&str>) {
    let span = Span::current();
    span.record("correlation_id", message_id);
    if let Some(trace_id) = trace_id {
        span.record("xray_trace_id", trace_id);
    }
}

/// Writes a complete line to standard output. A closed reader is not an error.
pub fn write_line(line: &str) {
    let _ = std::io::stdout().lock().write_all(line.as_bytes());
}

/// Ends a function that failed to start or to run, with its reason in the log.
pub fn exit(result: Result<(), lambda_runtime::Error>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            tracing::error!(error.text = %e, "the function cannot run");
            ExitCode::FAILURE
        }
    }
}
