//! Films that are watched in the page while they are made.

use clearfleet_tests::{Server, World, film_of};
use serde_json::{Value, json};

use super::{dropped, run};

/// Seven frames a second, which is less than a third of the film's, in batches of 0.4 seconds.
const SLOWER: &str = "--engine wait --wait 150 --batch-frames 10";
/// Frames of a film of 25 a second.
const FRAMES: u64 = 250;
/// Those of one that lasts 16 seconds: so much is left of it behind a jump that it does not end while one looks.
const LONG: u64 = 400;

fn a_film(world: &World, name: &str, frames: u64) -> Value {
    let path = world.path(name);
    film_of(&path, "320x180", frames, &["-preset", "ultrafast"]);
    dropped(&path, "video/mp4")
}

/// Whether a run of batches holds one.
fn holds(runs: &Value, batch: u64) -> bool {
    let runs: Vec<(u64, u64)> = serde_json::from_value(runs.clone()).expect("runs");
    runs.iter().any(|(from, to)| (*from..*to).contains(&batch))
}

#[test]
fn a_film_is_watched_while_it_is_made_and_the_fleet_goes_where_one_looks() {
    let world = World::new();
    let server = Server::with(&world.path("data"), SLOWER);
    let film = a_film(&world, "film.mp4", LONG);
    let input = json!({ "film": film, "jump": 12.1, "part": 30, "parts": 40, "end": 16.0, "near": 3.0 });
    let Some(found) = run("page-watch.mjs", &server, &world, input) else {
        return;
    };
    assert_eq!(
        (&found["early"], &found["late"]),
        (&json!(false), &json!(true)),
        "the player is loaded when it is first needed"
    );
    assert_eq!(found["size"], json!([640, 360]));
    assert_eq!(
        found["asked"],
        json!({ "init.mp4": 3, "1.m4s": 3 }),
        "what is not there is asked for again"
    );
    let said = found["said"].as_str().unwrap();
    assert!(
        said.starts_with("Part ") && said.contains(" of 40 is being made\nIt is done before others"),
        "{said}"
    );
    let (waits, expected) = (found["waits"].as_f64().unwrap(), found["expected"].as_f64().unwrap());
    assert!(
        expected > 10.0 && (waits - expected).abs() < 5.0,
        "{waits} s until it plays through, which is {expected} s"
    );

    let jumped = &found["jumped"];
    assert_eq!((&jumped["state"], &found["isThere"]), (&json!("running"), &json!(true)));
    assert!(!holds(&jumped["finished"], 27), "{jumped} was made before its turn");
    assert!(
        holds(&found["runs"], 30) && !holds(&found["runs"], 27),
        "{}",
        found["runs"]
    );
    let cells = &found["cells"];
    assert_eq!((&cells[30], &cells[27]), (&json!(true), &json!(false)), "{cells}");

    let stepped = found["stepped"].as_f64().unwrap();
    assert!((stepped - 0.8).abs() < 0.05, "an arrow key moved by {stepped} s");
    assert_eq!(found["width"], 390, "the player is wider than the phone");
    let ended = found["ended"].as_f64().unwrap();
    assert!((ended - 16.0).abs() < 0.1, "it ended at {ended} s");
    assert_eq!(found["barriers"], json!({ "light": [], "dark": [] }));
}

#[test]
fn what_a_browser_does_not_play_is_compared_and_it_is_said_why() {
    let world = World::new();
    let server = Server::start(&world.path("data"));
    for (name, settings) in [
        ("archive.mkv", json!({ "format": "mkv", "codec": "ffv1" })),
        ("hevc.mp4", json!({ "codec": "h265", "preset": "ultrafast" })),
    ] {
        let path = world.path(name);
        film_of(&path, "64x48", 20, &["-preset", "ultrafast"]);
        server.client().submit_with(&path, &settings);
    }
    let input = json!({ "names": ["archive.mkv", "hevc.mp4"] });
    let Some(found) = run("page-unplayable.mjs", &server, &world, input) else {
        return;
    };
    let why = "This browser does not play this format. So here is a frame of each part, before and after.";
    assert_eq!(found["shown"]["archive.mkv"], why);
    let of_hevc = if found["playsHevc"] == true { "" } else { why };
    assert_eq!(found["shown"]["hevc.mp4"], of_hevc);
}

/// The sides show the same frame: a frame earlier and a frame later they are less alike.
fn assert_same_frame(sides: &Value) {
    assert_eq!(sides["widths"], json!([320, 640]));
    let differences: [f64; 3] = serde_json::from_value(sides["differences"].clone()).expect("three numbers");
    let [earlier, own, later] = differences;
    assert!(own < 0.9 * earlier && own < 0.9 * later, "{differences:?}");
}

#[test]
fn source_and_result_play_as_one() {
    let world = World::new();
    let server = Server::with(&world.path("data"), "--engine wait --wait 60 --batch-frames 25");
    let film = a_film(&world, "film.mp4", FRAMES);
    let input = json!({ "film": film, "early": 0.5, "late": 6.02 });
    let Some(found) = run("page-together.mjs", &server, &world, input) else {
        return;
    };
    assert_eq!(found["state"], "running", "the stream is compared");
    assert_same_frame(&found["early"]);
    assert_same_frame(&found["late"]);
    let moved: [Vec<f64>; 2] = serde_json::from_value(found["apart"].clone()).expect("seconds");
    for apart in moved {
        assert!(apart[0] > 0.1, "they were moved apart: {apart:?}");
        assert!(apart[40..].iter().all(|apart| *apart < 0.04), "{apart:?}");
    }
    assert_eq!(found["canvases"], 2, "the frames of a part");
    assert_eq!(found["barriers"], json!([]));
}
