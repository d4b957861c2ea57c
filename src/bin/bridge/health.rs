//! `bridge health`: the health check of a container without curl.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use workflow_bridge::tools::terminal::preview;

/// Less than the 5 s of a container's health check (ECS), so that the reason is shown.
const WITHIN: Duration = Duration::from_secs(3);

/// Characters shown of an answer other than 2xx.
const SHOWN: usize = 300;

/// Check the health of a container by a URL
///
/// Sends a GET and waits 3 s for the answer. The exit code is 0 for a 2xx answer, else 1.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  cargo bridge health http://127.0.0.1:8080/ready\n  HEALTHCHECK CMD [\"/bridge\", \"health\", \"http://127.0.0.1:8080/live\"]"
)]
pub struct Health {
    /// URL to request, such as `http://127.0.0.1:8080/ready`
    url: String,
}

impl Health {
    pub async fn run(self) -> Result<i32> {
        let Self { url } = self;
        match reqwest::Url::parse(&url) {
            Ok(parsed) if matches!(parsed.scheme(), "http" | "https") => {}
            _ => bail!("expected a URL such as `http://127.0.0.1:8080/ready`, found `{url}`"),
        }
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            // The URL is usually of this machine; a proxy would ask another one.
            .no_proxy()
            .timeout(WITHIN)
            .build()?;
        let mut response = match client.get(&url).send().await {
            Err(error) if error.is_timeout() => {
                bail!("expected an answer of `{url}` within {WITHIN:?}, found none")
            }
            result => result
                .map_err(reqwest::Error::without_url)
                .with_context(|| {
                    format!("cannot reach `{url}` (does it run, and is this its URL?)")
                })?,
        };
        let status = response.status();
        if status.is_success() {
            // Standard output may be closed.
            let _ = writeln!(std::io::stdout(), "{status}");
            return Ok(0);
        }
        let body = response.chunk().await.ok().flatten().unwrap_or_default();
        let body = preview(&String::from_utf8_lossy(&body), SHOWN);
        bail!("expected a 2xx answer of `{url}`, found {status}: {body}")
    }
}
