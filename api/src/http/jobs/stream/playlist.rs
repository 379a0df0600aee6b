use std::fmt::Write as _;

use clearfleet_common::job::Plan;

use super::codecs;

/// Bits of a pixel, at most: players that choose among streams are told of a rate, and here is nothing to choose.
const BITS_A_PIXEL: f64 = 0.2;

/// The playlist that names the streams of plan `number`, relative to its own address.
pub(super) fn of_streams(number: u32, plan: &Plan) -> String {
    let (width, height) = plan.video.target_size;
    let rate = plan.video.frame_rate.as_f64();
    let bandwidth = (f64::from(width) * f64::from(height) * rate * BITS_A_PIXEL)
        .ceil()
        .max(1.0);
    let codec = codecs::name(plan).map_or_else(String::new, |name| format!(",CODECS=\"{name}\""));
    format!(
        "#EXTM3U\n\
         #EXT-X-VERSION:7\n\
         #EXT-X-INDEPENDENT-SEGMENTS\n\
         #EXT-X-STREAM-INF:BANDWIDTH={bandwidth:.0},RESOLUTION={width}x{height},FRAME-RATE={rate:.3}{codec}\n\
         stream/{number}/video.m3u8\n"
    )
}

/// The playlist of the video: every batch of `plan`, which knows their times, made or not.
pub(super) fn of_segments(plan: &Plan) -> String {
    let seconds: Vec<f64> = (0..plan.batches.len())
        .map_while(|batch| plan.shown_seconds(batch))
        .collect();
    // Rounded to whole seconds, none may be longer (RFC 8216, section 4.3.3.1).
    let longest = seconds.iter().copied().fold(1.0, f64::max).round();
    let mut text = format!(
        "#EXTM3U\n\
         #EXT-X-VERSION:7\n\
         #EXT-X-TARGETDURATION:{longest:.0}\n\
         #EXT-X-PLAYLIST-TYPE:VOD\n\
         #EXT-X-MAP:URI=\"init.mp4\"\n"
    );
    for (batch, seconds) in seconds.iter().enumerate() {
        let _ = write!(text, "#EXTINF:{seconds:.6},\n{batch}.m4s\n");
    }
    text.push_str("#EXT-X-ENDLIST\n");
    text
}
