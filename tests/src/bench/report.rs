//! What goes to standard output: the machine, then a line for each figure.

use std::io::Write as _;

use anyhow::Result;
use serde_json::{Value, json};

use super::Bench;
use super::machine::{self, Cores};
use super::process::Call;

/// What a figure should be.
#[derive(Clone, Copy)]
pub(super) enum Goal {
    AtLeast(f64),
    AtMost(f64),
    Below(f64),
    /// There is none; the figure is for comparison with itself.
    None,
}

/// A number that was measured.
pub(super) struct Figure {
    pub(super) name: &'static str,
    pub(super) value: f64,
    pub(super) unit: &'static str,
    pub(super) goal: Goal,
    /// Further fields of the line.
    pub(super) details: Value,
}

/// Standard output.
#[derive(Default)]
pub(crate) struct Report {
    cores: Option<Cores>,
}

impl Goal {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(goal) => value >= goal,
            Self::AtMost(goal) => value <= goal,
            Self::Below(goal) => value < goal,
            Self::None => true,
        }
    }

    fn described(self) -> Value {
        match self {
            Self::AtLeast(goal) => json!(format!(">= {goal}")),
            Self::AtMost(goal) => json!(format!("<= {goal}")),
            Self::Below(goal) => json!(format!("< {goal}")),
            Self::None => Value::Null,
        }
    }
}

impl Report {
    /// The first line: what the figures are of.
    pub(crate) fn machine(&self, bench: &Bench) -> Result<()> {
        let version = |call: Call| {
            call.run()
                .map(|ended| ended.text().lines().next().unwrap_or_default().to_owned())
        };
        // The program beside a debug build of this one is a debug build too.
        let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
        print(&[
            ("machine", machine::described()?),
            ("program", json!(bench.program)),
            ("version", json!(version(Call::new(&bench.program).arg("--version"))?)),
            ("ffmpeg", json!(version(Call::new("ffmpeg").arg("-version"))?)),
            ("bench_profile", json!(profile)),
            ("quick", json!(bench.quick)),
        ])
    }

    /// From now on, what others do to the machine counts for the figures that come.
    pub(crate) fn begin(&mut self) {
        self.cores = Cores::start().ok();
    }

    /// A figure.
    pub(super) fn figure(&self, figure: &Figure) -> Result<()> {
        let others = self.cores.as_ref().and_then(Cores::others);
        let mut line = vec![
            ("figure", json!(figure.name)),
            ("value", json!(figure.value)),
            ("unit", json!(figure.unit)),
            ("goal", figure.goal.described()),
            ("ok", json!(figure.goal.is_met(figure.value))),
            ("others_cores", json!(others)),
        ];
        if let Value::Object(details) = &figure.details {
            line.extend(details.iter().map(|(name, value)| (name.as_str(), value.clone())));
        }
        print(&line)
    }

    /// A figure that another program has measured and judged.
    pub(super) fn passed_on(&self, figure: &Value) -> Result<()> {
        let others = self.cores.as_ref().and_then(Cores::others);
        let field = |name: &'static str| (name, figure[name].clone());
        let known = ["figure", "value", "unit", "goal", "ok"].map(field);
        print(&[&known[..], &[("others_cores", json!(others))]].concat())
    }

    /// What could not be measured, and why.
    pub(crate) fn missing(&self, name: &str, error: &anyhow::Error) -> Result<()> {
        let error = json!(format!("{error:#}"));
        print(&[
            ("figure", json!(name)),
            ("value", Value::Null),
            ("ok", json!(false)),
            ("error", error),
        ])
    }
}

/// Prints an object whose fields keep their order, so that people find the value.
fn print(fields: &[(&str, Value)]) -> Result<()> {
    let fields = fields
        .iter()
        .map(|(name, value)| format!("{}:{}", json!(name), rounded(value)));
    let mut out = std::io::stdout().lock();
    writeln!(out, "{{{}}}", fields.collect::<Vec<_>>().join(","))?;
    out.flush()?;
    Ok(())
}

/// The same with at most four decimals.
fn rounded(value: &Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => {
            json!(number.as_f64().map(|number| (number * 1e4).round() / 1e4))
        }
        Value::Array(values) => values.iter().map(rounded).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), rounded(value)))
            .collect(),
        other => other.clone(),
    }
}

/// The middle value, or the mean of the two in the middle; not a number where there is none.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len() / 2, sorted.len() % 2) {
        (_, 0) if sorted.is_empty() => f64::NAN,
        (half, 0) => f64::midpoint(sorted[half - 1], sorted[half]),
        (half, _) => sorted[half],
    }
}

/// The smallest value that so many percent of all do not exceed; not a number where there is none.
pub(super) fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().unwrap_or(f64::NAN)
}
