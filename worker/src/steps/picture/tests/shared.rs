//! Real pictures, where the shared data is there.

use std::path::PathBuf;

use super::*;
use crate::media::serve::FileSource;

fn shared() -> PathBuf {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared"));
    std::env::var_os("CLEARFLEET_SHARED").map_or_else(beside, PathBuf::from)
}

/// Enlarged and compared with what is there: bicubic upscaling keeps the mean of every picture.
#[test]
fn set5_is_upscaled() {
    let folder = shared().join("data/set5");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("skipped: {} is not there", folder.display());
        return;
    };
    let mut pictures = 0;
    for entry in entries {
        let path = entry.unwrap().path();
        let original = image::open(&path).unwrap();
        let source = FileSource::open(&path).unwrap();
        let mut output = Cursor::new(Vec::new());
        let request = request("2", StillFormat::Png);
        let engine = bicubic();
        let report = picture(
            &source,
            &request,
            engine.as_ref(),
            &Limits::default(),
            &Stop::new(),
            &(),
            &mut output,
        )
        .unwrap();
        let result = image::load_from_memory(output.get_ref()).unwrap();
        assert_eq!(
            report.target_size,
            (2 * original.width(), 2 * original.height()),
            "{}",
            path.display()
        );
        assert_eq!((result.width(), result.height()), report.target_size);
        assert_eq!(result.color(), original.color());
        // Four pixels each became one again.
        let (original, result) = (original.to_rgb8(), result.to_rgb8());
        let mut squares = 0.0;
        for (x, y, pixel) in original.enumerate_pixels() {
            for channel in 0..3 {
                let at = |dx, dy| f64::from(result.get_pixel(2 * x + dx, 2 * y + dy).0[channel]);
                let mean = (at(0, 0) + at(1, 0) + at(0, 1) + at(1, 1)) / 4.0;
                squares += (mean - f64::from(pixel.0[channel])).powi(2);
            }
        }
        let psnr =
            20.0 * 255f64.log10() - 10.0 * (squares / (3.0 * f64::from(original.width() * original.height()))).log10();
        println!("{}: {psnr:.2} dB", path.display());
        assert!(psnr > 30.0, "{}: {psnr:.2} dB", path.display());
        pictures += 1;
    }
    assert_eq!(pictures, 5);
}

/// Run alone, since the peak is the whole process's:
/// `cargo test -p clearfleet-worker --lib large_result -- --ignored --nocapture`.
#[test]
#[ignore = "takes a minute, and counts the memory of all tests that run beside it"]
fn a_large_result_stays_far_under_two_gigabytes_and_a_half() {
    let peak = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photo.jpg");
    // Grain on a slope, as a photo has.
    let photo = RgbImage::from_fn(4000, 3000, |x, y| {
        let grain = ((x * 7919 + y * 104_729).wrapping_mul(2_654_435_761) >> 28) as u8;
        Rgb([(x / 18) as u8 + grain, (y / 13) as u8 + grain, 90 + grain])
    });
    std::fs::write(&path, file(&photo.into(), StillFormat::Jpeg)).unwrap();
    let source = FileSource::open(&path).unwrap();
    println!("before: {} MiB", peak());
    for format in FORMATS {
        let began = std::time::Instant::now();
        let mut output = tempfile::tempfile_in(&folder).unwrap();
        let request = request("8000x6000", format);
        picture(
            &source,
            &request,
            bicubic().as_ref(),
            &Limits::default(),
            &Stop::new(),
            &(),
            &mut output,
        )
        .unwrap();
        let megabytes = output.metadata().unwrap().len() >> 20;
        println!(
            "{format}: peak so far {} MiB, {:.1} s, {megabytes} MiB",
            peak(),
            began.elapsed().as_secs_f64()
        );
    }
    assert!(peak() < 1500, "{} MiB", peak());
}
