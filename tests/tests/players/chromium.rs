//! Chromium plays results from the server: their shape, how long they last, what is to be seen after a jump to any time, and
//! through transparent parts.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use clearfleet_tests::{Server, World, ffmpeg, in_chromium};
use serde_json::{Value, json};

/// Frames of a film, at 25 a second.
const FRAMES: usize = 50;
/// Frames that are jumped to: the first and the last, and both sides of a joint of batches, not in order.
const JUMPS: [usize; 5] = [0, 37, 9, 10, 49];
/// Edge of the blocks that colours are averaged over, in pixels.
const BLOCK: usize = 16;
/// How far a block's mean may be off, of 255: two programs turn YUV into RGB.
const COLOUR: f64 = 8.0;
/// The page's background, of which parts are seen.
const BACKGROUND: [f64; 3] = [0.0, 200.0, 0.0];
/// Two seconds of 64×48 pixels, each frame in other colours than the six around it.
const PICTURE: &str = "testsrc2=s=64x48:r=25:d=2,hue=H=2*PI*n/7";

/// Mean red, green and blue of a picture's blocks, row by row.
type Blocks = Vec<[f64; 3]>;

/// A film on its way through a server into Chromium.
struct Played {
    result: PathBuf,
    seen: Value,
    _world: World,
}

impl Played {
    /// Upscales to twice the size; nothing where there is no Chromium.
    fn of(name: &str, film: fn(&Path), settings: &Value) -> Option<Self> {
        Self::of_type(None, name, film, settings)
    }

    /// The same of a type of media that not every Chromium plays; nothing where this one does not.
    fn of_type(kind: Option<&str>, name: &str, film: fn(&Path), settings: &Value) -> Option<Self> {
        let world = World::new();
        let source = world.path(name);
        film(&source);
        let server = Server::with(&world.path("data"), "--engine bicubic --batch-frames 10");
        let client = server.client();
        let job = client.submit_with(&source, settings);
        client.done(&job);
        let path = format!("/v1/jobs/{job}/result");
        let result = world.path("result");
        client.download(&path, &result);
        let middles = JUMPS.map(|frame| (frame as f64 + 0.5) / 25.0);
        let [red, green, blue] = BACKGROUND;
        let input = json!({
            "url": client.url(),
            "path": path,
            "type": kind,
            "times": middles,
            "background": format!("rgb({red} {green} {blue})"),
        });
        let seen = in_chromium("play.mjs", &input)?;
        if seen.is_null() {
            println!("skipped: this Chromium does not play {kind:?}");
            return None;
        }
        Some(Self {
            result,
            seen,
            _world: world,
        })
    }

    /// It has this size on the screen, lasts two seconds and sounds or not, and every jump shows its frame.
    fn assert_plays(&self, size: (usize, usize), sounds: bool, decoder: &str) {
        let seen = &self.seen;
        assert_eq!(
            (&seen["width"], &seen["height"], &seen["sound"]),
            (&json!(size.0), &json!(size.1), &json!(sounds))
        );
        let duration = seen["duration"].as_f64().expect("a duration");
        assert!((duration - 2.0).abs() <= 0.001, "it lasts {duration} s");
        let expected = expected(&self.result, size, decoder);
        assert_eq!(expected.len(), FRAMES);
        let frames = seen["frames"].as_array().expect("frames");
        assert_eq!(frames.len(), JUMPS.len());
        for (frame, jump) in frames.iter().zip(JUMPS) {
            assert_shows(frame, jump, &expected);
        }
    }
}

/// The frame has its own time, and looks like this one and like none around it.
fn assert_shows(frame: &Value, jump: usize, expected: &[Blocks]) {
    let time = frame["mediaTime"].as_f64().expect("a time");
    let own = jump as f64 / 25.0;
    assert!((time - own).abs() <= 0.001, "frame {jump} is at {time} s");
    for picture in ["drawn", "shown"] {
        let found = blocks(&frame[picture]);
        let off = |n: usize| difference(&found, &expected[n]);
        assert!(off(jump) <= COLOUR, "{picture}: frame {jump} is off by {}", off(jump));
        let around = (jump.saturating_sub(3)..=jump + 3).filter(|n| *n != jump && *n < expected.len());
        for other in around {
            assert!(off(other) > 2.0 * COLOUR, "{picture}: frame {other} looks like {jump}");
        }
    }
}

fn blocks(means: &Value) -> Blocks {
    serde_json::from_value(means.clone()).expect("blocks of three numbers")
}

