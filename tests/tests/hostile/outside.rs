//! Files that name other files or addresses: nothing of that is read, and nothing connected to.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

use clearfleet_tests::{Call, Ended, World, ffmpeg, film, photo, referring};
use rustix::fd::OwnedFd;
use rustix::fs::inotify;
use rustix::io::Errno;

/// What a file that names others may not give away.
const SECRET: &str = "the-secret-of-a-neighbouring-file";

/// A port of this machine that nobody may connect to, and a file that nobody may open.
struct Canary {
    port: TcpListener,
    secret: PathBuf,
    watch: OwnedFd,
}

impl Canary {
    fn new(world: &World) -> Self {
        let secret = world.file("secret.txt", SECRET);
        Self::beside(secret)
    }

    /// One whose file is there already.
    fn beside(secret: PathBuf) -> Self {
        let port = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        port.set_nonblocking(true).expect("a socket of the test's own");
        let watch = inotify::init(inotify::CreateFlags::NONBLOCK).expect("the kernel tells of files");
        inotify::add_watch(&watch, &secret, inotify::WatchFlags::OPEN).expect("a file of the test's own");
        Self { port, secret, watch }
    }

    fn address(&self) -> String {
        self.port.local_addr().expect("an address").to_string()
    }

    fn url(&self) -> String {
        format!("http://{}/x", self.address())
    }

    /// Connections and openings wait in queues, so that none is missed.
    fn assert_untouched(&self, about: &str) {
        let found = self.port.accept().map(|(_, from)| from);
        assert!(
            found.as_ref().is_err_and(|e| e.kind() == ErrorKind::WouldBlock),
            "{about}: somebody connected: {found:?}"
        );
        let opened = rustix::io::read(&self.watch, &mut [0; 512]);
        assert_eq!(opened, Err(Errno::AGAIN), "{about}: somebody opened the file");
    }
}

/// Texts that name an address and files of this machine.
fn naming(canary: &Canary) -> Vec<(&'static str, String)> {
    let (url, address, secret) = (canary.url(), canary.address(), canary.secret.display());
    let hls = format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MAP:URI=\"{url}\"\n#EXTINF:1,\n{url}\n#EXTINF:1,\nfile://{secret}\n\
         #EXTINF:1,\n/etc/hostname\n#EXT-X-ENDLIST\n"
    );
    let concat = format!("ffconcat version 1.0\nfile '{url}'\nfile '{secret}'\nfile '/etc/hostname'\n");
    let dash = format!(
        "<?xml version=\"1.0\"?>\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\" mediaPresentationDuration=\"PT1S\">\
         <Period><AdaptationSet mimeType=\"video/mp4\"><Representation id=\"1\" bandwidth=\"1\"><BaseURL>{url}</BaseURL>\
         </Representation><Representation id=\"2\" bandwidth=\"2\"><BaseURL>{secret}</BaseURL></Representation>\
         </AdaptationSet></Period></MPD>\n"
    );
    let imf = format!(
        "<CompositionPlaylist xmlns=\"http://www.smpte-ra.org/schemas/2067-3/2016\"><Id>urn:uuid:1</Id><SegmentList>{secret}\
         </SegmentList></CompositionPlaylist>\n"
    );
    let assets =
        format!("<AssetMap><AssetList><Asset><Path>{url}</Path><Path>{secret}</Path></Asset></AssetList></AssetMap>\n");
    let port = address.split(':').nth(1).unwrap_or_default();
    vec![
        ("a late playlist", format!("\u{feff}\n \n{hls}")),
        ("a playlist", hls),
        (
            "a playlist with a key",
            format!("#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI=\"{url}\"\n#EXTINF:1,\ncrypto+file://{secret}\n"),
        ),
        (
            "a playlist without a header",
            format!("#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1,\nconcat:{url}|/etc/hostname\n"),
        ),
        ("a marked concat script", format!("\u{feff}{concat}")),
        ("a concat script", concat),
        ("a bare concat script", format!("file '{secret}'\nfile '{url}'\n")),
        (
            "a session description",
            format!(
                "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP/TCP 96\na=rtpmap:96 H264/90000\n"
            ),
        ),
        ("a DASH manifest", dash),
        ("a composition of IMF", imf),
        ("a list of assets", assets),
        (
            "a drawing",
            format!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" width=\"64\" height=\"48\"><image xlink:href=\"{url}\"/><image xlink:href=\"file://{secret}\"/></svg>\n"
            ),
        ),
        ("a link", format!("{url}\n")),
        ("a link of RTSP", format!("RTSPtext\nrtsp://{address}\n")),
        ("a list of streams", format!("[Reference]\nRef1={url}\nRef2={secret}\n")),
        (
            "a graph of filters",
            format!("movie={secret},subtitles=filename={secret}\n"),
        ),
        (
            "an index of VobSub",
            format!("# VobSub index file, v7\n# {url}\nid: en, index: 0\n"),
        ),
        (
            "subtitles of WebVTT",
            format!("WEBVTT\n\nSTYLE\n::cue {{ background: url({url}) }}\n"),
        ),
        ("subtitles of ASS", script(canary)),
        (
            "a script of AviSynth",
            format!("FFmpegSource2(\"{secret}\") ++ DirectShowSource(\"{url}\")\n"),
        ),
    ]
}

