//! Which of ffmpeg's demuxers may read a user's file.
//!
//! A demuxer is on the list when people have files of it and it opens nothing but the one input it is given. Left out
//! on purpose:
//! * those that open what a file names: `hls`, `dash`, `concat`, `imf`, `sdp`, `rtsp`, `rtp`, `sap`, `image2`, `vobsub`,
//!   `mlv` (its further parts), `webm_dash_manifest`, and `lavfi`, which runs filter scripts;
//! * devices: `alsa`, `fbdev`, `kmsgrab`, `v4l2`, `x11grab` and their like;
//! * those that make a picture of any bytes or any text: `rawvideo`, `tty`, `ass`, `srt`, `sbg`, the `*_pipe` ones (still
//!   pictures are not decoded by ffmpeg), `libgme`, `libopenmpt`;
//! * formats of single games and instruments: code that nobody looks after.

/// The demuxers, by the first of the names that ffmpeg 5.1 lists them with, which `-f` accepts.
pub const DEMUXERS: [&str; 36] = [
    // QuickTime, MP4, 3GP. It can open files that its `dref` names; `enable_drefs` is off, and said to be off below.
    "mov",
    // Matroska and WebM. Linked segments are not followed.
    "matroska",
    "avi",
    // ASF and WMV; `asf_o` is an older reader of the same.
    "asf",
    "asf_o",
    "mpegts",
    // Program streams: MPG, VOB, and MPEG elementary video.
    "mpeg",
    "mpegvideo",
    // Flash and its offspring; external ones that its metadata names are not followed.
    "flv",
    "kux",
    "ogg",
    // Animations.
    "gif",
    "apng",
    // Elementary streams.
    "h264",
    "hevc",
    "m4v",
    "h263",
    "h261",
    "vc1",
    "vc1test",
    "mjpeg",
    "cavsvideo",
    "dirac",
    "obu",
    "av1",
    "ivf",
    // Recorders and studios. MXF opens no external essence.
    "wtv",
    "mxf",
    "gxf",
    "dv",
    "dhav",
    // What else people kept.
    "nut",
    "nuv",
    "nsv",
    "rm",
    "yuv4mpegpipe",
];

/// The list as ffmpeg's `-format_whitelist` takes it.
pub fn whitelist() -> String {
    DEMUXERS.join(",")
}

/// The one name for `-f` of a format as ffprobe names it, such as `mov` for `mov,mp4,m4a,3gp,3g2,mj2`; nothing for one
/// that is not on the list.
pub fn demuxer(format_name: &str) -> Option<&'static str> {
    format_name
        .split(',')
        .find_map(|name| DEMUXERS.into_iter().find(|d| *d == name.trim()))
}

/// Options that go before `-i` with a demuxer: what may open another file is said to be off, though off is its default.
pub fn demuxer_arguments(demuxer: &str) -> &'static [&'static str] {
    match demuxer {
        "mov" => &["-enable_drefs", "0", "-use_absolute_path", "0"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_commas_come_down_to_one() {
        assert_eq!(demuxer("mov,mp4,m4a,3gp,3g2,mj2"), Some("mov"));
        assert_eq!(demuxer("matroska,webm"), Some("matroska"));
        assert_eq!(demuxer("hls"), None);
        assert_eq!(demuxer(""), None);
    }

    #[test]
    fn nothing_that_opens_other_files_is_on_the_list() {
        let refused = [
            "hls",
            "dash",
            "concat",
            "sdp",
            "imf",
            "image2",
            "image2pipe",
            "lavfi",
            "mlv",
            "tty",
            "vobsub",
            "rawvideo",
            "rtsp",
        ];
        assert!(refused.iter().all(|r| !DEMUXERS.contains(r)));
        assert!(DEMUXERS.iter().all(|d| !d.ends_with("_pipe")));
    }
}
