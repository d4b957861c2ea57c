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

use std::process::Command;

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Duration, sleep};
use workflow_bridge::clock::now_ms;
use workflow_bridge::domain::inbound::signature::sign;

use servers::{SECRET, Server};

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
  io.write(string.format("FIGURES %d %d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), failed))
end
"#;

/// One thing to measure.
struct Case {
    what: &'static str,
    server: usize,
    method: &'static str,
    path: &'static str,
    slow: bool,
    /// The case to compare with, in the same round.
    beside: usize,
}

const CASES: [Case; 6] = [
    Case::of("axum: reads the body, answers 200", 0),
    Case {
        method: "GET",
        path: "/live",
        ..Case::of("`bridge serve`: `GET /live`", 2)
    },
    Case::of("axum: reads the body, calls StartExecution", 1),
    Case {
        beside: 2,
        ..Case::of("`bridge serve`: a signed message", 2)
    },
    Case {
        slow: true,
        beside: 0,
        ..Case::of("axum: as the first, beside 200 slow connections", 0)
    },
    Case {
        slow: true,
        beside: 3,
        ..Case::of(
            "`bridge serve`: a signed message, beside 200 slow connections",
            2,
        )
    },
];

impl Case {
    const fn of(what: &'static str, server: usize) -> Self {
        Self {
            what,
            server,
            method: "POST",
            path: "/",
            slow: false,
            beside: 0,
        }
    }
}

/// The figures of one run of `wrk`.
#[derive(Clone, Copy)]
struct Figures {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    failed: u64,
}

fn main() {
    if let Some(role) = servers::role() {
        return servers::run(&role);
    }
    if Command::new("wrk").arg("-v").output().is_err() {
        eprintln!(
            "expected `wrk` on the PATH, found none: `apt-get install wrk` on Debian, `brew install wrk` on macOS"
        );
        std::process::exit(1);
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(measure());
}

fn setting(name: &str, default: usize) -> usize {
    let value = std::env::var(name).ok();
    value.map_or(default, |value| {
        value.parse().unwrap_or_else(|_| {
            panic!("expected a whole number in {name}, found `{value}`");
        })
    })
}

async fn measure() {
    let rounds = setting("BENCH_ROUNDS", 5);
    let seconds = setting("BENCH_SECONDS", 4);
    let connections = setting("BENCH_CONNECTIONS", 32);
    let script = std::env::temp_dir().join(format!("serve-{}.lua", std::process::id()));
    std::fs::write(&script, SCRIPT).expect("a script for wrk");
    let servers = servers::start().await;
    let body = message();
    let load = async |case: &Case, seconds: usize| {
        let mut wrk = tokio::process::Command::new("wrk");
        wrk.args(["--threads", "1", "--timeout", "10s", "--connections"])
            .arg(connections.to_string())
            .arg("--duration")
            .arg(format!("{seconds}s"))
            .arg("--script")
            .arg(&script)
            .arg(format!("{}{}", servers[case.server].url, case.path))
            .env("BENCH_METHOD", case.method)
            .env("BENCH_BODY", if case.method == "POST" { &body } else { "" })
            .env("BENCH_SIGNATURE", sign(SECRET, body.as_bytes()));
        let output = wrk.output().await.expect("wrk runs");
        figures(&String::from_utf8_lossy(&output.stdout))
    };
    for case in &CASES {
        load(case, 1).await;
    }
    let mut found = CASES.each_ref().map(|_| Vec::new());
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        for (case, found) in CASES.iter().zip(&mut found) {
            let slow = case.slow.then(|| slow_ones(&servers[case.server]));
            found.push(load(case, seconds).await);
            drop(slow);
        }
    }
    let _ = std::fs::remove_file(script);
    report(&found, rounds, seconds, connections);
    println!(
        "\nBeside: median, and the middle half, of the quotients within each round.\nMost memory of `bridge serve`: {}.",
        servers[2].most_memory()
    );
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
fn figures(output: &str) -> Figures {
    let line = output
        .lines()
        .find_map(|line| line.strip_prefix("FIGURES "));
    let line = line.unwrap_or_else(|| panic!("no figures of wrk in {output}"));
    let numbers: Vec<u64> = line
        .split(' ')
        .map(|number| number.parse().expect("a number"))
        .collect();
    let [requests, microseconds, p50, p99, failed] = numbers[..] else {
        panic!("expected five figures of wrk, found `{line}`");
    };
    Figures {
        per_second: requests as f64 * 1e6 / microseconds as f64,
        p50_ms: p50 as f64 / 1000.0,
        p99_ms: p99 as f64 / 1000.0,
        failed,
    }
}

/// Slow connections: half of them send their heads a byte at a time, half their bodies. After a cut-off they reconnect.
fn slow_ones(server: &Server) -> JoinSet<()> {
    let address = server.url.trim_start_matches("http://").to_owned();
    (0..SLOW)
        .map(|n| {
            let address = address.clone();
            let head = if n % 2 == 0 {
                "POST / HTTP/1.1\r\nhost: h\r\nmomento-signature: "
            } else {
                "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 100000\r\n\r\n"
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
        })
        .collect()
}

fn median(figures: &[Figures], of: impl Fn(&Figures) -> f64) -> f64 {
    let mut values: Vec<f64> = figures.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn report(found: &[Vec<Figures>], rounds: usize, seconds: usize, connections: usize) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!(
        "{connections} connections, {rounds} rounds of {seconds} s, {cores} cores shared by all, medians:\n"
    );
    println!("| | | requests/s | lowest to highest | p50 | p99 | failed | beside |");
    println!("|---|---|---|---|---|---|---|---|");
    for (number, (case, figures)) in CASES.iter().zip(found).enumerate() {
        let mut ratios: Vec<f64> = figures
            .iter()
            .zip(&found[case.beside])
            .map(|(this, other)| this.per_second / other.per_second)
            .collect();
        ratios.sort_by(f64::total_cmp);
        let last = ratios.len() - 1;
        let ratio = format!(
            "{:.2} ({:.2} to {:.2}) of {}",
            ratios[last.div_ceil(2)],
            ratios[last / 4],
            ratios[last - last / 4],
            case.beside + 1
        );
        let per_second = |bound: fn(f64, f64) -> f64| {
            let all = figures.iter().map(|figures| figures.per_second);
            all.reduce(bound).unwrap_or_default()
        };
        println!(
            "| {} | {} | {:.0} | {:.0} to {:.0} | {:.2} ms | {:.2} ms | {} | {ratio} |",
            number + 1,
            case.what,
            median(figures, |figures| figures.per_second),
            per_second(f64::min),
            per_second(f64::max),
            median(figures, |figures| figures.p50_ms),
            median(figures, |figures| figures.p99_ms),
            figures.iter().map(|figures| figures.failed).sum::<u64>(),
        );
    }
}
