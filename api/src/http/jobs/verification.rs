//! Holding a result against its source when somebody asks.

use axum::Json;
use axum::extract::State as Extracted;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use clearfleet_common::ErrorCode;
use clearfleet_common::job::Record;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::body::JobPath;
use crate::http::error::ProblemBody;
use crate::http::{AppState, Caller, Problem};

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct VerificationView {
    /// `holds`, or `differs` where a check does.
    verdict: &'static str,
    /// Every check that was made.
    checks: Vec<CheckView>,
}

/// One comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct CheckView {
    /// What was compared; a name may come more than once, one check a stream.
    name: &'static str,
    /// What was compared and how.
    method: String,
    /// What the source has.
    expected: String,
    /// What the result has.
    found: String,
    /// `holds`, `differs`, or `named` for what the result's format does not hold.
    verdict: &'static str,
}

/// A verification that is under way.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(super) struct VerificationRuns {
    /// Always `running`.
    verdict: &'static str,
}

/// Decode source and result, and check frames, times and streams against each other.
///
/// It takes about as long as decoding both. One is made at a time; its report is kept for the next who asks.
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}/verification",
    tag = "objects",
    params(("id" = String, Path, description = "The job.")),
    responses(
        (status = 200, description = "The report.", body = VerificationView),
        (status = 202, description = "It is being made: ask again.", body = VerificationRuns),
        (status = "4XX", description = "There is no result, or no source any more.", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "Not made by this installation, or it failed.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn verification(
    Extracted(state): Extracted<AppState>,
    caller: Caller,
    JobPath(job): JobPath,
) -> Result<Response, Problem> {
    let has_result = |record: &Record| record.result.is_some();
    let record = &super::job_that(&state, caller, job, has_result).await?.record;
    if record.request.preview.is_some() {
        let detail = "a preview is not verified; the result of its job is";
        return Err(Problem::new(ErrorCode::StateConflict, detail));
    }
    Ok(match report(&state, record).await? {
        Some(report) => Json(report).into_response(),
        None => {
            let running = VerificationRuns { verdict: "running" };
            (StatusCode::ACCEPTED, [(header::RETRY_AFTER, "2")], Json(running)).into_response()
        }
    })
}

#[cfg(not(feature = "standalone"))]
async fn report(_: &AppState, _: &clearfleet_common::job::Record) -> Result<Option<VerificationView>, Problem> {
    let detail = "this build has no decoder: results are verified by the workers that make them";
    Err(Problem::new(clearfleet_common::ErrorCode::NotOffered, detail))
}

#[cfg(feature = "standalone")]
pub(in crate::http) use here::Verifier;
#[cfg(feature = "standalone")]
use here::report;

#[cfg(feature = "standalone")]
mod here {
    use std::collections::VecDeque;
    use std::fmt;
    use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
    use std::time::Duration;

    use clearfleet_common::config::{Deadlines, Limits};
    use clearfleet_common::job::{JobResult, Record, Stretch};
    use clearfleet_common::storage::Storage;
    use clearfleet_common::{ErrorCode, Stop};
    use clearfleet_worker::media::serve::{SourceBytes, SourceServer};
    use clearfleet_worker::service::ObjectSource;
    use clearfleet_worker::verify::{Report, Verdict, VerifyRequest, verify};
    use tokio::runtime::Handle;
    use tokio::sync::{Semaphore, watch};

    use super::{CheckView, VerificationView};
    use crate::http::jobs::download::{Found, stat_of_source};
    use crate::http::{AppState, Problem};

    /// Reports that are kept, and verifications that may wait.
    const KEPT: usize = 64;

    /// What became of a verification; nothing while it is under way.
    type Outcome = Option<Result<VerificationView, Problem>>;

    /// Makes verifications, one at a time, and keeps their reports.
    pub(in crate::http) struct Verifier {
        storage: Storage,
        limits: Limits,
        turn: Semaphore,
        /// Of the last results that were asked about, by their keys; the oldest first.
        made: Mutex<VecDeque<(String, watch::Receiver<Outcome>)>>,
        server: OnceLock<Arc<SourceServer>>,
    }

    impl fmt::Debug for Verifier {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Verifier").finish_non_exhaustive()
        }
    }

    /// The report about a job's result; nothing where it is still being made.
    pub(super) async fn report(state: &AppState, record: &Record) -> Result<Option<VerificationView>, Problem> {
        let not_ready =
            || Problem::new(ErrorCode::NotReady, "there is no result to verify").with("state", record.state);
        let result = record.result.as_ref().ok_or_else(not_ready)?;
        let source = stat_of_source(state, record).await?;
        let mut outcome = Arc::clone(&state.verifier).outcome(record, result, source, state)?;
        let made = tokio::time::timeout(state.config.verification_wait, outcome.wait_for(Option::is_some)).await;
        match made {
            Err(_) => Ok(None),
            Ok(Ok(outcome)) => outcome.clone().transpose(),
            Ok(Err(gone)) => Err(Problem::internal(gone)),
        }
    }

    impl Verifier {
        pub(in crate::http) fn new(storage: Storage, limits: Limits) -> Self {
            Self {
                storage,
                limits,
                turn: Semaphore::new(1),
                made: Mutex::default(),
                server: OnceLock::new(),
            }
        }

        fn made(&self) -> MutexGuard<'_, VecDeque<(String, watch::Receiver<Outcome>)>> {
            self.made.lock().unwrap_or_else(PoisonError::into_inner)
        }

        /// The verification of a result that is under way or was made, or a new one. One that failed is made again.
        fn outcome(
            self: Arc<Self>,
            record: &Record,
            result: &JobResult,
            source: Found,
            state: &AppState,
        ) -> Result<watch::Receiver<Outcome>, Problem> {
            let mut made = self.made();
            made.retain(|(_, outcome)| !matches!(&*outcome.borrow(), Some(Err(_))));
            if let Some((_, outcome)) = made.iter().find(|(key, _)| *key == result.key) {
                return Ok(outcome.clone());
            }
            if made.len() >= KEPT {
                let done = made.iter().position(|(_, outcome)| outcome.borrow().is_some());
                let busy = || Problem::new(ErrorCode::Unavailable, "too many verifications wait");
                made.remove(done.ok_or_else(|| busy().retry_after(Duration::from_secs(30)))?);
            }
            let (sender, outcome) = watch::channel(None);
            made.push_back((result.key.clone(), outcome.clone()));
            drop(made);
            let (record, result, ended) = (record.clone(), result.clone(), state.stop.clone());
            tokio::spawn(async move {
                let report = ended.run_until_cancelled(self.make(record, result, source)).await;
                let stopped = || Err(Problem::new(ErrorCode::Unavailable, "the server is being stopped"));
                sender.send_replace(Some(report.unwrap_or_else(stopped)));
            });
            Ok(outcome)
        }

        /// Makes a verification when it is its turn; dropped, it is stopped.
        async fn make(&self, record: Record, result: JobResult, source: Found) -> Result<VerificationView, Problem> {
            let _turn = self.turn.acquire().await.map_err(Problem::internal)?;
            let server = self.server()?;
            let stat = self.storage.stat(&result.key).await?;
            let stat = stat.ok_or_else(|| Problem::new(ErrorCode::Gone, "the result is not there any more"))?;
            let made = Found {
                storage: self.storage.clone(),
                key: result.key.clone(),
                stat,
            };
            let stop = StopOnDrop(Stop::new());
            let comparing = Comparing {
                stretch: record.request.stretch,
                names: (
                    record.request.name.clone(),
                    crate::http::jobs::result_name(&record, &result),
                ),
                source: bytes(source),
                result: bytes(made),
                limits: self.limits,
                stop: stop.0.clone(),
                server,
            };
            let deadline = 2 * Deadlines::media(record.source.bytes + result.bytes);
            let compared = tokio::task::spawn_blocking(move || comparing.run());
            match tokio::time::timeout(deadline, compared).await {
                Ok(Ok(report)) => report,
                Ok(Err(panicked)) => Err(Problem::internal(panicked)),
                Err(_) => Err(
                    Problem::new(ErrorCode::DeadlineExceeded, "the verification took too long")
                        .with("limit_seconds", deadline.as_secs()),
                ),
            }
        }

        fn server(&self) -> Result<Arc<SourceServer>, Problem> {
            if let Some(server) = self.server.get() {
                return Ok(Arc::clone(server));
            }
            let server = SourceServer::start().map_err(Problem::internal)?;
            Ok(Arc::clone(self.server.get_or_init(|| server)))
        }
    }

    fn bytes(found: Found) -> Arc<dyn SourceBytes> {
        let Found { storage, key, stat } = found;
        Arc::new(ObjectSource::of(
            storage,
            Handle::current(),
            &key,
            stat.version,
            stat.bytes,
        ))
    }

    /// Asks the blocking work to stop when nobody waits for it any more.
    struct StopOnDrop(Stop);

    impl Drop for StopOnDrop {
        fn drop(&mut self) {
            self.0.stop();
        }
    }

    struct Comparing {
        source: Arc<dyn SourceBytes>,
        result: Arc<dyn SourceBytes>,
        names: (String, String),
        server: Arc<SourceServer>,
        limits: Limits,
        stop: Stop,
        stretch: Stretch,
    }

    impl Comparing {
        fn run(self) -> Result<VerificationView, Problem> {
            let request = VerifyRequest {
                source: self.source,
                result: self.result,
                source_name: &self.names.0,
                result_name: &self.names.1,
                server: &self.server,
                limits: &self.limits,
                stop: &self.stop,
                stretch: self.stretch,
            };
            match verify(&request) {
                Ok(report) => Ok(view(report)),
                Err(e) => {
                    let mut problem = Problem::new(e.code(), e.message());
                    for (name, value) in e.details() {
                        problem = problem.with(name, value);
                    }
                    Err(problem.because(e))
                }
            }
        }
    }

    fn view(report: Report) -> VerificationView {
        let verdict = if report.holds() { "holds" } else { "differs" };
        let checks = report.checks.into_iter().map(|check| CheckView {
            name: check.name,
            method: check.method,
            expected: check.expected,
            found: check.found,
            verdict: match check.verdict {
                Verdict::Holds => "holds",
                Verdict::Differs => "differs",
                Verdict::Named => "named",
            },
        });
        VerificationView {
            verdict,
            checks: checks.collect(),
        }
    }
}
