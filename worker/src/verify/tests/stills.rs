//! Still pictures.

use image::ImageEncoder;
use image::codecs::png::PngEncoder;
use image::imageops::FilterType;

use super::*;

fn photo(folder: &Folder) {
    folder.ffmpeg("-f lavfi -i testsrc2=s=96x64:d=0.04 -pix_fmt rgb24 -frames:v 1 source.png");
}

#[test]
fn a_right_still_holds() {
    let folder = Folder::new();
    photo(&folder);
    for result in ["result.png", "result.jpg", "result.webp"] {
        folder.ffmpeg(&format!("-i source.png -vf scale=192:128:flags=bicubic {result}"));
        let report = folder.verify("source.png", result);
        differs(&report, &[]);
        let names = ["size", "pictures", "channels", "bits", "icc", "rotation"];
        assert_eq!(report.checks.iter().map(|c| c.name).collect::<Vec<_>>(), names);
        assert_eq!(check(&report, "size").found, "192x128, times 2.000 in width");
    }
}

#[test]
fn another_still_a_turned_one_and_other_sizes_are_found() {
    let folder = Folder::new();
    photo(&folder);
    let wrong = |arguments: &str, names: &[&str]| {
        folder.ffmpeg(&format!("{arguments} -frames:v 1 -pix_fmt rgb24 result.png"));
        differs(&folder.verify("source.png", "result.png"), names);
    };
    wrong("-f lavfi -i smptebars=s=192x128:d=0.04", &["pictures"]);
    wrong("-i source.png -vf hflip,scale=192:128", &["pictures"]);
    wrong("-i source.png -vf scale=192:120", &[]);
    assert_eq!(
        of_verdict(&folder.verify("source.png", "result.png"), Verdict::Named),
        ["size"]
    );
    wrong("-i source.png -vf scale=48:32", &["size"]);
    folder.ffmpeg("-f lavfi -i testsrc2=s=192x128:d=0.4 result.mp4");
    differs(&folder.verify("source.png", "result.mp4"), &["kind"]);
}

#[test]
fn lost_transparency_bits_and_colour_are_found_or_named() {
    let folder = Folder::new();
    folder.ffmpeg(
        "-f lavfi -i testsrc2=s=96x64:d=0.04 -vf format=rgba64be,geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='65535*gt(X,40)' \
         -frames:v 1 source.png",
    );
    let differs_and_named = |result: &str| {
        let report = folder.verify("source.png", result);
        (
            of_verdict(&report, Verdict::Differs),
            of_verdict(&report, Verdict::Named),
        )
    };
    folder.ffmpeg("-i source.png -vf scale=192:128,format=rgba64be right.png");
    assert_eq!(differs_and_named("right.png"), (vec![], vec![]));
    folder.ffmpeg("-i source.png -vf scale=192:128,format=rgb24 less.png");
    assert_eq!(differs_and_named("less.png"), (vec!["channels", "bits"], vec![]));
    folder.ffmpeg("-i source.png -vf scale=192:128,format=yuvj444p less.jpg");
    assert_eq!(differs_and_named("less.jpg"), (vec![], vec!["channels", "bits"]));
}

#[test]
fn a_lost_profile_or_orientation_is_found() {
    let folder = Folder::new();
    photo(&folder);
    let picture = image::open(folder.path("source.png")).unwrap();
    // EXIF in big-endian order with one entry: orientation 6.
    let exif = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0".to_vec();
    let write = |name: &str, larger: u32, icc: Option<&[u8]>, exif: Option<&Vec<u8>>| {
        let made = picture
            .resize_exact(96 * larger, 64 * larger, FilterType::CatmullRom)
            .to_rgb8();
        let mut encoder = PngEncoder::new(std::fs::File::create(folder.path(name)).unwrap());
        if let Some(icc) = icc {
            encoder.set_icc_profile(icc.to_vec()).unwrap();
        }
        if let Some(exif) = exif {
            encoder.set_exif_metadata(exif.clone()).unwrap();
        }
        encoder
            .write_image(&made, made.width(), made.height(), image::ExtendedColorType::Rgb8)
            .unwrap();
    };
    write("source.png", 1, Some(b"a profile"), Some(&exif));
    write("result.png", 2, Some(b"a profile"), Some(&exif));
    let report = folder.verify("source.png", "result.png");
    differs(&report, &[]);
    assert_eq!(
        (
            check(&report, "icc").found.as_str(),
            check(&report, "rotation").found.as_str()
        ),
        ("9 bytes", "Rotate90")
    );
    write("result.png", 2, Some(b"a profilf"), Some(&exif));
    differs(&folder.verify("source.png", "result.png"), &["icc"]);
    write("result.png", 2, Some(b"a profile"), None);
    differs(&folder.verify("source.png", "result.png"), &["rotation"]);
}
