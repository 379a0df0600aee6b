//! The OpenAPI document against the server: schemathesis makes requests of it, valid ones and others, and looks at every
//! answer.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use clearfleet_tests::{Server, World, photo};
use serde_json::json;

/// What requests are made from: the same ones every time.
const SEED: &str = "20261124";

/// Requests that are made of one operation and one way to make them, at most.
const EXAMPLES: &str = "25";

/// How long all of it may take, in seconds.
const AT_MOST: &str = "75";

/// What every answer must be.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance";

/// Bytes are bytes, whatever a protocol calls them.
const HOOKS: &str = "import schemathesis
schemathesis.serializer.alias('application/offset+octet-stream', 'application/octet-stream')
";

/// The program, or nothing where it is not installed.
fn schemathesis() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join("schemathesis"))
        .find(|file| file.is_file());
    if found.is_none() {
        println!("skipped: there is no schemathesis on PATH; `deploy/setup.sh test` installs it");
    }
    found
}

#[test]
fn the_server_does_what_its_document_says() {
    let Some(program) = schemathesis() else { return };
    let world = World::new();
    photo(&world.path("photo.png"));
    // What this machine has no room for is refused by its size, and not by what is free at the moment.
    let mut server = Server::with(&world.path("data"), "--engine bicubic --max-bytes 100000000");
    let client = server.client().clone();
    let job = client.submit_with(&world.path("photo.png"), &json!({}));
    client.done(&job);
    std::fs::write(world.path("hooks.py"), HOOKS).expect("a file of the test's own");
    let ended = Command::new("timeout")
        .args(["--kill-after=5", AT_MOST])
        .arg(program)
        .args(["run", &format!("{}/openapi.json", client.url())])
        .args([
            "--checks",
            CHECKS,
            "--mode",
            "all",
            "--phases",
            "examples,coverage,fuzzing",
        ])
        .args([
            "--max-examples",
            EXAMPLES,
            "--seed",
            SEED,
            "--generation-deterministic",
            "--workers",
            "2",
        ])
        .args([
            "--request-timeout",
            "10",
            "--suppress-health-check",
            "all",
            "--no-color",
        ])
        // Streams do not end.
        .args(["--exclude-path-regex", "events$"])
        .env("SCHEMATHESIS_HOOKS", "hooks.py")
        .current_dir(world.folder())
        .output()
        .expect("schemathesis can be started");
    let said = String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(0), "{said}");
    println!("{}", said.lines().rev().take(12).collect::<Vec<_>>().join("\n"));
    // Whatever it did, to the job that was there too: the server does another one.
    client.get("/readyz").expect(200);
    let another = client.submit_with(&world.path("photo.png"), &json!({}));
    client.done(&another);
    client.assert_verified(&another);
    let stopped = server.stop();
    assert!(stopped.took > Duration::from_secs(2), "nothing was tried");
    for fault in ["panicked", " ERROR "] {
        assert!(!stopped.stderr.contains(fault), "{}", stopped.stderr);
    }
}
