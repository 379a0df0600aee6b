//! What comes of animated pictures, pixel by pixel: at factor 1 bicubic is the identity.

use clearfleet_common::ErrorCode;
use image::{AnimationDecoder, DynamicImage, RgbaImage};
use vdsr::{FrameUpscaler, Size, picture_from_planes, picture_to_planes};

use super::*;
use crate::steps::pipeline_digest;

/// The same steps with what WebP has: milliseconds, and nothing restored.
fn webp_steps() -> Vec<Step> {
    let step = |(x, y, rows, disposal, delay): Step| {
        let disposal = if disposal == Restore { Clear } else { disposal };
        (x, y, rows, disposal, Delay::milliseconds(delay.num * 10))
    };
    STEPS.map(step).to_vec()
}

/// What is shown of [`webp_steps`].
const CLEARED: [[&str; 4]; 7] = [
    ["RRRRRRRR", "RRRRRRRR", "RRRRRRRR", "RRRRRRRR"],
    ["RRBBBRRR", "RRBBBRRR", "RRRRRRRR", "RRRRRRRR"],
    ["GG...RRR", "GR...RRR", "GGRRRRRR", "RRRRRRRR"],
    [".....RRR", ".....RRR", "..RRWWWW", "RRRRWWWW"],
    ["..B.BRRR", "....BBRR", "..RBWBWW", "RRRRWWWW"],
    ["......RR", "......RR", "......WW", "KKKKKKKK"],
    ["......RR", "......RR", "........", "........"],
];

fn expected(frames: [[&str; 4]; 7], milliseconds: [u32; 7], plays: u32) -> Found {
    Found {
        frames: frames.map(|rows| rows.map(str::to_owned).to_vec()).to_vec(),
        delays: milliseconds.map(|ms| (ms, 1)).to_vec(),
        plays,
    }
}

/// The reader of APNG tells delays in fractions of a millisecond.
fn reduced(mut found: Found) -> Found {
    for (num, den) in &mut found.delays {
        (*num, *den) = (*num / *den, u32::from(*num % *den != 0) + 1);
    }
    found
}

#[track_caller]
fn becomes(source: Vec<u8>, container: Container, expected: &Found) {
    let result = upscaled(source, container, 1.0).unwrap();
    assert_eq!(&reduced(found(&result)), expected, "{container}");
}

#[test]
fn a_gif_keeps_what_it_shows_its_delays_and_its_repeats() {
    for (repeats, plays) in [(None, 1), (Some(0), 0), (Some(3), 4)] {
        let source = gif(&STEPS, repeats);
        becomes(source, Container::Gif, &expected(SHOWN, STATED, plays));
    }
}

#[test]
fn an_apng_keeps_what_it_shows_its_delays_and_its_repeats() {
    for (plays, poster) in [(0, false), (5, true)] {
        let source = apng(&STEPS, plays, poster);
        becomes(source, Container::Apng, &expected(SHOWN, STATED, plays));
    }
}

#[test]
fn a_webp_keeps_what_it_shows_its_delays_and_its_repeats() {
    for plays in [0, 7] {
        let source = webp(&webp_steps(), plays);
        becomes(source, Container::Webp, &expected(CLEARED, STATED, plays.into()));
    }
}

#[test]
fn in_another_format_frames_wait_as_long_as_browsers_make_them() {
    becomes(gif(&STEPS, Some(2)), Container::Apng, &expected(SHOWN, WAITED, 3));
    becomes(apng(&STEPS, 3, false), Container::Webp, &expected(SHOWN, WAITED, 3));
    becomes(webp(&webp_steps(), 1), Container::Gif, &expected(CLEARED, WAITED, 1));
}

