//! How NUT names raw video.

/// The tag by which ffmpeg 5.1 knows raw video of a pixel format in NUT, `None` where none is known here.
///
/// `yuvj*` have the tags of `yuv*`: NUT does not say which range the values have.
pub(crate) fn raw_fourcc(pix_fmt: &str) -> Option<[u8; 4]> {
    Some(match pix_fmt {
        "gray" => *b"Y800",
        "gray10le" => [b'Y', b'1', 0, 10],
        "gray12le" => [b'Y', b'1', 0, 12],
        "gray16le" => [b'Y', b'1', 0, 16],
        "ya8" => [b'Y', b'2', 0, 8],
        "yuv420p" | "yuvj420p" => *b"I420",
        "yuv422p" | "yuvj422p" => *b"Y42B",
        "yuv444p" | "yuvj444p" => *b"444P",
        "yuv420p10le" => [b'Y', b'3', 11, 10],
        "yuv420p12le" => [b'Y', b'3', 11, 12],
        "yuv422p10le" => [b'Y', b'3', 10, 10],
        "yuv422p12le" => [b'Y', b'3', 10, 12],
        "yuv444p10le" => [b'Y', b'3', 0, 10],
        "yuv444p12le" => [b'Y', b'3', 0, 12],
        "yuva420p" => [b'Y', b'4', 11, 8],
        "yuva420p10le" => [b'Y', b'4', 11, 10],
        "yuva422p" => [b'Y', b'4', 10, 8],
        "yuva422p10le" => [b'Y', b'4', 10, 10],
        "yuva444p" => [b'Y', b'4', 0, 8],
        "yuva444p10le" => [b'Y', b'4', 0, 10],
        "gbrp" => [b'G', b'3', 0, 8],
        "gbrp10le" => [b'G', b'3', 0, 10],
        "gbrp12le" => [b'G', b'3', 0, 12],
        "gbrap" => [b'G', b'4', 0, 8],
        "gbrap10le" => [b'G', b'4', 0, 10],
        "gbrap12le" => [b'G', b'4', 0, 12],
        _ => return None,
    })
}
