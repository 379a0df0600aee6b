//! Several devices share one video.

use clearfleet_tests::{Call, World, decoded, film};

/// The film's result with the engine `wait`, which stands in for as many devices as one likes: each frame keeps one busy
/// for this many milliseconds. How long it took, in seconds.
fn upscaled(world: &World, result: &str, devices: &str, wait: &str) -> f64 {
    let ended = Call::new()
        .within(world.folder())
        .args(["upscale", "film.mkv", result, "--codec", "ffv1", "--json"])
        .args([
            "--engine",
            "wait",
            "--wait",
            wait,
            "--batch-frames",
            "5",
            "--devices",
            devices,
        ])
        .succeed();
    let finished = ended.event("finished");
    assert_eq!(finished["frames"], 60);
    finished["seconds"].as_f64().expect("how long it took")
}

/// One device cannot do 60 frames of 200 ms in less than 12 s; two need 6 s and what the machine takes for the rest, which
/// may be slow: it has as long again.
#[test]
fn two_devices_make_what_one_makes() {
    let world = World::new();
    film(&world.path("film.mkv"), 60, &["-g", "12"]);
    upscaled(&world, "one.mkv", "0", "0");
    let seconds = upscaled(&world, "two.mkv", "0,3", "200");
    let (a, b) = (decoded(&world.path("one.mkv"), 0), decoded(&world.path("two.mkv"), 0));
    assert_eq!((a.pts, a.sums), (b.pts, b.sums));
    assert!((6.0..12.0).contains(&seconds), "two devices took {seconds} s");
}

#[test]
fn an_engine_of_the_processor_has_no_numbers() {
    let world = World::new();
    film(&world.path("film.mkv"), 2, &[]);
    let ended = Call::upscale()
        .within(world.folder())
        .args(["film.mkv", "out.mkv", "--devices", "0", "--json"])
        .run();
    assert_eq!(ended.code(), Some(4), "{ended:#?}");
    let failed = ended.event("failed");
    assert_eq!(failed["code"], "settings_invalid");
    assert!(
        failed["message"]
            .as_str()
            .is_some_and(|said| said.contains("leave --devices away")),
        "{failed}"
    );
    assert_eq!(world.names(), ["film.mkv"]);
}
