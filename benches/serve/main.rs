//! `bridge serve` under load from another process, next to bare axum handlers in the same run.
//!
//! ```sh
//! cargo bench --features cli --bench serve
//! BENCH_ROUNDS=9 BENCH_SECONDS=10 BENCH_CONNECTIONS=64 cargo bench --features cli --bench serve
//! ```
//!
//! `wrk` sends the load. The cases take turns in every round, so that other load on the machine hits all of them. The output
//! has the medians over the rounds, and the median ratio of a case to another one in the same round, which is the least
//! noisy figure. Everything runs on this machine: `wrk`, the server and the stub of AWS share its cores.

mod servers;
#[path = "../shared/mod.rs"]
mod shared;

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::{Duration, sleep};
use workflow_bridge::clock::now_ms;
use workflow_bridge::domain::inbound::signature::sign;

use answers::SECRET;
use figures::Show::{Median, RatioByRound, Spread, Sum};
use figures::{Run, Show, Table};
use shared::{answers, figures, program, serving, usage};

/// Connections that send a byte every now and then.
const SLOW: usize = 200;

/// The requests of `wrk`, and one line of figures at the end.
const SCRIPT: &str = r#"
wrk.method = os.getenv("BENCH_METHOD")
wrk.body = os.getenv("BENCH_BODY")
wrk.headers["momento-signature"] = os.getenv("BENCH_SIGNATURE")
function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format("FIGURES [%d, %d, %d, %d, %d]\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), failed))
end
"#;

/// A name, the index of its server, whether a message is posted (or `/live` read), the number of slow connections beside
/// it, and the index of the case to compare with.
type Case = (&'static str, usize, bool, usize, usize);

const CASES: [Case; 6] = [
    ("1 axum: reads the body, answers 200", 0, true, 0, 0),
    ("2 `bridge serve`: `GET /live`", 2, false, 0, 0),
    ("3 axum: as 1, and calls StartExecution", 1, true, 0, 0),
    ("4 `bridge serve`: a signed message", 2, true, 0, 2),
    ("5 as 1, beside slow connections", 0, true, SLOW, 0),
    ("6 as 4, beside slow connections", 2, true, SLOW, 3),
];

const COLUMNS: [(&str, Show); 5] = [
    ("requests/s", Spread(0)),
    ("p50 ms", Median(2)),
    ("p99 ms", Median(2)),
    ("failed", Sum),
    ("requests/s", RatioByRound),
];

#[tokio::main]
async fn main() -> Result<()> {
    match std::env::var(servers::ROLE) {
        Ok(role) => servers::run(&role).await,
        Err(_) => measure().await,
    }
}

fn setting(name: &str, default: usize) -> Result<usize> {
    let Ok(value) = std::env::var(name) else {
        return Ok(default);
    };
    let number = value.parse();
    number.with_context(|| format!("expected a whole number in {name}, found `{value}`"))
}

async fn measure() -> Result<()> {
    let rounds = setting("BENCH_ROUNDS", 5)?;
    let seconds = setting("BENCH_SECONDS", 4)?;
    let connections = setting("BENCH_CONNECTIONS", 32)?;
    let script = Path::new(env!("CARGO_TARGET_TMPDIR")).join("serve.lua");
    std::fs::write(&script, SCRIPT)?;
    let servers = servers::start().await?;
    let body = message();
    let load = async |&(_, server, posts, ..): &Case, seconds: usize| {
        let (method, path, body) = match posts {
            true => ("POST", "/", body.as_str()),
            false => ("GET", "/live", ""),
        };
        let mut wrk = Command::new("wrk");
        wrk.args(["--threads=1", "--timeout=10s"])
            .arg(format!("--connections={connections}"))
            .arg(format!("--duration={seconds}s"))
            .arg("--script")
            .arg(&script)
            .arg(format!("http://{}{path}", servers[server].0))
            .env("BENCH_METHOD", method)
            .env("BENCH_BODY", body)
            .env("BENCH_SIGNATURE", sign(SECRET, body.as_bytes()));
        let output = wrk.output().await.context(
            "expected `wrk` on the PATH: `apt-get install wrk` on Debian, `brew install wrk` on macOS",
        )?;
        figures(&String::from_utf8_lossy(&output.stdout))
    };
    for case in &CASES {
        load(case, 1).await?;
    }
    let mut runs = Vec::new();
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        for case @ &(name, server, _, slow, _) in &CASES {
            let slow = slow_ones(&servers[server].0, slow);
            runs.push(Run {
                setting: Vec::new(),
                subject: name.to_owned(),
                round,
                figures: load(case, seconds).await?.into(),
            });
            drop(slow);
        }
    }

    let reference = |of: &str| {
        let case = CASES.iter().find(|(name, ..)| *name == of);
        case.map_or("", |&(.., reference)| CASES[reference].0)
    };
    let table = Table {
        settings: &[],
        subjects: &CASES.map(|(name, ..)| name),
        columns: &COLUMNS,
        reference: &reference,
    };
    println!(
        "{}; {connections} connections, {rounds} rounds of {seconds} s; {SLOW} slow connections\n\n{}",
        usage::machine(),
        table.of(&runs)
    );
    println!(
        "Ratio: of the requests in the same round, median (middle half); 4 to 3, 6 to 4, others to 1."
    );
    if let Ok(usage) = usage::of(servers[2].1.pid) {
        println!("Peak memory of `bridge serve`: {:.0} MB.", usage.peak_mb);
    }
    Ok(())
}

/// A body in Momento's form, with 1,000 characters of text.
fn message() -> String {
    let now = now_ms();
    json!({
        "cache": "chat", "topic": "in", "event_timestamp": now, "publish_timestamp": now,
        "topic_sequence_number": 1, "token_id": "", "text": "x".repeat(1000),
    })
    .to_string()
}

/// Parses the output of [`SCRIPT`].
fn figures(output: &str) -> Result<[(&'static str, f64); 4]> {
    let mut lines = output.lines();
    let line = lines.find_map(|line| line.strip_prefix("FIGURES "));
    let line = line.with_context(|| format!("expected figures of `wrk`, found {output}"))?;
    let [requests, microseconds, p50_us, p99_us, failed]: [f64; 5] = serde_json::from_str(line)?;
    Ok([
        ("requests/s", requests * 1e6 / microseconds),
        ("p50 ms", p50_us / 1e3),
        ("p99 ms", p99_us / 1e3),
        ("failed", failed),
    ])
}

/// Slow connections: half of them send their heads a byte at a time, half their bodies. After a cut-off they reconnect.
fn slow_ones(address: &str, count: usize) -> JoinSet<()> {
    let slow = (0..count).map(|n| {
        let address = address.to_owned();
        let head = match n % 2 {
            0 => "POST / HTTP/1.1\r\nhost: h\r\nmomento-signature: ",
            _ => "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 100000\r\n\r\n",
        };
        async move {
            loop {
                if let Ok(mut connection) = TcpStream::connect(&address).await {
                    let mut sent = connection.write_all(head.as_bytes()).await;
                    while sent.is_ok() {
                        sleep(Duration::from_millis(200)).await;
                        sent = connection.write_all(b"x").await;
                    }
                }
                sleep(Duration::from_millis(20)).await;
            }
        }
    });
    slow.collect()
}
