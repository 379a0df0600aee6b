use std::io;
use std::path::PathBuf;

use super::*;

struct Memory(Vec<u8>);

impl SourceBytes for Memory {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = self.0.get(offset as usize..).unwrap_or_default();
        // Short reads are allowed.
        let n = rest.len().min(buffer.len()).min(1000);
        buffer[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }
}

fn kind(bytes: &[u8]) -> Kind {
    look(&Memory(bytes.to_vec())).unwrap()
}

fn refusal(bytes: &[u8], name: &str) -> Option<ErrorCode> {
    sniff(&Memory(bytes.to_vec()), Some(Path::new(name)))
        .err()
        .map(|e| e.code())
}

const GIF_FRAME: &[u8] = b"\x21\xf9\x04\0\0\0\0\0\x2c\0\0\0\0\x01\0\x01\0\x80\xff\xff\xff\0\0\0\x02\x02\x44\x01\0";

fn gif(frames: usize) -> Vec<u8> {
    let mut bytes = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff".to_vec();
    bytes.extend_from_slice(b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0");
    (0..frames).for_each(|_| bytes.extend_from_slice(GIF_FRAME));
    bytes.push(0x3b);
    bytes
}

fn png(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, data) in chunks {
        bytes.extend_from_slice(&(data.len() as u32).to_be_bytes());
        bytes.extend_from_slice(*name);
        bytes.extend_from_slice(data);
        bytes.extend_from_slice(&[0; 4]);
    }
    bytes
}

fn webp(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut bytes = b"RIFF\0\0\0\0WEBP".to_vec();
    for (name, data) in chunks {
        bytes.extend_from_slice(*name);
        bytes.extend_from_slice(&(data.len() as u32).to_le_bytes());
        bytes.extend_from_slice(data);
        bytes.resize(bytes.len().next_multiple_of(2), 0);
    }
    bytes
}

#[test]
fn every_shared_clip_is_what_it_is() {
    let Some(folder) = crate::media::probe::tests::clips() else {
        return;
    };
    let mut seen = 0;
    for entry in std::fs::read_dir(folder.join("good")).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        let found = sniff(&crate::media::serve::FileSource::open(&path).unwrap(), Some(&path)).unwrap();
        let expected = match path.file_name().unwrap().to_str().unwrap() {
            "transparent.gif" => Kind::Still(Picture::Gif),
            name if name.ends_with(".gif") => Kind::Animation(Picture::Gif),
            name if name.ends_with(".mkv") || name.ends_with(".webm") => Kind::Media("Matroska or WebM"),
            name if name.ends_with(".avi") => Kind::Media("AVI"),
            name if name.ends_with(".wmv") => Kind::Media("ASF or WMV"),
            name if name.ends_with(".ts") => Kind::Media("MPEG transport stream"),
            name if name.ends_with(".mpg") => Kind::Media("MPEG program stream"),
            _ => Kind::Media("MP4 or QuickTime"),
        };
        assert_eq!(found, expected, "{}", path.display());
        seen += 1;
    }
    assert!(seen > 30, "{seen}");
}