/// Subtitles whose head names films, as editors of subtitles write it.
fn script(canary: &Canary) -> String {
    let (secret, url) = (canary.secret.display(), canary.url());
    format!(
        "[Script Info]\nVideo File: {secret}\nAudio File: {url}\n\n[Events]\nFormat: Start, End, Text\n\
         Dialogue: 0:00:00.00,0:00:00.20,{{\\fn{secret}}}Hello\n"
    )
}

pub(super) fn assert_refused(refused: &Ended, about: &str) {
    assert_eq!(refused.code(), Some(3), "{about}: {refused:#?}");
    let hostname = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    for text in refused.stdout.iter().chain([&refused.stderr]) {
        assert!(!text.contains(SECRET), "{about}: {text}");
        assert!(
            hostname.trim().len() < 4 || !text.contains(hostname.trim()),
            "{about}: {text}"
        );
        assert!(!text.contains("panicked"), "{about}: {text}");
    }
}

#[test]
fn files_that_name_others_are_refused() {
    let world = World::new();
    let canary = Canary::new(&world);
    for (what, content) in naming(&canary) {
        for extension in ["mp4", "mov", "mkv", "jpg"] {
            let input = world.file(format!("in.{extension}"), &content);
            let before = world.names();
            let refused = Call::upscale()
                .arg("--json")
                .arg(&input)
                .arg(world.path("out.mkv"))
                .run();
            let about = format!("{what} as .{extension}");
            assert_refused(&refused, &about);
            canary.assert_untouched(&about);
            assert_eq!(world.names(), before, "{about}");
            std::fs::remove_file(input).expect("the test's own file");
        }
    }
}

/// Upscales a file that is media, and names others beside: they are left alone.
fn assert_left_alone(world: &World, input: &str, canary: &Canary) {
    let call = Call::upscale().arg("--json").arg(world.path(input));
    call.arg(world.path(format!("out-{input}"))).succeed();
    canary.assert_untouched(input);
}

#[test]
fn a_film_whose_pictures_are_in_another_file_is_refused() {
    let world = World::new();
    film(&world.path("other.mov"), 3, &["-preset", "ultrafast"]);
    let canary = Canary::beside(world.path("other.mov"));
    film(&world.path("film.mov"), 3, &["-preset", "ultrafast"]);
    let whole = std::fs::read(world.path("film.mov")).expect("made just now");
    world.file("film.mov", referring(whole, &canary.secret));
    let call = Call::upscale().arg("--json").arg(world.path("film.mov"));
    assert_refused(&call.arg(world.path("out.mov")).run(), "a reference");
    canary.assert_untouched("a reference");

    // Allowed to, ffmpeg follows it.
    let follow = ["-enable_drefs", "1", "-use_absolute_path", "1", "-i"].map(OsStr::new);
    let file = world.path("film.mov");
    ffmpeg(
        follow
            .into_iter()
            .chain([file.as_os_str()])
            .chain(["-f", "null", "-"].map(OsStr::new)),
    );
    let opened = std::panic::catch_unwind(|| canary.assert_untouched("ffmpeg alone"));
    assert!(opened.is_err());
}

