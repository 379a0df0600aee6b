#!/usr/bin/env bash
# Makes inputs for the fuzzer of media: what ffprobe and ffmpeg say of each file, and what ffmpeg makes of it.
#
#   worker/fuzz/seeds.sh CLIPS FOLDER     a folder FOLDER/TARGET for each target
#
# Of a file that cannot be read there is what is said of it, and its first bytes.
set -euo pipefail

clips=$1
folder=$2
# Where a segment's clock starts and how it is cut: as the worker has it.
readonly FRAGMENTED=empty_moov+default_base_moof+frag_keyframe+frag_discont+negative_cts_offsets

probe() { ffprobe -v error -print_format json -show_format -show_streams -show_chapters "$1"; }

# small CLIP FRAMES OPTIONS… writes its first frames, small, to standard output
small() {
    local clip=$1 frames=$2
    shift 2
    ffmpeg -nostdin -v error -i "$clip" -map 0:v:0 -frames:v "$frames" -vf scale=16:16 "$@" pipe:1 || true
}

# still CLIP FILE OPTIONS…; some formats need an output that can be sought in
still() {
    local clip=$1 file=$2
    shift 2
    ffmpeg -nostdin -v error -y -i "$clip" -map 0:v:0 -frames:v 1 -vf scale=16:16 "$@" "$file" || true
}

said() {
    local clip=$1 name=$2 answer
    answer=$(probe "$clip" 2>/dev/null) || true
    printf '%s' "$answer" >"$folder/probe/$name"
    {
        printf '%s' "$answer" | tr -d '\n'
        echo
        ffprobe -v error -select_streams v:0 -show_packets -show_entries packet=pts,dts,duration,flags -of csv=p=0 "$clip" | head -n 100
    } >"$folder/packets/$name-packets" || true
    {
        printf '%s' "$answer" | tr -d '\n'
        echo
        small "$clip" 60 -c:v rawvideo -fps_mode passthrough -f framecrc
    } >"$folder/packets/$name-frames"
    ffmpeg -nostdin -v level+verbose -i "$clip" -frames:v 1 -f null - 2>"$folder/log/$name" || true
}

made() {
    local clip=$1 name=$2 format
    small "$clip" 3 -c:v ffv1 -f nut >"$folder/nut/$name-ffv1"
    small "$clip" 3 -c:v rawvideo -pix_fmt yuv420p -f nut >"$folder/nut/$name-raw"
    {
        printf '\x07' # The target counts frames from 1.
        small "$clip" 8 -c:v libx264 -g 4 -movflags "$FRAGMENTED" -f mp4
    } >"$folder/fragment/$name"
    for format in bmp gif jpg png tiff; do still "$clip" "$folder/still/$name.$format"; done
    still "$clip" "$folder/still/$name.webp" -c:v libwebp
    small "$clip" 4 -f gif >"$folder/animation/$name.gif"
    small "$clip" 4 -plays 3 -f apng >"$folder/animation/$name.apng"
    small "$clip" 4 -c:v libwebp_anim -f webp >"$folder/animation/$name.webp"
}

for target in animation fragment log nut packets probe sniff still; do mkdir -p "$folder/$target"; done
for clip in "$clips"/good/* "$clips"/bad/*; do
    name=$(basename "$clip")
    head -c 4096 "$clip" >"$folder/sniff/$name"
    said "$clip" "$name"
    made "$clip" "$name"
done 2>/dev/null
# What could not be made.
find "$folder" -type f -empty -delete
