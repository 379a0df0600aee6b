//! A trace leads through all processes of a fleet.

use std::collections::BTreeSet;

use clearfleet_tests::{CALLER, Call, Collector, Server, Span};

use super::{Fleet, Worker};

fn traced_server(fleet: &mut Fleet, collector: &Collector) -> Server {
    fleet.servers += 1;
    let data = fleet.world.path(format!("server-{}", fleet.servers));
    let mut server = collector.of(Server::prepared(&data, &fleet.options()));
    server.start_again();
    server
}

fn traced_worker(fleet: &Fleet, collector: &Collector) -> Worker {
    let mut call = Call::worker().args(["run", "--scratch"]).arg(fleet.world.folder());
    for (name, value) in collector.environment() {
        call = call.env(name, value);
    }
    fleet.worker_of(call, "--engine wait --wait 40 --batch-frames 5")
}

fn process(span: &Span) -> (String, String) {
    let says = |name: &str| span.resource[name].as_str().expect("a text").to_owned();
    (says("service.name"), says("service.instance.id"))
}

#[test]
fn one_trace_leads_through_servers_and_workers() {
    let Some(mut fleet) = Fleet::start() else { return };
    let collector = Collector::start();
    let servers = [(); 2].map(|()| traced_server(&mut fleet, &collector));
    let workers = [(); 2].map(|()| traced_worker(&fleet, &collector));
    let film = fleet.world.path("film.mp4");
    // One of the two schedules, and either takes requests: jobs of both, so that one of them crosses.
    let jobs = servers.each_ref().map(|server| {
        let job = Collector::submit(server.client(), &film, "?format=mkv&codec=ffv1");
        server.client().done(&job);
        job
    });
    let trace = collector.until(CALLER.0, |trace| {
        trace.named("end").len() == 2 && trace.named("assemble").len() == 2 && trace.named("upscale").len() == 20
    });
    trace.assert_whole(CALLER.1);
    for job in &jobs {
        let of_job = |span: &&&Span| span.says("clearfleet.job") == job.as_str();
        let requests = trace.named("POST /v1/jobs");
        let request = requests.iter().find(of_job).expect("the request");
        assert_eq!(request.parent, CALLER.1);
        let tasks = trace.beneath(request);
        let of_name = |name: &str| tasks.named(name).iter().filter(of_job).count();
        assert_eq!(
            ["plan", "upscale", "assemble", "end"].map(of_name),
            [1, 10, 1, 1],
            "{tasks:#?}"
        );
    }
    let processes = |name: &str| -> BTreeSet<_> { trace.named(name).into_iter().map(process).collect() };
    let batches = processes("upscale");
    assert_eq!(batches.len(), workers.len(), "{batches:?}");
    assert!(
        batches.iter().all(|(service, _)| service == "clearfleet-worker"),
        "{batches:?}"
    );
    let requests = processes("POST /v1/jobs");
    assert_eq!(requests.len(), servers.len(), "{requests:?}");
    // One of them schedules, and says how both jobs ended.
    let ends = processes("end");
    assert_eq!(ends.len(), 1, "{ends:?}");
    assert!(ends.is_subset(&requests), "{ends:?} {requests:?}");
    let stages = trace.named("infer").len();
    assert_eq!(stages, 20, "{trace:#?}");
    drop(workers);
}
