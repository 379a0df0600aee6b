//! Traces of a server that is alone: from the request to the result.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use clearfleet_tests::{CALLER, Collector, Server, Span, Traced, World, film, photo};
use serde_json::{Value, json};

/// What ending may take where a collector takes no spans: the three seconds that its last ones have, and what else a server
/// needs that has nothing to do. A request may take ten.
const ENDS_IN: Duration = Duration::from_secs(8);

/// A server whose spans go to a collector, and a film of 50 frames.
struct Setting {
    world: World,
    server: Server,
}

impl Setting {
    fn with(collector: &Collector, args: &str, more: &[(&str, &str)]) -> Self {
        let world = World::new();
        photo(&world.path("photo.png"));
        film(&world.path("film.mp4"), 50, &["-preset", "ultrafast"]);
        let mut server = collector.of(Server::prepared(&world.path("data"), args));
        for (name, value) in more {
            server = server.env(name, value);
        }
        server.start_again();
        Self { world, server }
    }

    /// Submits a file as somebody who traces; the job's id.
    fn submit(&self, name: &str, parameters: &str) -> String {
        Collector::submit(self.server.client(), &self.world.path(name), parameters)
    }

    fn spans(&self, outcome: &str) -> f64 {
        let series = format!("clearfleet_spans_total{{outcome=\"{outcome}\"}}");
        self.server.client().metric(&series).expect("a metric")
    }
}

/// The batches that were finished.
fn done(trace: &Traced) -> Vec<&Span> {
    let mut done = trace.named("upscale");
    done.retain(|span| span.says("clearfleet.outcome") == "done");
    done
}

#[test]
fn one_trace_leads_from_the_request_to_the_result() {
    let collector = Collector::start();
    let attributes = [("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")];
    let mut setting = Setting::with(&collector, "--engine bicubic --batch-frames 10", &attributes);
    let job = setting.submit("film.mp4", "?format=mkv&codec=ffv1");
    setting.server.client().done(&job);
    let trace = collector.until(CALLER.0, |trace| {
        trace.named("end").len() == 1 && trace.named("assemble").len() == 1 && done(trace).len() == 5
    });
    trace.assert_whole(CALLER.1);
    let request = trace.one("POST /v1/jobs");
    assert_eq!((request.parent.as_str(), request.kind), (CALLER.1, 2), "{request:#?}");
    for (name, value) in [
        ("http.request.method", json!("POST")),
        ("http.route", json!("/v1/jobs")),
        ("http.response.status_code", json!(201)),
        ("clearfleet.job", json!(job)),
    ] {
        assert_eq!(request.says(name), &value, "{name}");
    }
    let tasks = trace.beneath(request);
    assert_eq!(
        tasks.names(),
        [
            "assemble", "end", "plan", "upscale", "upscale", "upscale", "upscale", "upscale"
        ]
    );
    batches_have_their_stages(&trace, &job);
    let beneath = |name: &str| trace.beneath(trace.one(name));
    for (name, parts) in [
        ("plan", &["fetch", "ledger", "probe"][..]),
        ("assemble", &["check", "fetch", "probe", "read_back", "remux", "upload"]),
        ("end", &[]),
    ] {
        let found = beneath(name);
        assert_eq!(found.names(), parts, "{name}");
        assert!(found.0.iter().all(|span| span.is_within(trace.one(name))), "{trace:#?}");
    }
    let end = trace.one("end");
    assert_eq!(
        [end.says("clearfleet.state"), end.says("clearfleet.frames")],
        [&json!("done"), &json!(50)]
    );
    assert!(trace.0.iter().all(|span| span.error.is_none()), "{trace:#?}");
    // What asks how the job is has no part in it, and neither has what the exporter does.
    let all = collector.spans();
    let names: BTreeSet<&str> = all.iter().map(|span| span.name.as_str()).collect();
    assert!(names.iter().all(|name| !name.contains("traces")), "{names:?}");
    one_process_sent_them(&all);
    assert_eq!((setting.spans("failed"), setting.spans("dropped")), (0.0, 0.0));
    assert!(setting.spans("taken") >= trace.0.len() as f64);
    setting.server.stop();
}

