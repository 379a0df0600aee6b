//! `clearfleet watch`: submits what settles in a folder, each file once, and puts results into another.

mod bring;
mod scan;
mod state;

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, ValueHint};
use clearfleet_common::ErrorCode;
use tokio::task::JoinSet;

use super::client::{self, Client, ClientError, Reporter, RequestArgs, Result, ServerArgs};
use super::exit::exit_code;
use bring::Work;
use scan::{Found, Settling};

/// How often the folder is looked through; a large one less often, so that at most a tenth of the time goes there.
const LOOK: Duration = Duration::from_millis(500);

/// Submit what settles in a folder, each file once, and put results beside it in another.
#[derive(Debug, Args)]
#[command(
    after_help = "A result has the path of its source with the result's extension; where there is none, NAME.error.txt \
    says why. What was submitted is remembered in OUT/.clearfleet-watch by path, size and time: a restart submits nothing \
    twice, whatever its settings, and goes on waiting. Hidden files and links are left alone, and nothing in IN is touched."
)]
pub(super) struct WatchArgs {
    /// Folder to watch, with its inner folders.
    #[arg(value_name = "IN", value_hint = ValueHint::DirPath)]
    source: PathBuf,
    /// Folder for results; made if need be.
    #[arg(value_name = "OUT", value_hint = ValueHint::DirPath)]
    results: PathBuf,

    /// End when everything that is there is done.
    #[arg(long)]
    once: bool,
    /// How long a file must not change before it is taken, in seconds; one that is still open for writing is not taken,
    /// as far as that can be told.
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    settle: Duration,
    /// How many jobs are at the server at a time.
    #[arg(long, value_name = "JOBS", default_value = "32", value_parser = clap::value_parser!(u16).range(1..=1000))]
    at_once: u16,

    /// Print events as JSON, one a line, on standard output.
    #[arg(long)]
    json: bool,
    /// Print errors only.
    #[arg(long, short, conflicts_with = "json")]
    quiet: bool,

    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    request: RequestArgs,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let refused = || format!("{text:?} is no number of seconds from 0 to 3600");
    let seconds: f64 = text.parse().map_err(|_| refused())?;
    let within = (0.0..=3600.0).contains(&seconds);
    within.then(|| Duration::from_secs_f64(seconds)).ok_or_else(refused)
}

/// Runs the command.
pub(super) fn run(args: &WatchArgs) -> ExitCode {
    let reporter = Arc::new(Reporter::new(args.json, args.quiet, false));
    let work = async {
        let mut watch = Watch::prepare(args, &reporter).await?;
        tokio::select! {
            code = watch.run() => return Ok(code),
            stop = client::stop_asked() => stop?,
        }
        // What is under way at the server is waited for by the next start.
        watch.tasks.shutdown().await;
        reporter.summary();
        // To be stopped is how a watch ends, and only one that was to end by itself did not.
        Ok(if args.once { exit_code(ErrorCode::Stopped) } else { 0 })
    };
    let code = client::block_on(work).flatten().unwrap_or_else(|e| {
        reporter.failed(None, None, &e);
        exit_code(e.code())
    });
    ExitCode::from(code)
}

struct Watch<'a> {
    args: &'a WatchArgs,
    work: Arc<Work>,
    reporter: &'a Reporter,
    settling: Settling,
    tasks: JoinSet<(Found, Result<()>)>,
    /// By path: of a file that changes meanwhile, the next version waits until this one is through.
    in_hand: HashMap<PathBuf, Found>,
    /// What failed for a passing reason, where nothing waits for it to pass.
    given_up: HashSet<Found>,
    /// Complaints about the folder, each of which is said once.
    complained: HashSet<String>,
    code: u8,
}

impl<'a> Watch<'a> {
    /// Checks folders, state and server before anything is done.
    async fn prepare(args: &'a WatchArgs, reporter: &'a Arc<Reporter>) -> Result<Self> {
        let (source, results) = folders(&args.source, &args.results)?;
        let client = Client::new(&args.server)?;
        client.greet().await?;
        let work = Work::open(
            client,
            args.request.clone(),
            source,
            results,
            args.once,
            Arc::clone(reporter),
        )?;
        let mut watch = Self {
            args,
            work: Arc::new(work),
            reporter,
            settling: Settling::default(),
            tasks: JoinSet::new(),
            in_hand: HashMap::new(),
            given_up: HashSet::new(),
            complained: HashSet::new(),
            code: 0,
        };
        for file in watch.work.under_way() {
            watch.take(file);
        }
        Ok(watch)
    }

    /// Watches until all is done, or for ever. Returns the exit code.
    async fn run(&mut self) -> u8 {
        loop {
            let since = Instant::now();
            let left = self.look().await;
            if self.args.once && left == 0 && self.in_hand.is_empty() {
                self.reporter.summary();
                return self.code;
            }
            let pause = tokio::time::sleep(LOOK.max(since.elapsed() * 9));
            tokio::pin!(pause);
            loop {
                tokio::select! {
                    Some(done) = self.tasks.join_next() => match done {
                        Ok((file, done)) => self.ended(file, done),
                        Err(e) => {
                            let message = "a fault of Clearfleet itself; the next start goes on";
                            let error = ClientError::new(ErrorCode::Internal, message).because(&e);
                            self.reporter.failed(None, None, &error);
                            return exit_code(ErrorCode::Internal);
                        }
                    },
                    () = &mut pause => break,
                }
            }
        }
    }

