//! Films that are encoded badly: nothing may be found in them.

use super::*;
use crate::media::probe::tests::clips;

/// Results of the service's worst quality.
const ENCODERS: [&str; 2] = [
    "libx264 -crf 35 -preset veryfast",
    "libvpx-vp9 -crf 45 -b:v 0 -cpu-used 8 -row-mt 1",
];

#[track_caller]
fn holds(folder: &Folder, source: &str) {
    for encoder in ENCODERS {
        folder.ffmpeg(&format!(
            "-copyts -noautorotate -i {source} -map 0:v:0 -map 0:a? -vf scale=iw*2:ih*2:flags=bicubic -fps_mode passthrough \
             -enc_time_base -1 -pix_fmt yuv420p -c:a copy -c:v {encoder} result.mkv"
        ));
        differs(&folder.verify(source, "result.mkv"), &[]);
    }
}

#[test]
fn films_hold_at_low_quality() {
    let Some(clips) = clips() else { return };
    let folder = Folder::new();
    let names = [
        "animated.gif",
        "discard_first_keyframe.mp4",
        "bear-vp9-odd-dimensions.webm",
        "h264_10bits.mp4",
        "testsrc2_mpeg4.avi",
    ];
    for name in names {
        std::fs::copy(clips.join("good").join(name), folder.path(name)).unwrap();
        holds(&folder, name);
    }
}

#[test]
fn fades_noise_and_slow_motion_hold_at_low_quality() {
    let folder = Folder::new();
    let sources = [
        "testsrc2=s=64x48:r=25:d=1.2,fade=in:0:25",
        "color=gray:s=64x48:r=25:d=1.2,noise=alls=30:allf=t",
        "color=gray:s=64x48:r=25:d=1.2,geq=lum='128+100*sin(X/9+N/30)':cb=128:cr=128",
        "color=gray:s=64x48:r=25:d=1.2,geq=lum='128+20*sin(X/3+N/3)':cb=128:cr=128",
    ];
    for source in sources {
        folder.ffmpeg(&format!(
            "-f lavfi -i {source} -c:v libx264 -crf 12 -pix_fmt yuv420p source.mp4"
        ));
        holds(&folder, "source.mp4");
    }
}
