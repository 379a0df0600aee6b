//! What `/proc` tells: the machine, who used its processors, how much memory a process and its descendants hold.

use std::collections::{BTreeMap, HashMap};
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

/// Processor time of this process and of those that it started, by the names of the programs; what each has waited for
/// counts as its own.
fn cpu_seconds_by_program() -> BTreeMap<String, f64> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    let mut used = HashMap::new();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
        // It may have ended since it was listed.
        let Some(stat) = fs::read_to_string(format!("/proc/{pid}/stat")).ok() else {
            continue;
        };
        let Some((name, fields)) = stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')')) else {
            continue;
        };
        // After the name comes the third field; the parent is the fourth, times are the fields 14 to 17.
        let mut fields = fields.split_whitespace().skip(1);
        if let Some(parent) = fields.next().and_then(|parent| parent.parse().ok()) {
            children.entry(parent).or_default().push(pid);
        }
        let ticks: f64 = fields.skip(9).take(4).filter_map(number).sum();
        used.insert(pid, (name.to_owned(), ticks / TICKS));
    }
    let mut by_program = BTreeMap::new();
    let mut family = vec![std::process::id()];
    while let Some(pid) = family.pop() {
        family.extend(children.remove(&pid).unwrap_or_default());
        if let Some((name, seconds)) = used.remove(&pid) {
            *by_program.entry(name).or_default() += seconds;
        }
    }
    by_program
}

/// Tells who used the machine meanwhile.
pub(super) struct Cores {
    since: Instant,
    all: f64,
    own: BTreeMap<String, f64>,
}

impl Cores {
    pub(super) fn start() -> Result<Self> {
        Ok(Self {
            since: Instant::now(),
            all: all_cpu_seconds()?,
            own: cpu_seconds_by_program(),
        })
    }

    /// Processors that were busy on average since the start: with each program of ours, and with others.
    pub(super) fn used(&self) -> Result<Value> {
        let seconds = self.since.elapsed().as_secs_f64();
        let mut used = cpu_seconds_by_program();
        for (program, before) in &self.own {
            *used.entry(program.clone()).or_default() -= before;
        }
        let own: f64 = used.values().sum();
        used.retain(|_, cpu| *cpu / seconds >= 0.005);
        used.insert("others".to_owned(), (all_cpu_seconds()? - self.all - own).max(0.0));
        used.values_mut().for_each(|cpu| *cpu /= seconds);
        Ok(json!(used))
    }

    /// Processors that others kept busy.
    pub(super) fn others(&self) -> Option<f64> {
        self.used().ok()?["others"].as_f64()
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
