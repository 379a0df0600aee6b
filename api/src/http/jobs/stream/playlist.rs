use std::fmt::Write as _;

use clearfleet_common::job::{Plan, PlannedSound, SoundTrack};

use super::codecs;

/// Bits of a pixel, at most: players that choose among streams are told of a rate, and here is nothing to choose.
const BITS_A_PIXEL: f64 = 0.2;

/// The playlist that names the streams of plan `number`, relative to its own address: the video, and the sound beside it, if
/// there is some.
pub(super) fn of_streams(number: u32, plan: &Plan, sound: Option<&PlannedSound>) -> String {
    let (width, height) = plan.video.target_size;
    let rate = plan.video.frame_rate.as_f64();
    let bandwidth = (f64::from(width) * f64::from(height) * rate * BITS_A_PIXEL)
        .ceil()
        .max(1.0);
    let mut text = "#EXTM3U\n\
         #EXT-X-VERSION:7\n\
         #EXT-X-INDEPENDENT-SEGMENTS\n"
        .to_owned();
    let tracks = sound.map_or(&[][..], |sound| &sound.tracks);
    for n in 0..tracks.len() {
        text.push_str(&rendition(number, n, tracks));
    }
    let codecs = codecs::name(plan).map_or_else(String::new, |video| all_codecs(&video, tracks));
    let group = if tracks.is_empty() { "" } else { ",AUDIO=\"sound\"" };
    let _ = write!(
        text,
        "#EXT-X-STREAM-INF:BANDWIDTH={bandwidth:.0},RESOLUTION={width}x{height},FRAME-RATE={rate:.3}{codecs}{group}\n\
         stream/{number}/video.m3u8\n"
    );
    text
}

/// The codecs of all streams, each once (RFC 8216, section 4.3.4.2): some alone would be taken for all.
fn all_codecs(video: &str, tracks: &[SoundTrack]) -> String {
    let mut codecs = vec![video];
    for track in tracks {
        if !codecs.contains(&track.codec.as_str()) {
            codecs.push(&track.codec);
        }
    }
    format!(",CODECS=\"{}\"", codecs.join(","))
}

/// The `n`th rendition of the sound.
fn rendition(number: u32, n: usize, tracks: &[SoundTrack]) -> String {
    let track = &tracks[n];
    let name = name(n, tracks);
    let language = track.language.as_deref().map(quotable).filter(|text| !text.is_empty());
    let language = language.map_or_else(String::new, |language| format!(",LANGUAGE=\"{language}\""));
    let default = if track.default { "YES" } else { "NO" };
    let channels = track.channels;
    format!(
        "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"sound\",NAME=\"{name}\"{language},DEFAULT={default},AUTOSELECT=YES,\
         CHANNELS=\"{channels}\",URI=\"stream/{number}/sound{n}.m3u8\"\n"
    )
}

/// What a player shows of the `n`th rendition: its title, else its language; with its number where another has the same.
fn name(n: usize, tracks: &[SoundTrack]) -> String {
    let named = |track: &SoundTrack| {
        let texts = [&track.title, &track.language];
        let texts = texts.into_iter().flatten().map(|text| quotable(text));
        texts.into_iter().find(|text| !text.is_empty())
    };
    let own = named(&tracks[n]);
    let is_alone = tracks.iter().filter(|track| named(track) == own).count() == 1;
    match own {
        Some(name) if is_alone => name,
        Some(name) => format!("{name} ({})", n + 1),
        None => format!("{}", n + 1),
    }
}

/// A text without what may not stand between quotation marks (RFC 8216, section 4.2).
fn quotable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && *c != '"').collect()
}

/// The playlist of the video: every batch of `plan`, which knows their times, made or not.
pub(super) fn of_segments(plan: &Plan) -> String {
    let seconds: Vec<f64> = (0..plan.batches.len())
        .map_while(|batch| plan.shown_seconds(batch))
        .collect();
    of_parts("", &seconds)
}

/// The playlist of a rendition of the sound, whose parts have these bounds, in seconds.
pub(super) fn of_sound(track: u32, bounds: &[f64]) -> String {
    let seconds: Vec<f64> = bounds.windows(2).map(|pair| pair[1] - pair[0]).collect();
    of_parts(&format!("sound{track}-"), &seconds)
}

/// A playlist of all parts, which last so many seconds and whose names begin with `prefix`.
fn of_parts(prefix: &str, seconds: &[f64]) -> String {
    // Rounded to whole seconds, none may be longer (RFC 8216, section 4.3.3.1).
    let longest = seconds.iter().copied().fold(1.0, f64::max).round();
    let mut text = format!(
        "#EXTM3U\n\
         #EXT-X-VERSION:7\n\
         #EXT-X-TARGETDURATION:{longest:.0}\n\
         #EXT-X-PLAYLIST-TYPE:VOD\n\
         #EXT-X-MAP:URI=\"{prefix}init.mp4\"\n"
    );
    for (part, seconds) in seconds.iter().enumerate() {
        let _ = write!(text, "#EXTINF:{seconds:.6},\n{prefix}{part}.m4s\n");
    }
    text.push_str("#EXT-X-ENDLIST\n");
    text
}