/// Matroska whose next segment is another file.
#[test]
fn a_linked_segment_is_not_looked_for() {
    let world = World::new();
    film(&world.path("plain.mkv"), 3, &["-preset", "ultrafast"]);
    let [own, next] = ["1", "2"].map(|digit| digit.repeat(32));
    for (name, options) in [
        ("next.mkv", ["--segment-uid", &next, "--link-to-previous", &own]),
        ("film.mkv", ["--segment-uid", &own, "--link-to-next", &next]),
    ] {
        let made = Command::new("mkvmerge")
            .args(["-q", "-o"])
            .arg(world.path(name))
            .args(options)
            .arg(world.path("plain.mkv"))
            .status();
        let Ok(made) = made else {
            println!("skipped: there is no mkvmerge (deploy/setup.sh test)");
            return;
        };
        assert!(made.success(), "{name}");
    }
    let canary = Canary::beside(world.path("next.mkv"));
    assert_left_alone(&world, "film.mkv", &canary);
}

#[test]
fn what_subtitles_name_is_left_alone() {
    let world = World::new();
    let canary = Canary::new(&world);
    let script = world.file("script.ass", script(&canary));
    film(&world.path("plain.mkv"), 6, &["-preset", "ultrafast"]);
    let [plain, film] = ["plain.mkv", "film.mkv"].map(|name| world.path(name));
    let input = OsStr::new("-i");
    let copy = ["-map", "0", "-map", "1", "-c", "copy"].map(OsStr::new);
    let files = [input, plain.as_os_str(), input, script.as_os_str()];
    ffmpeg(files.into_iter().chain(copy).chain([film.as_os_str()]));
    assert_left_alone(&world, "film.mkv", &canary);
}

#[test]
fn what_the_metadata_of_a_photo_names_is_left_alone() {
    let world = World::new();
    let canary = Canary::new(&world);
    photo(&world.path("photo.jpg"));
    let whole = std::fs::read(world.path("photo.jpg")).expect("made just now");
    world.file("photo.jpg", described(&whole, &canary));
    assert_left_alone(&world, "photo.jpg", &canary);
    let result = std::fs::read(world.path("out-photo.jpg")).expect("a result");
    let kept = result
        .windows(canary.url().len())
        .any(|bytes| bytes == canary.url().as_bytes());
    assert!(kept, "XMP is kept as it is");
}

/// A JPEG with XMP that names an address and a file.
fn described(jpeg: &[u8], canary: &Canary) -> Vec<u8> {
    let xmp = format!(
        "http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:x=\"adobe:ns:meta/\"><rdf:RDF \
         xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\"><rdf:Description rdf:about=\"{}\" \
         xmlns:xmpMM=\"http://ns.adobe.com/xap/1.0/mm/\"><xmpMM:DerivedFrom rdf:resource=\"file://{}\"/>\
         </rdf:Description></rdf:RDF></x:xmpmeta>",
        canary.url(),
        canary.secret.display()
    );
    let length = u16::try_from(xmp.len() + 2).expect("a short text").to_be_bytes();
    let (start, rest) = jpeg.split_at(2);
    [start, &[0xff, 0xe1], &length, xmp.as_bytes(), rest].concat()
}

/// The canary sings: what the tests above rely on.
#[test]
fn connections_and_openings_would_be_seen() {
    let world = World::new();
    let touched = |touch: fn(&Canary)| {
        let canary = Canary::new(&world);
        canary.assert_untouched("nobody");
        touch(&canary);
        std::panic::catch_unwind(|| canary.assert_untouched("a test")).is_err()
    };
    assert!(touched(|canary| drop(std::net::TcpStream::connect(canary.address()))));
    assert!(touched(|canary| drop(std::fs::File::open(&canary.secret))));
}
