//! What `/proc` tells: the machine, who used its processors, how much memory a process and its descendants hold.

use std::collections::HashMap;
use std::fs;
use std::time::Instant;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// Ticks of `/proc` in a second: 100 on every architecture that Linux tells user space about.
const TICKS: f64 = 100.0;

pub(super) const MIB: f64 = (1u64 << 20) as f64;
pub(super) const GIB: f64 = (1u64 << 30) as f64;

/// The machine, as far as figures depend on it.
pub(super) fn described() -> Result<Value> {
    let cpus = read("/proc/cpuinfo")?;
    let model = field(&cpus, "model name").unwrap_or(std::env::consts::ARCH);
    let memory = kilobytes(&read("/proc/meminfo")?, "MemTotal").context("the size of memory")?;
    Ok(json!({
        "cpu": model,
        "cores": std::thread::available_parallelism()?.get(),
        "memory_gib": (memory as f64 / GIB * 10.0).round() / 10.0,
        "kernel": read("/proc/sys/kernel/osrelease")?.trim(),
        "load": load()?,
    }))
}

/// The load average of the last minute.
fn load() -> Result<Value> {
    let text = read("/proc/loadavg")?;
    let first = text.split(' ').next().unwrap_or_default();
    Ok(json!(first.parse::<f64>()?))
}

/// Processor time of this process and of all that it and its children waited for.
pub(super) fn own_cpu_seconds() -> Result<f64> {
    let stat = read("/proc/self/stat")?;
    // After the name in parentheses the third field follows; times are the fields 14 to 17.
    let rest = stat.rsplit_once(')').context("/proc/self/stat")?.1;
    let ticks: f64 = rest.split_whitespace().skip(11).take(4).filter_map(number).sum();
    Ok(ticks / TICKS)
}

/// Processor time of everybody, and what a hypervisor gave to others.
fn all_cpu_seconds() -> Result<f64> {
    let stat = read("/proc/stat")?;
    let line = stat.lines().next().unwrap_or_default();
    let ticks: Vec<f64> = line.split_whitespace().skip(1).filter_map(number).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal; guests are part of user.
    let busy = [0, 1, 2, 5, 6, 7].iter().filter_map(|at| ticks.get(*at)).sum::<f64>();
    Ok(busy / TICKS)
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}

/// Tells how much of the machine others used meanwhile.
pub(super) struct Meter {
    since: Instant,
    all: f64,
    own: f64,
}

impl Meter {
    pub(super) fn start() -> Option<Self> {
        Some(Self {
            since: Instant::now(),
            all: all_cpu_seconds().ok()?,
            own: own_cpu_seconds().ok()?,
        })
    }

    /// Processors that others kept busy on average since the start.
    pub(super) fn others_cores(&self) -> Option<f64> {
        let all = all_cpu_seconds().ok()? - self.all;
        let own = own_cpu_seconds().ok()? - self.own;
        Some(((all - own) / self.since.elapsed().as_secs_f64()).max(0.0))
    }
}

/// The most memory seen, in bytes of RSS.
#[derive(Clone, Copy, Default)]
pub(super) struct Peak {
    /// Of the process alone: the kernel's own high-water mark as last seen.
    pub(super) process: u64,
    /// Of the process and its descendants at one moment. Pages that several of them share count several times.
    pub(super) tree: u64,
}

impl Peak {
    /// Looks at a process.
    pub(super) fn look(&mut self, pid: u32) {
        let status = fs::read_to_string(format!("/proc/{pid}/status"));
        if let Some(bytes) = status.ok().and_then(|status| kilobytes(&status, "VmHWM")) {
            self.process = self.process.max(bytes);
        }
        self.tree = self.tree.max(tree_bytes(pid)).max(self.process);
    }
}

/// RSS of a process in bytes.
pub(super) fn resident(pid: u32) -> Result<u64> {
    let status = read(&format!("/proc/{pid}/status"))?;
    kilobytes(&status, "VmRSS").context("a process without memory")
}

/// RSS of a process and its descendants.
fn tree_bytes(root: u32) -> u64 {
    let mut children: HashMap<u32, Vec<(u32, u64)>> = HashMap::new();
    let mut sum = 0;
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
        // It may have ended since it was listed.
        let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else {
            continue;
        };
        let bytes = kilobytes(&status, "VmRSS").unwrap_or(0);
        if pid == root {
            sum += bytes;
        } else if let Some(parent) = field(&status, "PPid").and_then(|parent| parent.parse().ok()) {
            children.entry(parent).or_default().push((pid, bytes));
        }
    }
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        for (pid, bytes) in children.remove(&parent).unwrap_or_default() {
            sum += bytes;
            parents.push(pid);
        }
    }
    sum
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| path.to_owned())
}

/// The value of a line `name: value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
}

/// The value of a line `name: 123 kB` in bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let number: u64 = field(text, name)?.strip_suffix("kB")?.trim().parse().ok()?;
    Some(number << 10)
}
