//! Results as players see them that are not ffmpeg: MKVToolNix reads them, Chromium plays them.

mod chromium;
mod matroska;
