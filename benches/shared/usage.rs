//! A process's CPU time and memory, from Linux's `/proc`.

use std::fs;

use anyhow::{Context, Result};

/// The unit of the times in `/proc/<pid>/stat`, the same on every machine Rust runs Linux programs on.
const TICKS_PER_SECOND: f64 = 100.0;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// Seconds of all threads, in user and kernel mode, to a hundredth.
    pub cpu_seconds: f64,
    /// Resident memory now, in MB.
    pub now_mb: f64,
    /// Peak resident memory, in MB.
    pub peak_mb: f64,
}

/// # Errors
///
/// When the process or `/proc` is missing.
pub fn of(pid: u32) -> Result<Usage> {
    let read = |name: &str| {
        let path = format!("/proc/{pid}/{name}");
        fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
    };
    parse(&read("stat")?, &read("status")?).with_context(|| {
        format!("expected times and memory of process {pid} in /proc, found none; it may be ending")
    })
}

/// Reads the texts of `stat` and `status`.
pub fn parse(stat: &str, status: &str) -> Option<Usage> {
    // The program's name, in parentheses, may hold anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut ticks = fields.split(' ').skip(11).map(str::parse::<f64>);
    let (user, kernel) = (ticks.next()?.ok()?, ticks.next()?.ok()?);
    let mb = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kib * 1_024.0 / 1e6)
    };
    Some(Usage {
        cpu_seconds: (user + kernel) / TICKS_PER_SECOND,
        now_mb: mb("VmRSS:")?,
        peak_mb: mb("VmHWM:")?,
    })
}

/// The machine, its load in the last minute, and the build, in a sentence.
pub fn machine() -> String {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split(": ").nth(1));
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    let build = match cfg!(debug_assertions) {
        true => "unoptimised, so these figures mean nothing",
        false => "optimised",
    };
    let model = model.unwrap_or("unknown");
    format!("{cpus} CPUs ({model}), load {load} at the start, {build}")
}