/// The source's frames are composed as the tests expect; the rest is the engine's.
#[test]
fn enlarged_frames_are_those_of_the_frames_that_are_shown() {
    let source = apng(&STEPS, 0, false);
    let frames = |bytes: &[u8], container| -> Vec<RgbaImage> {
        let source = io::Cursor::new(bytes);
        let frames = match container {
            Container::Apng => image::codecs::png::PngDecoder::new(source)
                .unwrap()
                .apng()
                .unwrap()
                .into_frames(),
            _ => image::codecs::webp::WebPDecoder::new(source).unwrap().into_frames(),
        };
        let frames = frames.collect_frames().unwrap();
        frames.into_iter().map(image::Frame::into_buffer).collect()
    };
    let plain = upscaled(source.clone(), Container::Apng, 1.0).unwrap();
    let expected: Vec<RgbaImage> = frames(&plain, Container::Apng).into_iter().map(enlarged).collect();
    for container in [Container::Apng, Container::Webp] {
        let result = upscaled(source.clone(), container, 2.5).unwrap();
        for (n, (found, expected)) in frames(&result, container).iter().zip(&expected).enumerate() {
            let differs = found
                .pixels()
                .zip(expected.pixels())
                .position(|(a, b)| a != b && (a.0[3], b.0[3]) != (0, 0));
            assert_eq!(differs, None, "{container}, frame {n}");
        }
    }
}

fn enlarged(frame: RgbaImage) -> RgbaImage {
    let (format, planes) = picture_to_planes(DynamicImage::from(frame)).unwrap();
    let size = Size { width: 20, height: 10 };
    let mut upscaler = FrameUpscaler::open(&*bicubic(), format, size).unwrap();
    let format = upscaler.target_format();
    let mut target = vec![0; format.bytes()];
    upscaler.upscale(&planes, &mut target, &()).unwrap();
    picture_from_planes(format, target).unwrap().into_rgba8()
}

/// A film that ffmpeg's filters make, without loss.
fn film(filters: &str) -> Vec<u8> {
    made(filters, &["-c:v", "ffv1", "-f", "matroska"])
}

/// What ffmpeg's filters make.
fn made(filters: &str, encoder: &[&str]) -> Vec<u8> {
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", filters])
        .args(encoder)
        .arg("-")
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    made.stdout
}

/// Its frames are parts with offsets, and have their transparency in chunks of their own.
#[test]
fn a_webp_with_loss_and_transparency_is_read() {
    let moving = "color=black:s=24x24:r=10:d=0.3,format=rgba,geq=r=250:g=180:b=20:\
                  a=255*clip(8-hypot(X-11.5-2*N\\,Y-11.5)\\,0\\,1)";
    let encoder = "-c:v libwebp_anim -quality 90 -pix_fmt yuva420p -f webp";
    let lossy = made(moving, &encoder.split(' ').collect::<Vec<_>>());
    assert_eq!(lossy.windows(4).filter(|name| name == b"ALPH").count(), 3);
    let result = upscaled(lossy, Container::Apng, 1.0).unwrap();
    let frames = image::codecs::png::PngDecoder::new(io::Cursor::new(&result)).unwrap();
    let frames = frames.apng().unwrap().into_frames().collect_frames().unwrap();
    assert_eq!(frames.len(), 3);
    for (n, frame) in (0..).zip(&frames) {
        for (x, y, pixel) in frame.buffer().enumerate_pixels() {
            let far = (f64::from(x) - 11.5 - f64::from(2 * n)).hypot(f64::from(y) - 11.5);
            let [r, g, b, alpha] = pixel.0;
            let expected = 255.0 * (8.0 - far).clamp(0.0, 1.0);
            assert!(
                (f64::from(alpha) - expected).abs() <= 1.0,
                "frame {n} at {x}, {y}: {alpha}, not {expected}"
            );
            let near = r.abs_diff(250).max(g.abs_diff(180)).max(b.abs_diff(20)) <= 4;
            assert!(alpha == 0 || near, "frame {n} at {x}, {y}: {pixel:?}");
        }
    }
}

#[test]
fn a_film_becomes_an_animation_that_is_played_for_ever() {
    let film = film("color=red:s=8x4:r=25:d=0.2,format=gbrp");
    for container in [Container::Gif, Container::Apng, Container::Webp] {
        let result = reduced(found(&upscaled(film.clone(), container, 1.0).unwrap()));
        assert_eq!((result.delays, result.plays), (vec![(40, 1); 5], 0), "{container}");
        assert!(
            result.frames.iter().flatten().all(|row| row == "RRRRRRRR"),
            "{container}: {:?}",
            result.frames
        );
    }
}

