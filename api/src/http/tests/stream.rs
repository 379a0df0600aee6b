use std::time::Duration;

use clearfleet_common::job::{
    Codec, Container, ControlMessage, EncoderSpec, FORMAT_VERSION, Filters, FrameRange, JobId, Marker, OutputFormat,
    Plan, PlanSummary, PlannedVideo, Rational, SegmentKind, SourceIdentity, SourceKind, State, TimeBase, Timings,
};
use clearfleet_common::queue::{Queue, QueueName};
use clearfleet_common::storage::{ObjectKey, PlanKey};
use reqwest::StatusCode;
use uuid::Uuid;

use super::world::{owner, plan};
use super::{ALICE, BOB, World};
use crate::http::ConnectionLimits;

/// A plan of three batches, of which the second is shown longer.
pub(in crate::http) fn film() -> Plan {
    Plan {
        version: FORMAT_VERSION,
        source: SourceIdentity {
            bytes: 1,
            tag: "tag".to_owned(),
        },
        demuxer: "mov".to_owned(),
        video: PlannedVideo {
            stream: 0,
            codec: "h264".to_owned(),
            decoder: None,
            time_base: TimeBase::new(1, 1000).unwrap(),
            source_size: (320, 180),
            target_size: (640, 360),
            pixel_format: "yuv420p".to_owned(),
            encoded_format: "yuv420p".to_owned(),
            full_range: false,
            chroma_location: None,
            sample_aspect: None,
            rotation: 0,
            mirrored: false,
            deinterlace: false,
            colour: Vec::new(),
            hdr10: None,
            frame_rate: Rational::new(25, 1).unwrap(),
            last_duration: 40,
            shift: 0,
            filters: Filters::default(),
            retouched: Vec::new(),
        },
        encoder: EncoderSpec {
            codec: Codec::H264,
            arguments: Vec::new(),
            segment: SegmentKind::FragmentedMp4,
            reorder: 0,
        },
        container: Container::Mp4,
        zero: 0,
        until: None,
        batches: [(0, 2), (2, 4), (4, 5)]
            .map(|(start, end)| FrameRange::new(start, end).unwrap())
            .to_vec(),
        times: vec![0, 80, 2640, 2680],
        batch_seconds: 1.0,
        pipeline: "pipeline".to_owned(),
        notes: Vec::new(),
        sound: None,
    }
}

fn boxed(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let size = content.len() as u32 + 8;
    [&size.to_be_bytes(), name.as_slice(), content].concat()
}

/// What all segments begin with.
fn header() -> Vec<u8> {
    [boxed(b"ftyp", b"iso5"), boxed(b"moov", b"tracks")].concat()
}

/// What batch `number` has of its own.
fn fragments(number: u64) -> Vec<u8> {
    [boxed(b"moof", &number.to_be_bytes()), boxed(b"mdat", &[7; 100_000])].concat()
}

impl World {
    /// A film that is planned, and is in `state`.
    pub(super) async fn film(&self, planned: &Plan, state: State) -> JobId {
        let job = self.upload(ALICE, "a.mp4").await;
        self.plan_film(job, planned, state).await;
        job
    }

    /// Alice's job becomes a film that is planned so.
    pub(super) async fn plan_film(&self, job: JobId, planned: &Plan, state: State) {
        let key = ObjectKey::Plan(PlanKey { job, plan: 0 });
        let written = serde_json::to_vec(planned).unwrap();
        self.storage.put(key, written.into()).await.unwrap();
        self.schedule(ALICE, job, |record| {
            record.plan = Some(PlanSummary {
                kind: SourceKind::Video,
                batches: 3,
                format: OutputFormat::Mp4,
                ..plan()
            });
            record.state = state;
        })
        .await;
    }

    /// Batch `number` is done.
    pub(super) async fn make(&self, job: JobId, number: u64) {
        let key = PlanKey { job, plan: 0 };
        let segment = ObjectKey::Segment(key, number, Uuid::from_u128(1));
        let content = [header(), fragments(number)].concat();
        let marker = Marker {
            version: FORMAT_VERSION,
            segment: segment.to_string(),
            bytes: content.len() as u64,
            frames: 2,
            sha256: String::new(),
            worker: "worker".to_owned(),
            timings: Timings::default(),
        };
        self.storage.put(segment, content.into()).await.unwrap();
        let written = serde_json::to_vec(&marker).unwrap();
        self.storage
            .put(ObjectKey::Marker(key, number), written.into())
            .await
            .unwrap();
    }
}

