//! What a call does when all is well: which files it makes, what it prints, and how it ends.

use clearfleet_tests::{Call, Ended, World, decoded, ffmpeg, film, photo, probe};
use serde_json::{Value, json};

/// A folder with a photo, a film and a text, and another folder in it with a damaged film and a photo.
fn with_folder() -> World {
    let world = World::new();
    world.inner("in/inner");
    photo(&world.path("in/photo.png"));
    film(&world.path("in/film.mov"), 3, &["-preset", "ultrafast"]);
    world.file("in/notes.txt", "Dear diary,\n");
    world.file("in/inner/.hidden.png", "");
    let whole = std::fs::read(world.path("in/film.mov")).expect("made just now");
    world.file("in/inner/damaged.mp4", &whole[..whole.len() / 2]);
    photo(&world.path("in/inner/photo.png"));
    photo(&world.path("extra.png"));
    world
}

/// Name of the event and of its input, for those that end an input.
fn endings(ended: &Ended) -> Vec<(String, String)> {
    let text = |event: &Value, field: &str| event[field].as_str().unwrap_or("-").to_owned();
    let ending = |event: &Value| ["finished", "failed", "skipped"].contains(&&*text(event, "event"));
    let events = ended.events();
    let endings = events.iter().filter(|event| ending(event));
    endings
        .map(|event| (text(event, "event"), text(event, "input")))
        .collect()
}

/// Names below a folder of the world, without those of folders.
fn files(world: &World, folder: &str) -> Vec<String> {
    let mut names = world.names();
    names.retain(|name| name.starts_with(folder) && !name.ends_with('/'));
    names
}

#[test]
fn folders_and_files_go_into_a_folder() {
    let world = with_folder();
    let call = Call::upscale().arg("--json").args(["in", "extra.png", "out"]);
    let ended = call.within(world.folder()).run();
    let expected = [
        ("finished", "in/film.mov"),
        ("failed", "in/inner/damaged.mp4"),
        ("finished", "in/inner/photo.png"),
        ("skipped", "in/notes.txt"),
        ("finished", "in/photo.png"),
        ("finished", "extra.png"),
    ];
    let expected = expected.map(|(event, input)| (event.to_owned(), input.to_owned()));
    assert_eq!(endings(&ended), expected, "{ended:#?}");
    let counts = json!({ "event": "summary", "finished": 4, "failed": 1, "skipped": 1 });
    assert_eq!(ended.event("summary"), counts);
    assert_eq!(ended.code(), Some(3), "the damaged film's");
    let results = [
        "out/extra-2x.png",
        "out/film-2x.mov",
        "out/inner/photo-2x.png",
        "out/photo-2x.png",
    ];
    assert_eq!(files(&world, "out/"), results);
    for (result, frames) in results.into_iter().zip([1, 3, 1, 1]) {
        assert_eq!(decoded(&world.path(result), 0).pts.len(), frames, "{result}");
    }
}

#[test]
fn one_file_goes_into_a_folder_with_a_slash() {
    let world = with_folder();
    let call = Call::upscale().args(["--size", "30x20", "--container", "mkv", "in/photo.png", "out/"]);
    call.within(world.folder()).succeed();
    let call = Call::upscale().args(["--scale", "1.5", "--container", "mkv", "in/film.mov", "out/"]);
    call.within(world.folder()).succeed();
    assert_eq!(files(&world, "out/"), ["out/film-1.5x.mkv", "out/photo-30x20.png"]);
    assert_eq!(size(&world, "out/film-1.5x.mkv"), (96, 72));
    assert_eq!(size(&world, "out/photo-30x20.png"), (30, 20));
}

/// Nothing that a folder's results were made of is taken for a source, not even where they lie within it.
#[test]
fn results_within_a_source_folder_are_no_sources() {
    let world = with_folder();
    let call = || Call::upscale().args(["--json", "--overwrite", "in", "in/out"]);
    let first = call().within(world.folder()).run();
    let second = call().within(world.folder()).run();
    assert_eq!(endings(&first), endings(&second));
    assert_eq!(files(&world, "in/out/").len(), 3);
}

#[test]
fn the_exit_code_is_that_of_the_first_failure() {
    let world = with_folder();
    world.inner("out");
    world.file("out/extra-2x.png", "precious");
    let call = |inputs: [&str; 2]| {
        let call = Call::upscale().arg("--json").args(inputs).arg("out");
        call.within(world.folder()).run()
    };
    let (damaged, exists) = ("in/inner/damaged.mp4", "extra.png");
    for (inputs, code) in [([damaged, exists], 3), ([exists, damaged], 4)] {
        let ended = call(inputs);
        assert_eq!(ended.code(), Some(code), "{ended:#?}");
        assert_eq!(ended.event("summary")["failed"], 2);
    }
}

