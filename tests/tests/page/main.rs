//! The page, as people use it: in Chromium, against a server of its own.

mod preview;
mod watch;

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clearfleet_tests::{Server, World, film, in_chromium, photo};
use serde_json::{Value, json};

/// Where the pictures that scripts take go, for people to look at: this folder, or the test's own, which goes with it.
const PICTURES: &str = "CLEARFLEET_PICTURES";

/// A server whose film of 60 frames takes two seconds in twelve batches.
const UNHURRIED: &str = "--engine wait --wait 30 --batch-frames 5";

fn pictures(world: &World) -> PathBuf {
    std::env::var_os(PICTURES).map_or_else(|| world.path("pictures"), PathBuf::from)
}

/// A file that is dropped on the page.
fn dropped(path: &Path, media_type: &str) -> Value {
    let content = std::fs::read(path).expect("the file can be read");
    let name = path.file_name().and_then(|name| name.to_str());
    json!({"name": name, "type": media_type, "base64": STANDARD.encode(content)})
}

fn some_photo(world: &World) -> Value {
    let path = world.path("photo.png");
    photo(&path);
    dropped(&path, "image/png")
}

fn some_film(world: &World) -> Value {
    let path = world.path("film.mp4");
    film(&path, 60, &["-c:v", "libx264", "-pix_fmt", "yuv420p"]);
    dropped(&path, "video/mp4")
}

/// Whether the program has the page: it does after `make page`.
fn has_page(server: &Server) -> bool {
    let has_page = server.client().get("/").text().contains("/assets/");
    if !has_page {
        println!("skipped: the program has no page (make page)");
    }
    has_page
}

/// Runs a script on the page; what it found. Nothing where that is not possible here.
fn run(script: &str, server: &Server, world: &World, mut input: Value) -> Option<Value> {
    if !has_page(server) {
        return None;
    }
    input["url"] = json!(server.client().url());
    input["pictures"] = json!(pictures(world));
    let found = in_chromium(script, &input)?;
    assert_eq!(found["faults"], json!([]), "{script}");
    Some(found)
}

#[test]
fn files_are_dropped_watched_compared_downloaded_and_deleted() {
    let world = World::new();
    let server = Server::with(&world.path("data"), UNHURRIED);
    let files = json!({"files": [some_photo(&world), some_film(&world)]});
    let Some(found) = run("page-work.mjs", &server, &world, files) else {
        return;
    };
    let nothing = json!({"empty": [], "settings": [], "paused": [], "compare": []});
    assert_eq!(found["barriers"], nothing, "what keeps some people out");
    assert_eq!(
        found["refusal"],
        "notes.txt was not added: it is neither a photo nor a video that this server reads."
    );
    assert_eq!(found["added"], json!(["photo.png", "film.mp4"]));
    assert_eq!((&found["wish"], &found["cells"]), (&json!("×3"), &json!(12)));
    assert_eq!(found["announced"], "film.mp4 is done");

    assert_eq!(found["downloads"], found["results"]);
    assert_eq!(found["downloads"][0]["name"], "film-2x.mp4");
    assert_eq!(found["downloads"][1]["name"], "photo-3x.png");
    assert_eq!(found["redone"], "photo-4x.png");
    assert_eq!(found["left"], json!(["photo.png"]));
    assert_eq!(
        server.client().get("/v1/jobs").json()["jobs"].as_array().unwrap().len(),
        1
    );

    // 24×16 at ×3; the halves of a pair show the same moment.
    assert_eq!(
        found["compared"]["whole"],
        json!({"clip": "inset(0px 0px 0px 50%)", "widths": [72, 72]})
    );
    assert_eq!(found["compared"]["closer"]["clip"], "inset(0px 0px 0px 49%)");
    let widths: Vec<u64> = serde_json::from_value(found["compared"]["closer"]["widths"].clone()).unwrap();
    assert!(widths[0] == widths[1] && widths[0] > 80, "both move as one: {widths:?}");
    let means: Vec<f64> = serde_json::from_value(found["means"].clone()).unwrap();
    assert!(means[0] > 20.0 && (means[0] - means[1]).abs() < 2.0, "{means:?}");
}

