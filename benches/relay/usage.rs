//! A process's CPU time and memory, from Linux's `/proc`.

use std::fs;

use anyhow::{Context, Result};

/// The unit of the times in `/proc/<pid>/stat`, the same on every machine Rust runs Linux programs on.
const TICKS_PER_SECOND: f64 = 100.0;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// Seconds of all threads, in user and kernel mode, to a hundredth.
    pub cpu_seconds: f64,
    /// Resident memory now, in KiB.
    pub rss_kib: u64,
    /// Peak resident memory, in KiB.
    pub peak_kib: u64,
}

/// # Errors
///
/// When the process or `/proc` is missing.
pub fn of(pid: u32) -> Result<Usage> {
    let read = |name: &str| {
        let path = format!("/proc/{pid}/{name}");
        fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
    };
    let (stat, status) = (read("stat")?, read("status")?);
    parse(&stat, &status).with_context(|| {
        format!("expected times and memory of process {pid} in /proc, found none; it may be ending")
    })
}

/// Reads the texts of `stat` and `status`.
pub fn parse(stat: &str, status: &str) -> Option<Usage> {
    // The program's name, in parentheses, may hold anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut ticks = fields.split(' ').skip(11).take(2).map(str::parse::<u32>);
    let (user, kernel) = (ticks.next()?.ok()?, ticks.next()?.ok()?);
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    };
    Some(Usage {
        cpu_seconds: (f64::from(user) + f64::from(kernel)) / TICKS_PER_SECOND,
        rss_kib: kib("VmRSS:")?,
        peak_kib: kib("VmHWM:")?,
    })
}

/// The machine, its load in the last minute, and the build, in a sentence.
pub fn machine() -> String {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown", |model| {
        model.trim_start_matches(['\t', ' ', ':'])
    });
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    let build = match cfg!(debug_assertions) {
        true => "unoptimised, so these figures mean nothing",
        false => "optimised",
    };
    format!("{cpus} CPUs ({model}), load {load} at the start, {build}")
}