fn size(world: &World, name: &str) -> (u64, u64) {
    let stream = &probe(&world.path(name), &["-show_streams"])["streams"][0];
    let edge = |name: &str| stream[name].as_u64().expect("a size");
    (edge("width"), edge("height"))
}

#[test]
fn a_stretch_is_its_frames_and_no_other() {
    let world = World::new();
    film(&world.path("film.mp4"), 50, &["-g", "12"]);
    let call = || {
        Call::upscale()
            .within(world.folder())
            .args(["--codec", "ffv1", "--json", "film.mp4"])
    };
    call().arg("whole.mkv").succeed();
    let made = call()
        .args(["stretch.mkv", "--start", "0.4", "--end", "0:01.2"])
        .succeed();
    assert_eq!(made.event("finished")["frames"], 20);
    let (whole, stretch) = (
        decoded(&world.path("whole.mkv"), 0),
        decoded(&world.path("stretch.mkv"), 0),
    );
    assert_eq!(stretch.sums, whole.sums[10..30]);
    let starts: Vec<f64> = (0..20).map(|n| whole.seconds(n + 10) - whole.seconds(10)).collect();
    for (n, start) in starts.into_iter().enumerate() {
        assert!((stretch.seconds(n) - start).abs() <= stretch.tick, "frame {n}");
    }
    let verify = || {
        Call::new()
            .args(["verify", "film.mp4", "stretch.mkv"])
            .within(world.folder())
    };
    assert_eq!(verify().args(["--start", "0.4", "--end", "1.2"]).run().code(), Some(0));
    assert_eq!(verify().args(["--start", "0.4", "--end", "1.3"]).run().code(), Some(6));
    assert_eq!(verify().run().code(), Some(6), "of the whole film");
}

#[test]
fn sizes_are_exact() {
    let world = World::new();
    photo(&world.path("photo.png"));
    film(&world.path("film.mp4"), 3, &[]);
    let call = |size| {
        Call::upscale()
            .within(world.folder())
            .args(["--overwrite", "--json", "--size", size])
    };
    call("31x29").args(["photo.png", "out.png"]).succeed();
    assert_eq!(size(&world, "out.png"), (31, 29));
    call("100x76").args(["film.mp4", "out.mp4"]).succeed();
    assert_eq!(size(&world, "out.mp4"), (100, 76));
    // What H.264 cannot hold is made even, and that is said.
    let made = call("101x77").args(["film.mp4", "out.mp4"]).succeed();
    assert_eq!(size(&world, "out.mp4"), (102, 78));
    let notes = made.event("finished")["notes"].to_string();
    assert!(notes.contains("1 columns and 1 rows are added"), "{notes}");
}

#[test]
fn events_tell_the_whole_story_of_a_film() {
    let world = World::new();
    film(&world.path("film.mp4"), 40, &[]);
    let call = Call::new().args([
        "upscale",
        "--engine",
        "wait",
        "--wait",
        "60",
        "--batch-frames",
        "16",
        "--json",
    ]);
    let ended = call.args(["film.mp4", "out.mkv"]).within(world.folder()).succeed();
    assert_eq!(ended.stderr, "", "one voice only");

    let events = ended.events();
    let names: Vec<&str> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    let mut steps = names.clone();
    steps.retain(|name| *name != "progress");
    assert_eq!(
        steps,
        [
            "started",
            "batch_done",
            "batch_done",
            "batch_done",
            "assembling",
            "finished"
        ]
    );
    assert_eq!(names[1], "progress", "{names:?}");
    assert!(events.iter().all(|event| event["input"] == "film.mp4"), "{events:#?}");

    let started = &events[0];
    let expected = json!({
        "event": "started", "input": "film.mp4", "output": "out.mkv", "kind": "video", "frames": 40, "batches": 3,
        "source_size": "64x48", "target_size": "128x96", "codec": "h264", "container": "mkv", "notes": [],
    });
    assert_eq!(*started, expected);

    let progress = ended.named("progress");
    let done: Vec<u64> = progress
        .iter()
        .map(|event| event["frames_done"].as_u64().expect("a count"))
        .collect();
    assert!(done.is_sorted_by(|a, b| a < b), "{done:?}");
    assert!(progress.len() >= 2, "2.4 s, an event a second: {done:?}");
    for event in &progress {
        assert_eq!(event["frames"], 40);
        let rate = event["frames_per_second"].as_f64().expect("a rate");
        assert!(rate > 0.0 && rate <= 1000.0 / 60.0, "{rate}");
        assert!(
            event["seconds_left"].as_f64().is_some_and(|left| left >= 0.0),
            "{event}"
        );
    }

    let batches = ended.named("batch_done");
    let frames: Vec<(u64, u64)> = batches
        .iter()
        .map(|event| {
            (
                event["batch"].as_u64().expect("a number"),
                event["frames"].as_u64().expect("a count"),
            )
        })
        .collect();
    assert_eq!(frames, [(0, 16), (1, 16), (2, 8)]);
    for batch in &batches {
        let infer = batch["timings"]["infer_seconds"].as_f64().expect("a time");
        let frames = batch["frames"].as_f64().expect("a count");
        assert!(infer >= frames * 0.06 && batch["bytes"].as_u64() > Some(0), "{batch}");
    }

    let finished = ended.event("finished");
    assert_eq!((&finished["frames"], &finished["notes"]), (&json!(40), &json!([])));
    let bytes = std::fs::metadata(world.path("out.mkv")).expect("the result").len();
    assert_eq!(finished["bytes"], bytes);
    let seconds = finished["seconds"].as_f64().expect("a time");
    assert!(seconds >= 2.4 && seconds <= ended.took.as_secs_f64(), "{seconds}");
}