#[test]
fn pictures_that_move_are_told_from_those_that_do_not() {
    assert_eq!(kind(&gif(1)), Kind::Still(Picture::Gif));
    assert_eq!(kind(&gif(2)), Kind::Animation(Picture::Gif));
    // Cut off in the middle of the second frame's header, and damaged after the first.
    let cut = gif(2);
    assert_eq!(kind(&cut[..cut.len() - GIF_FRAME.len()]), Kind::Still(Picture::Gif));
    assert_eq!(kind(&[&gif(1)[..], &[0x99; 100]].concat()), Kind::Still(Picture::Gif));

    let header = (b"IHDR", &[0; 13][..]);
    let control = |frames: u8| [0, 0, 0, frames, 0, 0, 0, 0];
    // A long colour profile before it, further than what is read at once.
    let profile = vec![1; 200_000];
    let long = png(&[header, (b"iCCP", &profile), (b"acTL", &control(3)), (b"IDAT", b"")]);
    assert_eq!(kind(&long), Kind::Animation(Picture::Png));
    assert_eq!(
        kind(&png(&[header, (b"acTL", &control(1)), (b"IDAT", b"")])),
        Kind::Still(Picture::Png)
    );
    assert_eq!(
        kind(&png(&[header, (b"IDAT", b""), (b"acTL", &control(3))])),
        Kind::Still(Picture::Png)
    );

    let extended = |flags: u8| [flags, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let frames: [(&[u8; 4], &[u8]); 2] = [(b"ANMF", &[0; 31]), (b"ANMF", &[0; 16])];
    assert_eq!(
        kind(&webp(&[(b"VP8X", &extended(2)), frames[0], frames[1]])),
        Kind::Animation(Picture::WebP)
    );
    assert_eq!(
        kind(&webp(&[(b"VP8X", &extended(2)), frames[0]])),
        Kind::Still(Picture::WebP)
    );
    assert_eq!(
        kind(&webp(&[(b"VP8X", &extended(0)), frames[0], frames[1]])),
        Kind::Still(Picture::WebP)
    );
    assert_eq!(kind(&webp(&[(b"VP8L", &[0; 20])])), Kind::Still(Picture::WebP));
}

#[test]
fn signatures_are_known() {
    let packets = |first: &[u8], size: usize| {
        let packet: Vec<u8> = first
            .iter()
            .copied()
            .chain([0x47])
            .chain([0xff].into_iter().cycle())
            .take(size)
            .collect();
        packet.repeat(8)
    };
    for (bytes, expected) in [
        (&b"\xff\xd8\xff\xe0\0\x10JFIF"[..], Kind::Still(Picture::Jpeg)),
        (b"II*\0\x08\0\0\0", Kind::Still(Picture::Tiff)),
        (b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0", Kind::Still(Picture::Bmp)),
        (b"BM is not always a bitmap\0", Kind::Unknown),
        (b"\0\0\0\x18ftypavif\0\0\0\0", Kind::Other("an AVIF picture")),
        (b"\0\0\x01\0\x02\0\x10\x10\0\0\x01\0", Kind::Other("an icon")),
        (b"\0\0\x01\0\0\0\x01\x20\0\x84", Kind::Media("MPEG-4 video")),
        (b"\0\0\x01\xb3\x16\0\xf0", Kind::Media("MPEG video")),
        (b"\0\0\0\x01\x67\x42\0", Kind::Media("H.264")),
        (b"\0\0\0\x01\x40\x01\x0c", Kind::Media("HEVC")),
        (b"YUV4MPEG2 W2 H2 F25:1\n", Kind::Media("YUV4MPEG")),
        (b"RIFF\0\0\0\0WAVEfmt ", Kind::Audio("WAV")),
        (b"OggS\0\x02\0\0\x01vorbis\0", Kind::Audio("Ogg")),
        (b"OggS\0\x02\0\0\x80theora\0", Kind::Media("Ogg")),
        (b"\xff\xfb\x90\x44\0\0", Kind::Audio("MPEG audio")),
        (&packets(&[], 188), Kind::Media("MPEG transport stream")),
        (&packets(&[1, 2, 3, 4], 192), Kind::Media("MPEG transport stream")),
        (b"G is a letter\0", Kind::Unknown),
        (b"\x99\x01\x02\x03", Kind::Unknown),
        (b"", Kind::Empty),
    ] {
        assert_eq!(kind(bytes), expected, "{:?}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn whatever_names_other_files_is_refused() {
    let wide: Vec<u8> = [0xfeff]
        .into_iter()
        .chain("#EXTM3U\nhttp://a/b".encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    for text in [
        &b"#EXTM3U\n#EXT-X-VERSION:3\n"[..],
        b"\xef\xbb\xbf \r\n#EXTM3U\n",
        b"#EXTM3U\n\0\0\0\x01",
        &wide,
        b"ffconcat version 1.0\nfile /etc/hostname\n",
        b"file '/etc/hostname'\nfile 'b'\n",
        b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nc=IN IP4 127.0.0.1\r\nm=video 5004 RTP/AVP 96\r\n",
        b"[playlist]\nFile1=http://a/b\n",
        b"[Reference]\nRef1=http://a/b\n",
        b"<?xml version=\"1.0\"?>\n<!-- <a> -->\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\">",
        b"<smil><body>",
        b"<asx version=\"3.0\">",
        b"<?xml version='1.0'?><playlist version='1' xmlns='http://xspf.org/ns/0/'>",
        b"<svg xmlns='http://www.w3.org/2000/svg'><image href='/etc/hostname'/></svg>",
        b"<?xml version='1.0'?><cpl:CompositionPlaylist>",
        b"<SmoothStreamingMedia>",
        b"http://127.0.0.1/a.mp4\n",
    ] {
        let shown = String::from_utf8_lossy(text);
        assert_eq!(refusal(text, "film.mp4"), Some(ErrorCode::InputPlaylist), "{shown}");
        assert_eq!(refusal(text, "film"), Some(ErrorCode::InputPlaylist), "{shown}");
    }
}

#[test]
fn names_that_lie_are_refused() {
    let mp4 = b"\0\0\0\x18ftypisom\0\0\0\0";
    let jpeg = b"\xff\xd8\xff\xe0\0\x10JFIF";
    let text = "1\n00:00:01,000 --> 00:00:02,000\nGr\u{fc}\u{df}e\n".as_bytes();
    assert_eq!(refusal(mp4, "photo.PNG"), Some(ErrorCode::InputMislabelled));
    assert_eq!(refusal(jpeg, "film.mp4"), Some(ErrorCode::InputMislabelled));
    assert_eq!(refusal(&gif(2), "film.mp4"), Some(ErrorCode::InputMislabelled));
    assert_eq!(refusal(text, "film.mkv"), Some(ErrorCode::InputMislabelled));
    assert_eq!(refusal(text, "film.srt"), Some(ErrorCode::InputUnsupported));
    assert_eq!(refusal(b"fLaC\0\0\0\x22", "song.flac"), Some(ErrorCode::InputNoVideo));
    assert_eq!(refusal(b"PK\x03\x04", "film.zip"), Some(ErrorCode::InputUnsupported));
    assert_eq!(refusal(b"", "film.mp4"), Some(ErrorCode::InputEmpty));
    for (bytes, name) in [
        (&jpeg[..], "photo.png"),
        (mp4, "film.mkv"),
        (mp4, "film"),
        (&gif(2), "a.gif"),
        (b"\x99\x01", "a.mp4"),
    ] {
        assert_eq!(refusal(bytes, name), None, "{name}");
    }
    let error = sniff(&Memory(mp4.to_vec()), Some(Path::new("photo.PNG"))).unwrap_err();
    assert_eq!(
        error.message(),
        "the name ends in .png, and the content is video (MP4 or QuickTime)"
    );
}