/// Every batch once, with the frames that are its own, and beneath it what was done to them, at its time.
fn batches_have_their_stages(trace: &Traced, job: &str) {
    let mut ranges = BTreeSet::new();
    let mut fetches = 0;
    for batch in trace.named("upscale") {
        let number = batch.says("clearfleet.batch").as_u64().expect("a number");
        ranges.insert(number);
        for (name, value) in [
            ("clearfleet.job", json!(job)),
            ("clearfleet.frames.start", json!(number * 10)),
            ("clearfleet.frames.end", json!(number * 10 + 10)),
            ("clearfleet.class", json!("default")),
            ("clearfleet.lane", json!("bulk")),
            ("clearfleet.attempt", json!(1)),
            ("clearfleet.outcome", json!("done")),
        ] {
            assert_eq!(batch.says(name), &value, "{name}: {batch:#?}");
        }
        assert!(batch.says("clearfleet.generation").as_u64() >= Some(1), "{batch:#?}");
        assert!(batch.says("clearfleet.worker").is_string(), "{batch:#?}");
        let stages = trace.beneath(batch);
        let fetched = stages.named("fetch").len();
        fetches += fetched;
        let expected: &[&str] = match fetched {
            // Its bytes were read ahead.
            0 => &["decode", "encode", "infer", "upload"],
            _ => &["decode", "encode", "fetch", "infer", "upload"],
        };
        assert_eq!(stages.names(), expected);
        for stage in &stages.0 {
            let busy = stage.says("clearfleet.busy_seconds").as_f64().expect("a number");
            // Reads may overlap.
            let is_busy = busy > 0.0 && (stage.name == "fetch" || busy <= stage.seconds());
            assert!(is_busy && stage.is_within(batch), "{stage:#?} of {batch:#?}");
        }
        assert!(stages.one("decode").time.0 <= stages.one("infer").time.0);
        assert!(stages.one("infer").time.0 <= stages.one("encode").time.1);
    }
    assert_eq!(ranges, (0..5).collect());
    assert!(fetches > 0, "nobody read the source: {trace:#?}");
}

fn one_process_sent_them(spans: &[Span]) {
    let says = |name: &str| -> BTreeSet<String> {
        let values = spans.iter().map(|span| span.resource.get(name).unwrap_or(&Value::Null));
        values.map(ToString::to_string).collect()
    };
    assert_eq!(says("service.name"), ["\"clearfleet-api\"".to_owned()].into());
    assert_eq!(says("deployment.environment.name"), ["\"test\"".to_owned()].into());
    assert_eq!(says("service.instance.id").len(), 1);
    assert_eq!(says("service.version").len(), 1);
    assert!(!says("service.version").contains("null") && !says("service.instance.id").contains("null"));
}

/// The trace is kept with the job: a server that starts again goes on with it. What the one before gave back shows with why.
#[test]
fn a_trace_goes_on_after_a_restart() {
    let collector = Collector::start();
    let mut setting = Setting::with(&collector, "--engine wait --wait 400 --batch-frames 10", &[]);
    let job = setting.submit("film.mp4", "?format=mkv&codec=ffv1&until=0.8");
    let client = setting.server.client();
    client.until(&job, |job| job["progress"]["done"].as_u64() >= Some(1));
    // It would take four seconds, and has two.
    setting.server.restart();
    setting.server.client().done(&job);
    let trace = collector.until(CALLER.0, |trace| {
        trace.named("end").len() == 1 && done(trace).len() == 2
    });
    trace.assert_whole(CALLER.1);
    let batches = trace.named("upscale");
    let returned: Vec<_> = batches.iter().filter(|span| span.error.is_some()).collect();
    assert!(!returned.is_empty(), "{trace:#?}");
    for span in returned {
        assert_eq!(span.says("clearfleet.outcome"), "returned", "{span:#?}");
        let why = span.error.as_deref().unwrap_or_default();
        assert_eq!(why, "given back unfinished, since the worker ends");
        let again = done(&trace)
            .into_iter()
            .find(|done| done.says("clearfleet.batch") == span.says("clearfleet.batch"));
        let again = again.expect("it was done after all");
        assert!(again.time.0 >= span.time.1, "{span:#?} {again:#?}");
        let instance = |span: &Span| span.resource["service.instance.id"].clone();
        assert_ne!(instance(again), instance(span));
    }
    assert_eq!(trace.one("end").says("clearfleet.state"), "done");
}