#[test]
fn events_tell_the_whole_story_of_a_photo() {
    let world = World::new();
    photo(&world.path("photo.png"));
    let call = Call::new().args([
        "upscale",
        "--engine",
        "wait",
        "--wait",
        "10",
        "--json",
        "photo.png",
        "out.png",
    ]);
    let ended = call.within(world.folder()).succeed();
    let mut events = ended.events();
    events.retain(|event| event["event"] != "progress");
    let seconds = events[1]["seconds"].take();
    assert!(seconds.as_f64().is_some_and(|s| s >= 0.01), "{seconds}");
    let bytes = std::fs::metadata(world.path("out.png")).expect("the result").len();
    let expected = json!([
        { "event": "started", "input": "photo.png", "output": "out.png", "kind": "picture" },
        { "event": "finished", "input": "photo.png", "frames": 1, "bytes": bytes, "seconds": null, "notes": [] },
    ]);
    assert_eq!(Value::from(events), expected);
}

#[test]
fn quiet_is_silent_but_for_errors() {
    let world = World::new();
    photo(&world.path("photo.png"));
    film(&world.path("film.mp4"), 3, &[]);
    let call = || Call::upscale().arg("--quiet").within(world.folder());
    for files in [["photo.png", "out.png"], ["film.mp4", "out.mp4"]] {
        let ended = call().args(files).succeed();
        assert_eq!((ended.stdout, ended.stderr), (vec![], String::new()));
    }
    let failed = call().args(["photo.png", "out.png"]).run();
    assert_eq!((failed.code(), failed.stdout), (Some(4), vec![]));
    assert_eq!(
        failed.stderr,
        "photo.png: out.png exists; --overwrite replaces it [output_exists]\n"
    );
}

#[test]
fn photos_change_their_format() {
    let world = World::new();
    photo(&world.path("photo.png"));
    let call = |output: &str| Call::upscale().within(world.folder()).args(["photo.png", output]);
    call("out.png").succeed();
    let formats = [
        ("jpg", "mjpeg"),
        ("webp", "webp"),
        ("tiff", "tiff"),
        ("bmp", "bmp"),
        ("gif", "gif"),
    ];
    for (extension, codec) in formats {
        let name = format!("out.{extension}");
        call(&name).succeed();
        assert_eq!(
            probe(&world.path(&name), &["-show_streams"])["streams"][0]["codec_name"],
            codec
        );
        assert_eq!(size(&world, &name), (48, 32), "{name}");
        let psnr = psnr(&world, "out.png", &name);
        let least = match extension {
            "jpg" => 28.0,
            "gif" => 20.0,
            _ => f64::INFINITY,
        };
        assert!(psnr >= least, "{name}: {psnr} dB");
    }
    call("fine.jpg").args(["--quality", "100"]).succeed();
    call("coarse.jpg").args(["--quality", "10"]).succeed();
    assert!(psnr(&world, "out.png", "fine.jpg") > psnr(&world, "out.png", "coarse.jpg") + 6.0);
}

