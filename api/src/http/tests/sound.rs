use clearfleet_common::ErrorCode;
use clearfleet_common::job::{Failure, JobId, Plan, PlannedSound, SoundTrack, State};
use clearfleet_common::storage::{ObjectKey, PlanKey};
use reqwest::StatusCode;

use super::stream::{film, impatient};
use super::{ALICE, BOB, World};

/// The film, which is shown for 2.68 s, with parts of one second.
fn sounding(tracks: Vec<SoundTrack>) -> Plan {
    Plan {
        sound: Some(PlannedSound {
            plan: 0,
            part_seconds: 1,
            tracks,
        }),
        ..film()
    }
}

fn track(title: Option<&str>, language: Option<&str>) -> SoundTrack {
    SoundTrack {
        stream: 1,
        codec: "mp4a.40.2".to_owned(),
        encoding: None,
        channels: 2,
        language: language.map(str::to_owned),
        title: title.map(str::to_owned),
        default: false,
    }
}

impl World {
    async fn put_sound(&self, key: ObjectKey, body: &'static str) {
        self.storage.put(key, body.into()).await.unwrap();
    }

    /// Workers gave the sound of a job's stream up.
    async fn fail_sound(&self, job: JobId) {
        let failure = Failure::new(ErrorCode::EncodeFailed, "it is noise");
        let key = ObjectKey::SoundFailure(PlanKey { job, plan: 0 });
        let written = serde_json::to_vec(&failure).unwrap();
        self.storage.put(key, written.into()).await.unwrap();
    }

    /// The lines of the playlist of streams that are about sound.
    async fn sounds(&self, job: JobId) -> Vec<String> {
        let streams = self.get(ALICE, &format!("/v1/jobs/{job}/stream.m3u8")).await;
        assert_eq!(streams.status, StatusCode::OK);
        let text = String::from_utf8(streams.body).unwrap();
        let about_sound = text.lines().filter(|line| line.contains("AUDIO"));
        about_sound.map(str::to_owned).collect()
    }
}

fn part(job: JobId, name: &str) -> String {
    format!("/v1/jobs/{job}/stream/0/{name}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_rendition_is_listed_by_a_name_of_its_own() {
    let world = World::new().await;
    let tracks = vec![
        SoundTrack {
            default: true,
            channels: 6,
            ..track(Some("The \"main\" one\n"), Some("eng"))
        },
        track(None, Some("kor")),
        track(None, Some("kor")),
        track(None, None),
    ];
    let job = world.film(&sounding(tracks), State::Running).await;
    let key = PlanKey { job, plan: 0 };
    world.put_sound(ObjectKey::SoundHeader(key, 0), "header").await;
    let media = "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"sound\",NAME";
    let expected = [
        format!(
            "{media}=\"The main one\",LANGUAGE=\"eng\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"6\",URI=\"stream/0/sound0.m3u8\""
        ),
        format!(
            "{media}=\"kor (2)\",LANGUAGE=\"kor\",DEFAULT=NO,AUTOSELECT=YES,CHANNELS=\"2\",URI=\"stream/0/sound1.m3u8\""
        ),
        format!(
            "{media}=\"kor (3)\",LANGUAGE=\"kor\",DEFAULT=NO,AUTOSELECT=YES,CHANNELS=\"2\",URI=\"stream/0/sound2.m3u8\""
        ),
        format!("{media}=\"4\",DEFAULT=NO,AUTOSELECT=YES,CHANNELS=\"2\",URI=\"stream/0/sound3.m3u8\""),
        "#EXT-X-STREAM-INF:BANDWIDTH=1152000,RESOLUTION=640x360,FRAME-RATE=25.000,CODECS=\"avc1.640028,mp4a.40.2\",\
         AUDIO=\"sound\""
            .to_owned(),
    ];
    assert_eq!(world.sounds(job).await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_of_sound_are_listed_before_they_are_there_and_given_as_they_are() {
    let world = World::new().await;
    let job = world.film(&sounding(vec![track(None, None)]), State::Running).await;
    let playlist = world.get(ALICE, &part(job, "sound0.m3u8")).await;
    assert_eq!(playlist.header("content-type"), "application/vnd.apple.mpegurl");
    let expected = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:1\n#EXT-X-PLAYLIST-TYPE:VOD\n\
                    #EXT-X-MAP:URI=\"sound0-init.mp4\"\n#EXTINF:1.000000,\nsound0-0.m4s\n#EXTINF:1.000000,\n\
                    sound0-1.m4s\n#EXTINF:0.680000,\nsound0-2.m4s\n#EXT-X-ENDLIST\n";
    assert_eq!(String::from_utf8(playlist.body).unwrap(), expected);
    let key = PlanKey { job, plan: 0 };
    world.put_sound(ObjectKey::SoundHeader(key, 0), "header").await;
    let waiting = part(job, "sound0-2.m4s");
    let (given, ()) = tokio::join!(
        world.get(ALICE, &waiting),
        world.put_sound(ObjectKey::SoundPart(key, 0, 2), "the last"),
    );
    assert_eq!((given.status, &given.body[..]), (StatusCode::OK, &b"the last"[..]));
    assert_eq!(given.header("content-type"), "audio/mp4");
    assert_eq!(given.header("content-length"), "8");
    assert_eq!(given.header("cache-control"), "private, max-age=86400, immutable");
    assert_eq!(world.get(ALICE, &part(job, "sound0-init.mp4")).await.body, b"header");
    for name in [
        "sound0-3.m4s",
        "sound1.m3u8",
        "sound1-0.m4s",
        "sound1-init.mp4",
        "sound-0.m4s",
    ] {
        let refused = world.get(ALICE, &part(job, name)).await;
        assert_eq!(refused.refusal(), (404, "not_found".to_owned()), "{name}");
    }
    assert_eq!(world.get(BOB, &waiting).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_whose_sound_does_not_come_has_none() {
    let world = impatient().await;
    let plan = sounding(vec![track(None, None)]);
    let late = world.film(&plan, State::Running).await;
    assert_eq!(world.sounds(late).await, Vec::<String>::new());
    for name in ["sound0-init.mp4", "sound0-0.m4s"] {
        let later = world.get(ALICE, &part(late, name)).await;
        assert_eq!(later.refusal(), (503, "unavailable".to_owned()), "{name}");
        assert_eq!(later.header("retry-after"), "1");
    }
    // It failed on the way: what there is of it is of no use.
    let failed = world.film(&plan, State::Running).await;
    world
        .put_sound(ObjectKey::SoundHeader(PlanKey { job: failed, plan: 0 }, 0), "header")
        .await;
    world.fail_sound(failed).await;
    assert_eq!(world.sounds(failed).await, Vec::<String>::new());
    let never = world.get(ALICE, &part(failed, "sound0-0.m4s")).await;
    assert_eq!(never.refusal(), (404, "not_found".to_owned()));
    assert!(never.json()["detail"].as_str().unwrap().contains("it is noise"));
    let ended = world.film(&plan, State::Cancelled).await;
    let never = world.get(ALICE, &part(ended, "sound0-0.m4s")).await;
    assert_eq!(never.refusal(), (404, "not_ready".to_owned()));
    // What is planned by a build that knows no sound has none.
    let older = world.film(&film(), State::Running).await;
    let refused = world.get(ALICE, &part(older, "sound0.m3u8")).await;
    assert_eq!(refused.refusal(), (404, "not_found".to_owned()));
}
