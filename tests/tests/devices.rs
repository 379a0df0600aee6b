//! Several devices share one video.

use clearfleet_tests::{Call, World, decoded, film};

/// The engine `wait` stands in for as many devices as one likes: here each frame keeps one busy for 60 ms, so that two
/// need a good deal less than one, whatever else the machine does.
fn upscaled(world: &World, result: &str, devices: &str) -> f64 {
    let ended = Call::new()
        .within(world.folder())
        .args(["upscale", "film.mkv", result, "--codec", "ffv1", "--json"])
        .args([
            "--engine",
            "wait",
            "--wait",
            "60",
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

#[test]
fn two_devices_make_what_one_makes() {
    let world = World::new();
    film(&world.path("film.mkv"), 60, &["-g", "12"]);
    let one = upscaled(&world, "one.mkv", "0");
    let two = upscaled(&world, "two.mkv", "0,3");
    let (a, b) = (decoded(&world.path("one.mkv"), 0), decoded(&world.path("two.mkv"), 0));
    assert_eq!((a.pts, a.sums), (b.pts, b.sums));
    // 60 frames of 60 ms cannot be done sooner by one; by two they can.
    assert!(one >= 3.6, "{one} s");
    assert!(two < 3.6, "two devices took {two} s");
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