/// PSNR of two pictures in dB over red, green and blue; infinite where they are equal.
fn psnr(world: &World, a: &str, b: &str) -> f64 {
    let filter = "[0:v]format=gbrp[a];[1:v]format=gbrp[b];[a][b]psnr=stats_file=-";
    let (a, b) = (world.path(a), world.path(b));
    let inputs = ["-i".as_ref(), a.as_os_str(), "-i".as_ref(), b.as_os_str()];
    let compare = ["-lavfi", filter, "-f", "null", "-"].map(AsRef::as_ref);
    let said = ffmpeg(inputs.into_iter().chain(compare));
    let average = said.split_whitespace().find_map(|word| word.strip_prefix("psnr_avg:"));
    average
        .and_then(|db| db.parse().ok())
        .unwrap_or_else(|| panic!("no PSNR in {said:?}"))
}

/// The network does something, does it again to the bit, and is what a call without `--engine` gets.
#[test]
fn the_network_is_the_default() {
    let world = World::new();
    photo(&world.path("photo.png"));
    let call = |args: &[&str], output| {
        let call = Call::new().within(world.folder()).arg("upscale").args(args);
        call.args(["photo.png", output]).succeed();
    };
    call(&[], "default.png");
    call(&["--engine", "cpu"], "cpu.png");
    let bytes = |name: &str| std::fs::read(world.path(name)).unwrap();
    assert!(bytes("default.png") == bytes("cpu.png"));
    call(&["--engine", "reference", "--tile", "16"], "reference.png");
    call(&["--engine", "bicubic"], "bicubic.png");
    assert!(
        psnr(&world, "default.png", "reference.png") > 60.0,
        "the kernels compute the same network, and tiles leave no seams"
    );
    let apart = psnr(&world, "default.png", "bicubic.png");
    assert!(
        (15.0..45.0).contains(&apart),
        "sharper, and the same picture: {apart} dB"
    );
}

#[test]
fn settings_come_from_the_environment_too() {
    let world = World::new();
    film(&world.path("film.mp4"), 6, &[]);
    let call = Call::new()
        .args(["upscale", "--json", "film.mp4", "out.mkv"])
        .within(world.folder());
    let call = call.env("CLEARFLEET_ENGINE", "bicubic").env("CLEARFLEET_CODEC", "ffv1");
    let ended = call.env("CLEARFLEET_BATCH_FRAMES", "2").succeed();
    let started = ended.event("started");
    assert_eq!((&started["codec"], &started["batches"]), (&json!("ffv1"), &json!(3)));
}

#[test]
fn a_wrong_command_line_is_refused_with_two() {
    let world = World::new();
    photo(&world.path("photo.png"));
    let before = world.names();
    let wrong: [(&[&str], &str); 14] = [
        (&[], "Usage:"),
        (&["enlarge"], "enlarge"),
        (&["upscale"], "<IN>"),
        (&["upscale", "photo.png"], "<OUT>"),
        (&["upscale", "photo.png", "out.png", "--sharper"], "--sharper"),
        (&["upscale", "photo.png", "out.png", "--scale", "9"], "between 1 and 8"),
        (
            &["upscale", "photo.png", "out.png", "--scale", "0.5"],
            "between 1 and 8",
        ),
        (&["upscale", "photo.png", "out.png", "--size", "wide"], "--size"),
        (
            &["upscale", "photo.png", "out.png", "--scale", "2", "--size", "48x32"],
            "--size",
        ),
        (&["upscale", "photo.png", "out.png", "--engine", "magic"], "bicubic"),
        (&["upscale", "photo.png", "out.png", "--start", "soon"], "1:30"),
        (&["upscale", "photo.png", "out.png", "--json", "--quiet"], "--quiet"),
        (
            &["upscale", "photo.png", "out.png", "--batch-frames", "0"],
            "--batch-frames",
        ),
        (&["verify", "photo.png"], "<RESULT>"),
    ];
    for (args, says) in wrong {
        let refused = Call::new().args(args).within(world.folder()).run();
        assert_eq!(refused.code(), Some(2), "{args:?}: {refused:#?}");
        assert!(
            refused.stderr.contains(says),
            "{args:?} says no {says:?}: {}",
            refused.stderr
        );
        assert!(refused.stdout.is_empty(), "{refused:#?}");
    }
    assert_eq!(world.names(), before);
}

#[test]
fn help_names_the_exit_codes() {
    let help = Call::new().arg("--help").succeed();
    assert!(help.stdout.iter().any(|line| line.contains("130 stopped")), "{help:#?}");
    let version = Call::new().arg("--version").succeed();
    assert_eq!(version.stdout, [format!("clearfleet {}", env!("CARGO_PKG_VERSION"))]);
}
