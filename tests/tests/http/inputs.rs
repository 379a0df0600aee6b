//! Bad files through HTTP: refused with their code, or the job fails with its cause; and nothing else is touched.

use clearfleet_tests::{
    Client, World, black_png, ffmpeg, film, film_of, gif_header, id_of, oversized_png, png_header, shared,
};
use serde_json::{Value, json};

use super::{outside, send, world};

/// What a server says to a file: refused at once, or failed as a job.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Refused(u16, String),
    Failed(String),
}

/// Sends a file; what comes of it.
fn said(client: &Client, world: &World, file: &str) -> Said {
    let answer = send(client, &world.path(file), file, "");
    if answer.status != 201 {
        return Said::Refused(answer.status, answer.refusal(answer.status));
    }
    let job = client.ended(&id_of(&answer.json()));
    assert_eq!(
        (&job["state"], &job["result"]),
        (&json!("failed"), &Value::Null),
        "{file}: {job:#}"
    );
    let failure = &job["failure"];
    assert!(
        failure["message"].as_str().is_some_and(|said| !said.is_empty()),
        "{file}: {failure}"
    );
    assert_honest(file, &failure.to_string());
    Said::Failed(failure["code"].as_str().expect("a code").to_owned())
}

/// Nothing of the server's own paths is told.
fn assert_honest(file: &str, told: &str) {
    for secret in ["/tmp/", "panicked", "127.0.0.1"] {
        assert!(!told.contains(secret), "{file}: {told}");
    }
}

fn refused(status: u16, code: &str) -> Said {
    Said::Refused(status, code.to_owned())
}

fn failed(code: &str) -> Said {
    Said::Failed(code.to_owned())
}

/// Makes one of each.
fn make(world: &World) -> Vec<(&'static str, Said)> {
    film(&world.path("whole.mkv"), 60, &["-g", "12", "-preset", "ultrafast"]);
    film(&world.path("whole.mp4"), 20, &["-preset", "ultrafast"]);
    let bytes = |name: &str| std::fs::read(world.path(name)).expect("made just now");
    let (mkv, mp4, png) = (bytes("whole.mkv"), bytes("whole.mp4"), bytes("photo.png"));
    let mut holes = mkv.clone();
    for byte in holes[mkv.len() / 3..2 * mkv.len() / 3].iter_mut().step_by(7) {
        *byte = !*byte;
    }
    let files: [(&str, Vec<u8>, Said); 20] = [
        ("empty.mp4", Vec::new(), refused(422, "input_empty")),
        (
            "text.mp4",
            b"Dear diary,\ntoday I made no film.\n".into(),
            refused(422, "input_mislabelled"),
        ),
        ("notes", b"Dear diary,\n".into(), refused(422, "input_unsupported")),
        ("paper.pdf", b"%PDF-1.7\n".into(), refused(422, "input_unsupported")),
        (
            "list.m3u8",
            b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n".into(),
            refused(422, "input_playlist"),
        ),
        (
            "list.mp4",
            b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n".into(),
            refused(422, "input_playlist"),
        ),
        (
            "concat.mp4",
            b"ffconcat version 1.0\nfile film.ts\n".into(),
            refused(422, "input_playlist"),
        ),
        ("noise.mp4", vec![0x9c; 5000], failed("input_unsupported")),
        ("cut.mp4", mp4[..mp4.len() / 2].into(), failed("input_damaged")),
        ("cut.mkv", mkv[..mkv.len() / 2].into(), failed("input_damaged")),
        ("holes.mkv", holes, failed("input_damaged")),
        ("cut.png", png[..png.len() / 2].into(), failed("input_damaged")),
        ("film.jpg", mp4.clone(), failed("input_mislabelled")),
        ("photo.mp4", png.clone(), failed("input_mislabelled")),
        ("huge.png", png_header(60_000, 60_000), failed("input_too_many_pixels")),
        ("bomb.png", black_png(30_000, 30_000), failed("input_too_many_pixels")),
        ("bomb.gif", gif_header(65_535, 65_535), failed("input_too_many_pixels")),
        ("flat.png", png_header(0, 0), failed("input_dimensions")),
        (
            "none.y4m",
            b"YUV4MPEG2 W64 H48 F25:1 Ip A1:1 C420jpeg\n".into(),
            failed("input_no_frames"),
        ),
        (
            "huge.y4m",
            b"YUV4MPEG2 W16000 H16000 F25:1 Ip A1:1 C420jpeg\nFRAME\n".into(),
            failed("input_too_many_pixels"),
        ),
    ];
    let mut expected = Vec::new();
    for (name, content, said) in files {
        world.file(name, content);
        expected.push((name, said));
    }
    let sound = ["-f", "lavfi", "-i", "sine", "-t", "0.2"].map(Into::into);
    ffmpeg(sound.into_iter().chain([world.path("sound.mp4")]));
    expected.push(("sound.mp4", failed("input_no_video")));
    film(&world.path("bomb.mkv"), 1, &["-c:v", "png", "-pix_fmt", "gray"]);
    let bomb = oversized_png(
        std::fs::read(world.path("bomb.mkv")).expect("made just now"),
        30_000,
        30_000,
    );
    world.file("bomb.mkv", bomb);
    expected.push(("bomb.mkv", failed("input_damaged")));
    expected
}

