//! Structured logs on standard output, which Lambda carries to CloudWatch.

use std::process::ExitCode;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::Lookup;

/// Logs one JSON object a line, from the level in `AWS_LAMBDA_LOG_LEVEL` (Lambda's own variable) up; INFO without it.
///
/// Only this crate's lines, and those of the command line `bridge`, are let through below ERROR: the SDKs' own may hold payloads
/// and signatures.
pub fn init(lookup: Lookup<'_>) {
    let level = lookup("AWS_LAMBDA_LOG_LEVEL").and_then(|level| match level.as_str() {
        // Lambda's highest level, which `tracing` does not have.
        "FATAL" => Some(LevelFilter::ERROR),
        level => level.parse().ok(),
    });
    let level = level.unwrap_or(LevelFilter::INFO);
    let targets = Targets::new()
        .with_default(LevelFilter::ERROR)
        .with_target(env!("CARGO_CRATE_NAME"), level)
        .with_target("bridge", level);
    let json = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false);
    tracing_subscriber::registry()
        .with(json)
        .with(targets)
        .init();
}

/// Ends a function that could not start, or that ended, with its reason in the log.
pub fn exit(result: Result<(), lambda_runtime::Error>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            tracing::error!(error.text = %e, "the function cannot run");
            ExitCode::FAILURE
        }
    }
}
