//! Real films, encoded badly: nothing may be found in them.

use super::*;
use crate::media::probe::tests::clips;

#[test]
#[ignore]
fn measure() {
    let Some(clips) = clips() else { return };
    let encoders = std::env::var("ENCODERS").unwrap_or("libx264 -crf 35 -preset veryfast".to_owned());
    let folder = Folder::new();
    let mut names: Vec<PathBuf> = std::fs::read_dir(clips.join("good"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    if let Ok(extra) = std::env::var("EXTRA") {
        names = std::fs::read_dir(extra).unwrap().map(|e| e.unwrap().path()).collect();
    }
    names.sort();
    for name in names {
        for encoder in encoders.split(';') {
            let link = folder.path("source");
            let _ = std::fs::remove_file(&link);
            std::fs::copy(&name, &link).unwrap();
            let done = Command::new("ffmpeg").args(["-v", "error", "-nostdin", "-y", "-copyts", "-noautorotate", "-i"]).arg(&link)
            .args("-map 0:v:0 -map 0:a? -c:a copy -map 0:s? -c:s copy -vf scale=trunc(iw)*2:trunc(ih)*2:flags=bicubic -fps_mode passthrough -enc_time_base -1 -pix_fmt yuv420p -c:v".split(' '))
            .args(encoder.split(' ')).args(["-f", "matroska"]).arg(folder.path("result.mkv")).output().unwrap();
            let short = name.file_name().unwrap().to_string_lossy().into_owned();
            if !done.status.success() {
                println!("## {short}: no result");
                continue;
            }
            match verify_files(&link, &folder.path("result.mkv"), Stretch::default()) {
                Err(e) => println!("## {short}: {e}"),
                Ok(r) => {
                    println!(
                        "## {short} {encoder}: {} | {}",
                        check(&r, "pictures").found,
                        check(&r, "tint").found
                    );
                    for c in r.checks.iter().filter(|c| c.verdict == Verdict::Differs) {
                        println!("     {} expected {} found {}", c.name, c.expected, c.found);
                    }
                }
            }
        }
    }
}