pub(super) async fn impatient() -> World {
    World::with(
        |config| config.segment_wait = Duration::from_millis(300),
        ConnectionLimits::default(),
    )
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_playlist_lists_every_batch_before_one_is_done() {
    let world = World::new().await;
    let job = world.film(&film(), State::Running).await;
    let stream = format!("/v1/jobs/{job}/stream.m3u8");
    assert_eq!(
        world.get(ALICE, &format!("/v1/jobs/{job}")).await.json()["links"]["stream"],
        stream
    );
    let streams = world.get(ALICE, &stream).await;
    assert_eq!(streams.header("content-type"), "application/vnd.apple.mpegurl");
    let expected = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n\
                    #EXT-X-STREAM-INF:BANDWIDTH=1152000,RESOLUTION=640x360,FRAME-RATE=25.000,CODECS=\"avc1.640028\"\n\
                    stream/0/video.m3u8\n";
    assert_eq!(String::from_utf8(streams.body).unwrap(), expected);
    let video = world.get(ALICE, &format!("/v1/jobs/{job}/stream/0/video.m3u8")).await;
    let expected = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:3\n#EXT-X-PLAYLIST-TYPE:VOD\n\
                    #EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:0.080000,\n0.m4s\n#EXTINF:2.560000,\n1.m4s\n\
                    #EXTINF:0.040000,\n2.m4s\n#EXT-X-ENDLIST\n";
    assert_eq!(String::from_utf8(video.body).unwrap(), expected);
    assert_eq!(world.get(BOB, &stream).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_are_a_header_and_what_follows_it() {
    let world = World::new().await;
    let job = world.film(&film(), State::Running).await;
    world.make(job, 1).await;
    let part = |name: &str| format!("/v1/jobs/{job}/stream/0/{name}");
    let init = world.get(ALICE, &part("init.mp4")).await;
    assert_eq!((init.status, &init.body), (StatusCode::OK, &header()));
    let segment = world.get(ALICE, &part("1.m4s")).await;
    assert!(segment.body == fragments(1));
    assert_eq!(segment.header("content-length"), segment.body.len().to_string());
    assert_eq!(segment.header("cache-control"), "private, max-age=86400, immutable");
    for (name, code) in [("3.m4s", "not_found"), ("1.mp4", "not_found"), ("-1.m4s", "not_found")] {
        assert_eq!(
            world.get(ALICE, &part(name)).await.refusal(),
            (404, code.to_owned()),
            "{name}"
        );
    }
    let other_plan = format!("/v1/jobs/{job}/stream/1/1.m4s");
    assert_eq!(world.get(ALICE, &other_plan).await.refusal(), (410, "gone".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_is_waited_for_and_said_to_be_watched() {
    let world = World::new().await;
    let job = world.film(&film(), State::Running).await;
    let mut said = world.queue.consume(QueueName::Control).await.unwrap();
    let path = format!("/v1/jobs/{job}/stream/0/2.m4s");
    let made = async {
        // It is made when somebody was heard to wait for it, and not before.
        loop {
            let delivery = said.next().await.unwrap();
            let message = serde_json::from_slice(&delivery.body).unwrap();
            delivery.acknowledge().await.unwrap();
            if let ControlMessage::Watch { batch, owner: of, .. } = message {
                assert_eq!((batch, of), (2, owner(ALICE)));
                break world.make(job, 2).await;
            }
        }
    };
    let (segment, ()) = tokio::join!(world.get(ALICE, &path), made);
    assert!(
        segment.status == StatusCode::OK && segment.body == fragments(2),
        "{}",
        segment.status
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_in_vain_is_told_to_ask_again() {
    let world = impatient().await;
    let job = world.film(&film(), State::Running).await;
    for part in ["init.mp4", "0.m4s"] {
        let later = world.get(ALICE, &format!("/v1/jobs/{job}/stream/0/{part}")).await;
        assert_eq!(later.refusal(), (503, "unavailable".to_owned()), "{part}");
        assert_eq!(later.header("retry-after"), "1");
    }
    let ended = world.film(&film(), State::Failed).await;
    let never = world.get(ALICE, &format!("/v1/jobs/{ended}/stream/0/0.m4s")).await;
    assert_eq!(never.refusal(), (404, "not_ready".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_watched_is_refused_with_the_reason() {
    let world = World::new().await;
    let nut = Plan {
        encoder: EncoderSpec {
            segment: SegmentKind::Nut,
            ..film().encoder
        },
        ..film()
    };
    let older = Plan {
        times: Vec::new(),
        ..film()
    };
    for plan in [nut, older] {
        let job = world.film(&plan, State::Running).await;
        let refused = world.get(ALICE, &format!("/v1/jobs/{job}/stream.m3u8")).await;
        assert_eq!(refused.refusal(), (409, "state_conflict".to_owned()));
    }
    // Segments are kept for a while only.
    let job = world.film(&film(), State::Done).await;
    world
        .schedule(ALICE, job, |record| record.segments_gone = Some(1))
        .await;
    let refused = world.get(ALICE, &format!("/v1/jobs/{job}/stream.m3u8")).await;
    assert_eq!(refused.refusal(), (409, "state_conflict".to_owned()));
    let link = async || world.get(ALICE, &format!("/v1/jobs/{job}")).await.json()["links"]["stream"].clone();
    assert!(link().await.is_null());
    // Those of a plan that was made since are not among what was deleted.
    world
        .schedule(ALICE, job, |record| record.plan.as_mut().unwrap().number = 1)
        .await;
    assert_eq!(link().await, format!("/v1/jobs/{job}/stream.m3u8"));
}