#[test]
fn what_goes_wrong_is_said_and_can_be_tried_again() {
    let world = World::new();
    let server = Server::start(&world.path("data"));
    let noise: Vec<u8> = (0..3000_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let broken = dropped(&world.file("broken.mp4", noise), "video/mp4");
    let mislabelled = dropped(&world.file("mislabelled.mp4", "only words\n".repeat(99)), "video/mp4");
    let input = json!({"broken": broken, "mislabelled": mislabelled, "photo": some_photo(&world)});
    let Some(found) = run("page-failures.mjs", &server, &world, input) else {
        return;
    };
    assert_eq!(
        found["reason"],
        "the file is no picture and no video that Clearfleet reads"
    );
    assert_eq!(
        found["refused"],
        "Not taken\nthe name ends in .mp4, and the content is text"
    );
    assert_eq!(found["sending"], json!(["uploading", "failed"]));
    assert_eq!(found["names"], json!(["photo.png", "broken.mp4"]));
    assert_eq!(found["barriers"], json!([]));
}

/// The same film with so many bytes more that its upload takes seconds at the script's pace.
fn long_film(world: &World, name: &str, filling: u32) -> Value {
    let path = world.path(name);
    film(&path, 5, &["-c:v", "libx264", "-pix_fmt", "yuv420p"]);
    let mut bytes = std::fs::read(&path).expect("the film can be read");
    // A box that players pass over.
    bytes.extend((filling + 8).to_be_bytes());
    bytes.extend(b"free");
    bytes.resize(bytes.len() + filling as usize, 0);
    dropped(&world.file(name, bytes), "video/mp4")
}

#[test]
fn an_upload_goes_on_after_a_kill_and_after_the_page_was_left() {
    let world = World::new();
    let mut server = Server::start(&world.path("data"));
    let port = |server: &Server| server.client().host().rsplit(':').next().unwrap().to_owned();
    let port_file = world.file("port", port(&server));
    let input = json!({
        "portFile": port_file,
        "film": long_film(&world, "film.mp4", 12 << 20),
        "other": long_film(&world, "other.mp4", 12 << 20),
        "pictures": pictures(&world),
    });
    if !has_page(&server) {
        return;
    }
    let found = std::thread::scope(|scope| {
        let script = scope.spawn(|| in_chromium("page-resume.mjs", &input));
        while !script.is_finished() && !is_under_way(&server) {
            std::thread::sleep(Duration::from_millis(50));
        }
        server.kill();
        server.start_again();
        world.file("port", port(&server));
        script.join().unwrap()
    });
    let Some(found) = found else { return };
    assert_eq!(found["faults"], json!([]));
    assert_eq!(found["hint"], "Add the same file again, and it goes on where it was.");
    assert!(found["begun"].as_u64().unwrap() > 0, "{found}");
    for (jobs, count) in [("afterKill", 1), ("afterReload", 2)] {
        let jobs = found[jobs].as_array().unwrap();
        assert_eq!(jobs.len(), count, "an upload went on as another");
        assert!(jobs.iter().all(|job| job["state"] == "done"), "{jobs:?}");
    }
    for name in ["film.mp4", "other.mp4"] {
        let jobs = server.client().get(&format!("/v1/jobs?q={name}")).json();
        let source = server
            .client()
            .get(jobs["jobs"][0]["links"]["source"].as_str().unwrap());
        assert!(
            source.body == std::fs::read(world.path(name)).unwrap(),
            "{name} came otherwise"
        );
    }
}

/// Whether some of an upload has come, and not all.
fn is_under_way(server: &Server) -> bool {
    let jobs = server.client().get("/v1/jobs").json();
    jobs["jobs"][0]["state"] == "uploading" && jobs["jobs"][0]["source"]["received"].as_u64() > Some(0)
}

#[test]
fn it_speaks_korean_and_english_by_day_and_by_night() {
    let world = World::new();
    let server = Server::start(&world.path("data"));
    let Some(found) = run(
        "page-languages.mjs",
        &server,
        &world,
        json!({"photo": some_photo(&world)}),
    ) else {
        return;
    };
    assert_eq!((&found["language"], &found["done"]), (&json!("ko"), &json!("완료")));
    assert_eq!(found["remembered"], "en");
    assert_eq!(found["width"], 390, "the page is wider than the phone");
    assert_eq!(found["night"], "rgb(18, 19, 21)");
    assert_eq!(
        (&found["day"], &found["stillDay"]),
        (&json!("rgb(246, 246, 244)"), &json!("rgb(246, 246, 244)"))
    );
    assert_eq!(found["barriers"], json!({"night": [], "day": []}));
}

#[test]
fn a_key_lets_in_until_it_is_taken_back() {
    let world = World::new();
    let server = Server::with(&world.path("data"), "--engine bicubic --require-keys");
    let key = std::fs::read_to_string(world.path("data").join("admin.key")).unwrap();
    let Some(found) = run("page-keys.mjs", &server, &world, json!({"key": key.trim()})) else {
        return;
    };
    assert_eq!(
        found["refused"],
        "This key opens nothing. Look whether all of it was copied."
    );
    assert_eq!(
        found["cookie"],
        json!({"httpOnly": true, "sameSite": "Strict", "path": "/v1"})
    );
    assert_eq!((&found["script"], &found["cookies"]), (&json!(""), &json!([])));
    assert_eq!(found["barriers"], json!([]));
}

#[test]
fn a_list_of_two_thousand_jobs_costs_as_much_as_a_screen_of_them() {
    let world = World::new();
    let server = Server::start(&world.path("data"));
    let Some(found) = run("page-many.mjs", &server, &world, json!({})) else {
        return;
    };
    assert_eq!(found["last"], "holiday-1999.png");
    assert!(found["rows"].as_u64().unwrap() < 60, "{found}");
    assert_eq!(found["found"], json!(["holiday-1995.png"]));
}
