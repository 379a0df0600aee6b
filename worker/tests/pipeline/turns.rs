//! Pictures that are flipped and turned on display.

use std::path::{Path, PathBuf};

use clearfleet_common::job::{Codec, Container};

use crate::run::{Run, ffmpeg, ffprobe};

/// Where the axes of pictures point: a, b, c and d of the display matrix, without their fractions.
type Axes = [i32; 4];

/// Four frames with these axes, which ffmpeg 5.1 has no option for.
fn shown(folder: &Path, axes: Axes) -> PathBuf {
    let file = folder.join("source.mp4");
    ffmpeg(&format!(
        "-f lavfi -i testsrc2=s=64x48:r=25:d=0.16 -c:v libx264 -pix_fmt yuv420p {}",
        file.display()
    ));
    let mut bytes = std::fs::read(&file).unwrap();
    let track = bytes.windows(4).position(|name| name == b"tkhd").unwrap();
    for (at, axis) in [0, 4, 12, 16].into_iter().zip(axes) {
        let at = track + 44 + at;
        bytes[at..at + 4].copy_from_slice(&(axis << 16).to_be_bytes());
    }
    std::fs::write(&file, bytes).unwrap();
    file
}

/// The numbers of a file's display matrix, nine of them.
fn matrix(file: &Path) -> Vec<i32> {
    let said = ffprobe("-select_streams v:0 -show_entries stream_side_data=displaymatrix", file);
    let rows = said["streams"][0]["side_data_list"][0]["displaymatrix"]
        .as_str()
        .unwrap_or_default();
    let numbers = rows.lines().filter_map(|row| row.split_once(':'));
    numbers
        .flat_map(|(_, row)| row.split_whitespace().map(|n| n.parse().unwrap()).collect::<Vec<i32>>())
        .collect()
}

fn axes(matrix: &[i32]) -> Axes {
    [matrix[0], matrix[1], matrix[3], matrix[4]].map(|n| n >> 16)
}

#[test]
fn mirrored_pictures_stay_mirrored_and_where_they_were() {
    let folder = tempfile::tempdir().unwrap();
    // Left and right exchanged, top and bottom exchanged, and both diagonals.
    for turn in [[-1, 0, 0, 1], [1, 0, 0, -1], [0, 1, 1, 0], [0, -1, -1, 0]] {
        let source = shown(folder.path(), turn);
        for (codec, container) in [(Codec::H264, Container::Mp4), (Codec::H265, Container::Mov)] {
            let run = Run {
                scale: 2.0,
                ..Run::new(codec, container, 2)
            };
            let found = matrix(&run.upscale(&source).unwrap());
            assert_eq!(axes(&found), turn, "{container}");
            // The corners of 128x96, where they are shown.
            let [a, b, c, d] = turn;
            let (across, down) = (found[6] >> 16, found[7] >> 16);
            let corners = [(0, 0), (128, 0), (0, 96), (128, 96)];
            let shown = corners.map(|(x, y)| (a * x + c * y + across, b * x + d * y + down));
            assert_eq!(shown.iter().min(), Some(&(0, 0)), "{turn:?} in {container}: {found:?}");
        }
    }
}

#[test]
fn turned_pictures_stay_turned() {
    let folder = tempfile::tempdir().unwrap();
    let turn = [0, 1, -1, 0];
    let run = Run::new(Codec::H264, Container::Mp4, 2);
    let result = run.upscale(&shown(folder.path(), turn)).unwrap();
    assert_eq!(axes(&matrix(&result)), turn);
}

#[test]
fn mirroring_that_matroska_does_not_hold_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let notes = |turn| {
        let source = shown(folder.path(), turn);
        Run::new(Codec::H264, Container::Mkv, 4)
            .plan(&source)
            .unwrap()
            .2
            .notes
            .clone()
    };
    assert_eq!(
        notes([1, 0, 0, -1]),
        ["the mirroring on display is left out: mkv does not hold it"]
    );
    assert_eq!(
        notes([0, 1, 1, 0]),
        ["the mirroring and the turn of 90 degrees on display is left out: mkv does not hold it"]
    );
}
