use reqwest::{Method, StatusCode};
use serde_json::json;

use super::world::{answer, id_of};
use super::{ALICE, World, png};
use clearfleet_common::job::{JobId, Record, State, TraceParent};

const FIRST: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const SECOND: &str = "00-1bf7651916cd43dd8448eb211c80319c-c7ad6b7169203331-00";

async fn upload(world: &World, traces: &[&str]) -> JobId {
    let mut request = world
        .request(ALICE, Method::POST, "/v1/jobs?name=a.png")
        .header("content-type", "image/png")
        .body(png(100));
    for trace in traces {
        request = request.header("traceparent", *trace);
    }
    let made = answer(request).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    id_of(&made)
}

async fn command(world: &World, job: JobId, command: &str, trace: Option<&str>) {
    let path = format!("/v1/jobs/{job}/{command}");
    let mut request = world.request(ALICE, Method::POST, &path).json(&json!({}));
    if let Some(trace) = trace {
        request = request.header("traceparent", trace);
    }
    let answer = answer(request).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
}

/// The scheduler has carried out what was wanted, and then the job ended.
fn end(record: &mut Record, state: State) {
    record.heard = record.wanted.map_or(0, |wanted| wanted.serial);
    record.state = state;
}

async fn trace_of(world: &World, job: JobId) -> Option<String> {
    let record = world.record(ALICE, job).await.unwrap();
    record.trace.as_ref().map(TraceParent::as_str).map(str::to_owned)
}

/// Where nobody collects spans, the trace that a request brings is that of the job as it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_keeps_the_trace_of_its_request() {
    let world = World::new().await;
    let traced = upload(&world, &[FIRST]).await;
    assert_eq!(trace_of(&world, traced).await.as_deref(), Some(FIRST));
    for says_nothing in [&[][..], &["00-0af7651916cd43dd8448eb211c80319c-01"], &[FIRST, SECOND]] {
        let untraced = upload(&world, says_nothing).await;
        assert_eq!(trace_of(&world, untraced).await, None, "{says_nothing:?}");
    }
}

/// What is done again is done for whoever asks for it; what only holds up or lets go on is no new work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_brought_back_gets_the_trace_of_that_request() {
    let world = World::new().await;
    for (ended, bring_back) in [(State::Failed, "retry"), (State::Done, "redo")] {
        let job = upload(&world, &[FIRST]).await;
        command(&world, job, "pause", Some(SECOND)).await;
        command(&world, job, "resume", Some(SECOND)).await;
        assert_eq!(trace_of(&world, job).await.as_deref(), Some(FIRST));
        world.schedule(ALICE, job, |record| end(record, ended)).await;
        command(&world, job, bring_back, None).await;
        assert_eq!(trace_of(&world, job).await.as_deref(), Some(FIRST), "{bring_back}");
        world.schedule(ALICE, job, |record| end(record, ended)).await;
        command(&world, job, bring_back, Some(SECOND)).await;
        assert_eq!(trace_of(&world, job).await.as_deref(), Some(SECOND), "{bring_back}");
    }
}
