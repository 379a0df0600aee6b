//! `clearfleet submit` and `clearfleet watch` against a server.

use serde_json::json;

use clearfleet_tests::{Call, World, decoded, photo};

use super::{Setting, assert_same, upscaled};

#[test]
fn submit_waits_and_brings_results() {
    let setting = Setting::new();
    let out = setting.world.path("out");
    let call = setting
        .server
        .call("submit")
        .args(["--json", "--wait", "--format", "mkv", "--codec", "ffv1", "-o"]);
    let ended = call.arg(&out).arg(setting.film()).succeed();
    let finished = ended.event("finished");
    assert_eq!(finished["output"], out.join("film-2x.mkv").display().to_string());
    assert_same(&decoded(&out.join("film-2x.mkv"), 0), &setting.expected(&[]));
    let job = ended.event("submitted")["job"].as_str().expect("an id").to_owned();
    assert_eq!(setting.server.client().job(&job)["state"], "done");
    let uploads = ended.named("progress");
    assert!(
        uploads
            .iter()
            .any(|event| event["state"] == "uploading" && event["unit"] == "bytes"),
        "{ended:#?}"
    );
    // It replaces nothing that is there.
    let again = setting.server.call("submit").args(["--json", "--wait", "-o"]).arg(&out);
    let again = again
        .args(["--format", "mkv", "--codec", "ffv1"])
        .arg(setting.film())
        .run();
    assert_eq!(
        (again.code(), &again.event("failed")["code"]),
        (Some(4), &json!("output_exists")),
        "{again:#?}"
    );
}

#[test]
fn submit_goes_on_after_a_file_that_fails() {
    let setting = Setting::new();
    let bad = setting.world.file("bad.mp4", "Dear diary,\ntoday I made no film.\n");
    let cut = setting
        .world
        .file("cut.png", &std::fs::read(setting.photo()).expect("the photo")[..100]);
    let out = setting.world.path("out");
    let call = setting.server.call("submit").args(["--json", "--wait", "-o"]).arg(&out);
    let ended = call.args([&bad, &cut, &setting.photo()]).run();
    // The exit code is that of the first failure: an input that is refused.
    assert_eq!(ended.code(), Some(3), "{ended:#?}");
    let failed = ended.named("failed");
    let codes: Vec<&serde_json::Value> = failed.iter().map(|event| &event["code"]).collect();
    assert_eq!(codes, ["input_mislabelled", "input_damaged"]);
    assert_eq!(
        ended.event("summary"),
        json!({ "event": "summary", "finished": 1, "failed": 2 })
    );
    let result = std::fs::read(out.join("photo-2x.png")).expect("a result");
    assert!(result == upscaled(&setting.world, &setting.photo()), "another result");
    let names = setting.world.names();
    let brought: Vec<&String> = names.iter().filter(|name| name.starts_with("out/")).collect();
    assert_eq!(brought, ["out/", "out/photo-2x.png"]);
}

#[test]
fn submit_says_that_there_is_no_server() {
    let world = World::new();
    photo(&world.path("photo.png"));
    // Not the port of a server that was stopped: another test's may have it by now.
    let call = Call::new().arg("submit").env("CLEARFLEET_SERVER", "http://127.0.0.1:1");
    let ended = call.arg("--json").arg(world.path("photo.png")).run();
    assert_eq!(
        (ended.code(), &ended.event("failed")["code"]),
        (Some(5), &json!("unavailable")),
        "{ended:#?}"
    );
}

/// By path, size and time; a new start finds what the one before has done.
#[test]
fn watch_brings_each_file_once() {
    let setting = Setting::new();
    let (folder, out) = (setting.world.inner("in"), setting.world.path("out"));
    setting.world.inner("in/inner");
    photo(&folder.join("inner/a.png"));
    photo(&folder.join("b.png"));
    std::fs::write(folder.join("c.mp4"), "no film").expect("a file of the test's own");
    let watch = || {
        let call = setting
            .server
            .call("watch")
            .args(["--once", "--json", "--settle", "0.1"]);
        call.arg(&folder).arg(&out).run()
    };
    let first = watch();
    assert_eq!(first.named("finished").len(), 2, "{first:#?}");
    assert_eq!(first.event("failed")["code"], "input_mislabelled");
    assert_eq!(first.code(), Some(3));
    let expected = upscaled(&setting.world, &folder.join("b.png"));
    for name in ["inner/a.png", "b.png"] {
        let result = std::fs::read(out.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(result == expected, "{name}");
    }
    let said = std::fs::read_to_string(out.join("c.mp4.error.txt")).expect("why");
    assert!(said.contains("[input_mislabelled]"), "{said}");
    let jobs = setting.server.client().get("/v1/jobs").json()["jobs"]
        .as_array()
        .map(Vec::len);
    assert_eq!(jobs, Some(2));
    // Another start finds nothing to do, and one new file.
    assert_eq!(watch().named("submitted"), Vec::<serde_json::Value>::new());
    photo(&folder.join("d.png"));
    let third = watch();
    assert_eq!(third.event("submitted")["input"], "d.png");
    assert!(out.join("d.png").is_file());
}