/// A job of another owner's in the same store is as before, and nothing beside the data folder has changed.
#[test]
fn bad_files_are_refused_or_fail_with_their_cause() {
    let (world, server) = world("--engine bicubic");
    let client = server.client();
    let expected = make(&world);
    let good = client.submit_with(&world.path("photo.png"), &json!({}));
    let before = (
        client.done(&good),
        client.get(&format!("/v1/jobs/{good}/result")).body,
        outside(&world),
    );
    for (file, expected) in expected {
        assert_eq!(said(client, &world, file), expected, "{file}");
    }
    let after = (
        client.done(&good),
        client.get(&format!("/v1/jobs/{good}/result")).body,
        outside(&world),
    );
    assert!(
        before == after,
        "a job or a file that has nothing to do with it is another"
    );
    assert_nothing_is_kept_of_refusals(client);
}

/// What was refused is in no list; what failed is, with its cause, and can be deleted.
fn assert_nothing_is_kept_of_refusals(client: &Client) {
    let jobs = client.get("/v1/jobs?limit=200").json();
    for job in jobs["jobs"].as_array().expect("jobs") {
        let id = id_of(job);
        assert!(matches!(job["state"].as_str(), Some("done" | "failed")), "{job:#}");
        client.send("DELETE", &format!("/v1/jobs/{id}"), &[], b"").expect(204);
        assert_eq!(client.get(&format!("/v1/jobs/{id}/source")).refusal(404), "not_found");
    }
    assert_eq!(client.get("/v1/jobs").json()["jobs"], json!([]));
}

#[test]
fn the_shared_bad_clips_are_refused_or_fail_with_their_cause() {
    let Some(folder) = shared("clips/bad") else { return };
    let (world, server) = world("--engine bicubic");
    let mut count = 0;
    for file in std::fs::read_dir(folder).expect("the clips") {
        let file = file.expect("a clip").path();
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        std::fs::copy(&file, world.path(&name)).expect("a copy");
        let (Said::Refused(_, code) | Said::Failed(code)) = said(server.client(), &world, &name);
        assert!(code.starts_with("input_"), "{name}: {code}");
        count += 1;
    }
    assert!(count >= 5, "{count} clips");
}

/// A film within a film that names a file or an address of this machine.
#[test]
fn no_file_and_no_address_of_the_server_is_opened() {
    let (world, server) = world("--engine bicubic");
    let canary = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    canary.set_nonblocking(true).expect("a socket of the test's own");
    let url = format!("http://{}/x", canary.local_addr().expect("an address"));
    let secret = world.file("secret.txt", "the-secret-of-a-neighbouring-file");
    let secret = secret.display();
    let lists = [
        format!("\u{feff}\n \n#EXTM3U\n#EXTINF:1,\n{url}\n#EXTINF:1,\nfile://{secret}\n"),
        format!("#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1,\nconcat:{url}|{secret}\n"),
        format!("file '{secret}'\nfile '{url}'\n"),
        format!("RTSPtext\n{}\n", url.replace("http", "rtsp")),
        format!("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"64\" height=\"48\"><image href=\"{url}\"/></svg>"),
        format!("[Reference]\nRef1={url}\nRef2={secret}\n"),
    ];
    for list in lists {
        for name in ["in.mp4", "in.mkv", "in.ts", "in.jpg", "in"] {
            world.file(name, &list);
            let (Said::Refused(_, code) | Said::Failed(code)) = said(server.client(), &world, name);
            assert!(code.starts_with("input_"), "{name}: {code}");
            let touched = canary.accept().map(|(_, from)| from);
            assert!(
                touched.is_err(),
                "somebody connected for {list:?} as {name}: {touched:?}"
            );
        }
    }
}

/// Limits are the operator's to set, and each says what it is and what was found.
#[test]
fn what_is_above_a_limit_is_told_with_both_values() {
    let (world, server) = world("--engine bicubic --max-bytes 200000 --max-frames 9 --max-seconds 1 --max-edge 300");
    let client = server.client();
    let failure_of = |file: &str| {
        let answer = send(client, &world.path(file), file, "").expect(201);
        client.ended(&id_of(&answer.json()))["failure"].clone()
    };
    film(&world.path("frames.mp4"), 10, &["-preset", "ultrafast"]);
    // A frame each second, so that it is too long and not too many.
    film(&world.path("seconds.mp4"), 3, &["-r", "1", "-preset", "ultrafast"]);
    film_of(&world.path("edge.png"), "200x100", 1, &["-update", "1"]);
    for (file, code) in [
        ("frames.mp4", "input_too_many_frames"),
        ("seconds.mp4", "input_too_long"),
        ("edge.png", "input_too_many_pixels"),
    ] {
        let failure = failure_of(file);
        assert_eq!(failure["code"], code, "{failure:#}");
        let details = &failure["details"];
        assert!(
            details["limit"].is_string() && details["found"].is_string(),
            "{failure:#}"
        );
    }
    let large = world.file("large.png", [&b"\x89PNG\r\n\x1a\n"[..], &[0; 200_000]].concat());
    let refusal = send(client, &large, "large.png", "");
    assert_eq!(refusal.refusal(413), "input_too_large");
    assert_eq!(refusal.json()["details"]["limit"], "200000");
}