/// A failure is told where it happened, and at the job's end.
#[test]
fn what_fails_says_so() {
    let collector = Collector::start();
    let setting = Setting::with(&collector, "--engine bicubic", &[]);
    let whole = std::fs::read(setting.world.path("photo.png")).expect("the photo");
    setting.world.file("photo.png", &whole[..whole.len() / 2]);
    let job = setting.submit("photo.png", "");
    assert_eq!(setting.server.client().ended(&job)["state"], "failed");
    let trace = collector.until(CALLER.0, |trace| {
        trace.named("end").len() == 1 && trace.named("picture").len() == 1
    });
    trace.assert_whole(CALLER.1);
    for name in ["picture", "end"] {
        let span = trace.one(name);
        assert_eq!(span.says("error.type"), "input_damaged", "{span:#?}");
        assert!(span.error.as_ref().is_some_and(|why| !why.is_empty()), "{span:#?}");
    }
    assert_eq!(trace.one("picture").says("clearfleet.outcome"), "failed");
}

/// Work does not wait for a collector that answers nobody, and neither does the server's end; few spans wait, and the others
/// are counted.
#[test]
fn a_silent_collector_holds_nothing_up() {
    let collector = Collector::silent();
    let mut setting = Setting::with(
        &collector,
        "--engine bicubic --batch-frames 5",
        &[("OTEL_BSP_MAX_QUEUE_SIZE", "4")],
    );
    let job = setting.submit("film.mp4", "");
    setting.server.client().done(&job);
    assert!(collector.requests() > 0, "nobody sent anything");
    assert_eq!(setting.spans("taken"), 0.0);
    assert!(setting.spans("dropped") > 0.0);
    let since = Instant::now();
    let ended = setting.server.stop();
    assert!(since.elapsed() < ENDS_IN, "{:?}", since.elapsed());
    assert_eq!(ended.stderr.matches("spans are lost").count(), 1, "{}", ended.stderr);
}

/// As little does it wait for one that is not there, which is said once in a while.
#[test]
fn a_collector_that_is_away_holds_nothing_up() {
    let collector = Collector::start();
    let nowhere = [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:1/v1/traces"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "300"),
    ];
    let mut setting = Setting::with(&collector, "--engine bicubic --batch-frames 5", &nowhere);
    let job = setting.submit("film.mp4", "");
    setting.server.client().done(&job);
    let since = Instant::now();
    while setting.spans("failed") < 10.0 {
        assert!(since.elapsed() < clearfleet_tests::DEADLINE, "spans do not fail");
        std::thread::sleep(Duration::from_millis(50));
    }
    let since = Instant::now();
    let ended = setting.server.stop();
    assert!(since.elapsed() < ENDS_IN, "{:?}", since.elapsed());
    assert_eq!(ended.stderr.matches("spans are lost").count(), 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("Connection refused"), "{}", ended.stderr);
    assert_eq!(collector.requests(), 0);
}

/// Without a collector, or where traces are off, nothing is sent and nothing runs for it.
#[test]
fn nothing_is_traced_unless_it_is_asked_for() {
    let collector = Collector::start();
    let mut setting = Setting::with(&collector, "--engine bicubic", &[("OTEL_SDK_DISABLED", "true")]);
    let job = setting.submit("photo.png", "");
    setting.server.client().done(&job);
    assert_eq!(setting.server.client().metric("clearfleet_spans_total"), None);
    let tasks = std::fs::read_dir(format!("/proc/{}/task", setting.server.running().pid())).expect("its threads");
    for task in tasks.flatten() {
        // One may have ended just now.
        let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        assert!(!name.starts_with("OpenTelemetry"), "{name}");
    }
    setting.server.stop();
    assert_eq!(collector.requests(), 0);
}
