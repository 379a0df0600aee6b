//! How long things are kept, on the command line of a server.

use std::time::Duration;

use super::Ttl;

/// How long what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Batches of a finished video, after its end: a redo uses those that are as it wants them.
    pub segments: Ttl,
    /// Source, result and all else of a finished job, after its end.
    pub results: Ttl,
    /// What there is of a failed or cancelled job, after its end.
    pub failed: Ttl,
    /// The record of a job whose objects are deleted, after they were.
    pub records: Ttl,
    /// An upload that nobody finished, after the last of it came.
    pub uploads: Duration,
    /// Between two sweeps.
    pub period: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            segments: Ttl::hours(24),
            results: Ttl::days(30),
            failed: Ttl::days(7),
            records: Ttl::days(90),
            uploads: Duration::from_secs(3 * 86_400),
            period: Duration::from_secs(86_400),
        }
    }
}

/// How long things are kept: a time such as 90s, 24h or 30d, or never.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Retention")]
pub struct RetentionArgs {
    /// Batches of a finished video, for a redo.
    #[arg(long, env = "CLEARFLEET_SEGMENTS_TTL", value_name = "TIME", default_value_t = Retention::default().segments)]
    segments_ttl: Ttl,
    /// Source and result of a finished job.
    #[arg(long, env = "CLEARFLEET_RESULTS_TTL", value_name = "TIME", default_value_t = Retention::default().results)]
    results_ttl: Ttl,
    /// What there is of a failed or cancelled job.
    #[arg(long, env = "CLEARFLEET_FAILED_TTL", value_name = "TIME", default_value_t = Retention::default().failed)]
    failed_ttl: Ttl,
    /// The record of a job whose source and result are deleted.
    #[arg(long, env = "CLEARFLEET_RECORD_TTL", value_name = "TIME", default_value_t = Retention::default().records)]
    record_ttl: Ttl,
    /// An upload of which nothing more comes; at least 1s.
    #[arg(long, env = "CLEARFLEET_UPLOADS_TTL", value_name = "TIME", default_value = "3d", value_parser = period)]
    pub(crate) uploads_ttl: Duration,
    /// Between two looks for what was kept long enough; at least 1s.
    #[arg(long, env = "CLEARFLEET_SWEEP_EVERY", value_name = "TIME", default_value = "24h", value_parser = period)]
    sweep_every: Duration,
}

/// A time that passes, and not at once: a sweep reads all records, and an upload takes its time.
fn period(text: &str) -> Result<Duration, String> {
    let period = text.parse::<Ttl>().ok().and_then(Ttl::duration);
    let period = period.filter(|period| !period.is_zero());
    period.ok_or_else(|| "it is a time such as 90s, 15m or 24h, of at least a second".to_owned())
}

impl From<RetentionArgs> for Retention {
    fn from(args: RetentionArgs) -> Self {
        Self {
            segments: args.segments_ttl,
            results: args.results_ttl,
            failed: args.failed_ttl,
            records: args.record_ttl,
            uploads: args.uploads_ttl,
            period: args.sweep_every,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: RetentionArgs,
    }

    #[test]
    fn without_options_it_is_the_default() {
        assert_eq!(Retention::from(Cli::parse_from(["x"]).args), Retention::default());
        let args = Cli::parse_from([
            "x",
            "--results-ttl",
            "never",
            "--record-ttl",
            "1d",
            "--sweep-every",
            "1h",
        ])
        .args;
        let expected = Retention {
            results: Ttl::NEVER,
            records: Ttl::days(1),
            period: Duration::from_secs(3600),
            ..Retention::default()
        };
        assert_eq!(Retention::from(args), expected);
        for refused in ["0s", "never", "1", ""] {
            assert!(
                Cli::try_parse_from(["x", "--sweep-every", refused]).is_err(),
                "{refused}"
            );
        }
    }
}