/// The largest difference of a block's colour.
fn difference(found: &Blocks, expected: &Blocks) -> f64 {
    assert_eq!(found.len(), expected.len());
    let samples = found.as_flattened().iter().zip(expected.as_flattened());
    samples.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// A video's frames over the background as ffmpeg shows them in this size.
fn expected(file: &Path, (width, height): (usize, usize), decoder: &str) -> Vec<Blocks> {
    let raw = file.with_extension("rgba");
    let decode = format!(
        "{decoder} -i {} -vf scale={width}:{height} -fps_mode passthrough -pix_fmt rgba -f rawvideo",
        file.display()
    );
    make(&decode, &raw);
    let bytes = std::fs::read(raw).expect("made just now");
    bytes
        .chunks_exact(4 * width * height)
        .map(|frame| means(frame, (width, height)))
        .collect()
}

/// Means of the whole blocks of a picture of red, green, blue and alpha, over the background.
fn means(picture: &[u8], (width, height): (usize, usize)) -> Blocks {
    let corners =
        (0..height / BLOCK).flat_map(|row| (0..width / BLOCK).map(move |column| (row * BLOCK, column * BLOCK)));
    let mean = |(top, left)| {
        let mut sums = [0.0; 3];
        for y in top..top + BLOCK {
            for pixel in picture[4 * (y * width + left)..][..4 * BLOCK].chunks_exact(4) {
                let alpha = f64::from(pixel[3]) / 255.0;
                for (channel, sum) in sums.iter_mut().enumerate() {
                    *sum += f64::from(pixel[channel]) * alpha + BACKGROUND[channel] * (1.0 - alpha);
                }
            }
        }
        sums.map(|sum| sum / (BLOCK * BLOCK) as f64)
    };
    corners.map(mean).collect()
}

/// Runs ffmpeg with these arguments, parted by spaces, to make a file.
fn make(arguments: &str, file: &Path) {
    let arguments = arguments.split_whitespace().map(OsStr::new);
    ffmpeg(arguments.chain([file.as_os_str()]));
}

/// A film with sound, whose pixels are four by three and which is turned on display.
fn turned(path: &Path) {
    let upright = path.with_extension("upright.mp4");
    let sources = format!("-f lavfi -i {PICTURE},setsar=4/3 -f lavfi -i sine=d=2");
    make(
        &format!("{sources} -c:v libx264 -preset ultrafast -bf 2 -pix_fmt yuv420p -c:a aac"),
        &upright,
    );
    make(
        &format!("-i {} -c copy -metadata:s:v rotate=90", upright.display()),
        path,
    );
}

#[test]
fn h264_in_mp4_is_turned_and_wide_and_sounds() {
    let settings = json!({ "preset": "veryfast" });
    let Some(played) = Played::of("film.mp4", turned, &settings) else {
        return;
    };
    // 128×96 pixels of four by three, turned by 90 degrees.
    played.assert_plays((96, 171), true, "");
}

/// A film without sound.
fn plain(path: &Path) {
    make(
        &format!("-f lavfi -i {PICTURE} -c:v libx264 -preset ultrafast -pix_fmt yuv420p"),
        path,
    );
}

#[test]
fn hevc_in_mp4_plays_where_chromium_has_it() {
    let settings = json!({ "codec": "h265", "preset": "ultrafast" });
    let kind = Some("video/mp4; codecs=\"hvc1.1.6.L93.B0\"");
    let Some(played) = Played::of_type(kind, "film.mp4", plain, &settings) else {
        return;
    };
    played.assert_plays((128, 96), false, "");
}

#[test]
fn av1_in_mp4_plays() {
    let settings = json!({ "codec": "av1", "preset": "12", "crf": 20 });
    let Some(played) = Played::of("film.mp4", plain, &settings) else {
        return;
    };
    played.assert_plays((128, 96), false, "");
}

#[test]
fn h264_in_matroska_plays() {
    let settings = json!({ "format": "mkv", "preset": "veryfast" });
    let Some(played) = Played::of("film.mp4", plain, &settings) else {
        return;
    };
    played.assert_plays((128, 96), false, "");
}

/// A film whose left half is transparent, and whose right half becomes so.
fn transparent(path: &Path) {
    let alpha = "geq=lum='p(X,Y)':cb='p(X,Y)':cr='p(X,Y)':a='if(lt(X,32),0,255-4*N)'";
    let picture = format!("{PICTURE},format=yuva420p,{alpha}");
    make(
        &format!("-f lavfi -i {picture} -c:v libvpx-vp9 -crf 10 -b:v 0 -cpu-used 8"),
        path,
    );
}

#[test]
fn the_page_is_seen_through_vp9_with_alpha() {
    let settings = json!({ "preset": "8", "crf": 10 });
    let Some(played) = Played::of("film.webm", transparent, &settings) else {
        return;
    };
    played.assert_plays((128, 96), false, "-c:v libvpx-vp9");
    // Two columns of blocks from the edge, where no ringing of the half's border reaches.
    let shown = blocks(&played.seen["frames"][0]["shown"]);
    for block in shown.chunks(128 / BLOCK).flat_map(|row| &row[..2]) {
        let through = block
            .iter()
            .zip(BACKGROUND)
            .all(|(found, page)| (found - page).abs() <= 1.0);
        assert!(through, "{block:?} is not the page");
    }
}