    /// Looks through the folder and takes what settled, as far as there is room. Returns how many files wait.
    async fn look(&mut self) -> usize {
        let work = Arc::clone(&self.work);
        let scanned = tokio::task::spawn_blocking(move || scan::scan(&work.source, &work.results)).await;
        // A walk does not panic; if it did, the next one tells more.
        let Ok((found, errors)) = scanned else { return 1 };
        for error in errors {
            let complaint = error.to_string();
            if self.complained.insert(complaint.clone()) {
                self.reporter
                    .said(None, &format!("part of the folder cannot be read: {complaint}"));
                self.code = if self.code == 0 {
                    exit_code(ErrorCode::InputUnreadable)
                } else {
                    self.code
                };
            }
        }
        let settled: HashSet<Found> = self
            .settling
            .look(&found, self.args.settle, Instant::now())
            .into_iter()
            .collect();
        let new: Vec<Found> = found.into_iter().filter(|file| self.is_new(file)).collect();
        let ready: Vec<&Found> = new.iter().filter(|file| settled.contains(*file)).collect();
        let mut left = new.len();
        if ready.is_empty() || self.in_hand.len() >= usize::from(self.args.at_once) {
            return left;
        }
        let written = tokio::task::spawn_blocking(scan::written_to).await.unwrap_or_default();
        for file in ready {
            let metadata = std::fs::metadata(self.work.source.join(&file.path));
            if metadata.is_ok_and(|metadata| written.contains(&(metadata.dev(), metadata.ino()))) {
                self.settling.disturb(&file.path, Instant::now());
            } else if self.in_hand.len() < usize::from(self.args.at_once) && !self.in_hand.contains_key(&file.path) {
                self.take(file.clone());
                left -= 1;
            }
        }
        left
    }

    fn is_new(&self, file: &Found) -> bool {
        self.in_hand.get(&file.path) != Some(file) && !self.given_up.contains(file) && !self.work.is_through(file)
    }

    fn take(&mut self, file: Found) {
        let work = Arc::clone(&self.work);
        self.in_hand.insert(file.path.clone(), file.clone());
        self.tasks.spawn(async move {
            let done = work.bring(&file).await;
            (file, done)
        });
    }

    fn ended(&mut self, file: Found, done: Result<()>) {
        self.in_hand.remove(&file.path);
        if let Err(e) = done {
            self.reporter.failed(Some(&file.path), self.work.job(&file), &e);
            self.code = if self.code == 0 { exit_code(e.code()) } else { self.code };
            if !self.work.is_through(&file) {
                self.given_up.insert(file);
            }
        }
    }
}

/// The two folders as absolute paths.
///
/// # Errors
/// `InputNotFound`, `InputNotAFile`; `OutputIsInput` if results would land among the sources.
fn folders(source: &Path, results: &Path) -> Result<(PathBuf, PathBuf)> {
    let metadata = std::fs::metadata(source);
    let refused = |code, what: &str| ClientError::new(code, format!("{} {what}", source.display()));
    match metadata {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => {
            return Err(refused(
                ErrorCode::InputNotAFile,
                "is a file, and a folder can be watched",
            ));
        }
        Err(e) => return Err(refused(ErrorCode::InputNotFound, "cannot be watched").because(&e)),
    }
    let cannot = |e: std::io::Error| ClientError::write(format_args!("the folder {}", results.display()), &e);
    std::fs::create_dir_all(results).map_err(cannot)?;
    let source = source
        .canonicalize()
        .map_err(|e| refused(ErrorCode::InputUnreadable, "cannot be watched").because(&e))?;
    let results = results.canonicalize().map_err(cannot)?;
    if source.starts_with(&results) {
        let message = "results would land among the sources: OUT is IN, or around it";
        return Err(ClientError::new(ErrorCode::OutputIsInput, message));
    }
    Ok((source, results))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_never_land_among_sources() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("in")).unwrap();
        std::fs::write(path("file"), "").unwrap();
        std::os::unix::fs::symlink(path("in"), path("same")).unwrap();
        let code = |source: &str, results: &str| folders(&path(source), &path(results)).map(drop).map_err(|e| e.code());
        assert_eq!(code("in", "in"), Err(ErrorCode::OutputIsInput));
        assert_eq!(code("in", "same"), Err(ErrorCode::OutputIsInput));
        assert_eq!(code("in", "."), Err(ErrorCode::OutputIsInput));
        assert_eq!(code("in", "in/larger"), Ok(()));
        assert_eq!(code("in", "out"), Ok(()));
        assert_eq!(code("nowhere", "out"), Err(ErrorCode::InputNotFound));
        assert_eq!(code("file", "out"), Err(ErrorCode::InputNotAFile));
    }
}