/// Who reads the picture by itself would make other frames of it, and leaves it to those that compose it.
#[test]
fn only_workers_that_compose_frames_take_a_part_of_an_animation() {
    let plan = Job::planned(gif(&STEPS, None), Container::Gif, 1.0).unwrap().plan;
    let digest = |demuxer| pipeline_digest("bicubic", demuxer, &plan.video, &plan.encoder);
    assert_eq!((&*plan.demuxer, &plan.pipeline), ("film", &digest("film")));
    assert_ne!(plan.pipeline, digest("gif"));
    assert_eq!(digest("gif"), digest("mov"));
}

#[test]
fn what_the_result_cannot_be_is_refused_before_the_work() {
    let film = film("color=red:s=8x4:r=60:d=0.1,format=gbrp");
    let refused = |container| {
        Job::planned(film.clone(), container, 1.0)
            .err()
            .map(|e| (e.code(), e.to_string()))
    };
    let message = "viewers show no frame of a gif for less than 20 ms, and one lasts 16.0 ms";
    assert_eq!(
        refused(Container::Gif),
        Some((ErrorCode::SettingsInvalid, message.to_owned()))
    );
    assert_eq!(refused(Container::Apng), None);
    let wide = self::film("color=red:s=4100x2:r=25:d=0.1,format=gbrp");
    let refused = Job::planned(wide, Container::Webp, 4.0).err().unwrap();
    assert_eq!(
        refused.to_string(),
        "webp holds 16383 pixels on an edge, and the result has 16400x8"
    );
}

/// Every pixel of the edge of a soft disc has the disc's colour.
#[test]
fn nothing_dark_comes_from_under_transparency() {
    let soft = film(
        "color=black:s=24x24:r=10:d=0.3,format=rgba,geq=r=250*gt(8-hypot(X-11.5\\,Y-11.5)\\,0):g=180*gt(8-hypot(X-11.5\\,Y-11.5)\\,0):\
         b=20*gt(8-hypot(X-11.5\\,Y-11.5)\\,0):a=255*clip(8-hypot(X-11.5\\,Y-11.5)\\,0\\,1)",
    );
    let result = upscaled(soft, Container::Apng, 2.0).unwrap();
    let frames = image::codecs::png::PngDecoder::new(io::Cursor::new(&result)).unwrap();
    let frames = frames.apng().unwrap().into_frames().collect_frames().unwrap();
    let pixels = || frames.iter().flat_map(|frame| frame.buffer().pixels());
    assert!(pixels().filter(|pixel| !matches!(pixel.0[3], 0 | 255)).count() > 100);
    assert!(pixels().all(|pixel| pixel.0[3] == 0 || pixel.0[..3] == [250, 180, 20]));
}

/// What another program makes of it.
#[test]
fn imagemagick_sees_the_same() {
    let Some(convert) = imagemagick() else { return };
    for container in [Container::Gif, Container::Webp] {
        let result = upscaled(gif(&STEPS, Some(3)), container, 1.0).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(format!("result.{container}"));
        std::fs::write(&file, &result).unwrap();
        let output = Command::new(convert)
            .arg(&file)
            .args(["-coalesce", "-depth", "8", "rgba:-"])
            .output()
            .unwrap();
        let frames: Vec<&[u8]> = output.stdout.chunks(8 * 4 * 4).collect();
        assert_eq!(frames.len(), 7, "{}", String::from_utf8_lossy(&output.stderr));
        for (n, (frame, rows)) in frames.into_iter().zip(SHOWN).enumerate() {
            let pixels = frame.as_chunks::<4>().0.iter().map(|pixel| files::named(*pixel));
            assert_eq!(pixels.collect::<String>(), rows.concat(), "{container}, frame {n}");
        }
    }
}
