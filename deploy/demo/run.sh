#!/usr/bin/env bash
# The demo: starts the server, sends it the bundled photo and clip, checks both results, stops it, and puts each result
# beside a plain bicubic enlargement. `make demo` builds the program and runs this.
#
#   deploy/demo/run.sh [OUTDIR]       # .demo/ in the clone if none is given
#
# CLEARFLEET names another program than the one that `cargo build` made.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
out=${1:-$root/.demo}
target=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/clearfleet/target}
program=${CLEARFLEET:-$target/debug/clearfleet}
if [ ! -x "$program" ]; then
    echo "demo: $program is not built yet: make demo" >&2
    exit 1
fi
program=$(realpath "$program")
mkdir -p "$out"
out=$(cd "$out" && pwd)
# From here on in the clone's root, with short paths where that is possible.
cd "$root"
out=${out#"$root"/}
photo=deploy/demo/photo.png
clip=deploy/demo/clip.mp4

clearfleet() {
    printf '\n$ clearfleet %s\n' "$*"
    "$program" "$@"
}
# Only heard of when it fails.
quietly() { "$@" >"$scratch/log" 2>&1 || { cat "$scratch/log" >&2; return 1; }; }
ffmpeg() { command ffmpeg -nostdin -hide_banner -loglevel error -y "$@"; }

# before_after BICUBIC RESULT PICTURE [SECOND]: the frame at SECOND of both, pixels doubled, a white line between.
before_after() {
    local at=${4:-0}
    ffmpeg -ss "$at" -i "$1" -ss "$at" -i "$2" -frames:v 1 -update 1 -filter_complex "
        [0:v]format=rgb24,scale=iw*2:ih*2:flags=neighbor,pad=iw+4:ih:0:0:white[before];
        [1:v]format=rgb24,scale=iw*2:ih*2:flags=neighbor[after];
        [before][after]hstack" "$3"
}

scratch=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill -KILL "$server" 2>/dev/null; rm -rf "$scratch"' EXIT
start=$SECONDS

# The server keeps its data in the scratch folder here, and says where it listens when it takes requests.
printf '\n$ clearfleet serve &\n'
"$program" serve --listen 127.0.0.1:0 --data-dir "$scratch/data" --json >"$scratch/serve" 2>"$scratch/serve.log" &
server=$!
url=
for _ in $(seq 300); do
    url=$(sed -n 's/.*"url":"\([^"]*\)".*/\1/p' "$scratch/serve")
    if [ -n "$url" ] || ! kill -0 "$server" 2>/dev/null; then break; fi
    sleep 0.1
done
[ -n "$url" ] || { echo "demo: the server does not start:" >&2; cat "$scratch/serve" "$scratch/serve.log" >&2; exit 1; }
echo "listening on $url"

clearfleet submit "$photo" "$clip" --server "$url" --scale 2 --wait -o "$out" --overwrite
clearfleet verify "$photo" "$out/photo-2x.png"
clearfleet verify "$clip" "$out/clip-2x.mp4"

kill -TERM "$server"
if wait "$server"; then
    echo "the server has stopped"
else
    echo "demo: the server did not stop well:" >&2
    cat "$scratch/serve.log" >&2
    exit 1
fi
server=

quietly "$program" upscale "$photo" "$scratch/photo.png" --scale 2 --engine bicubic
quietly "$program" upscale "$clip" "$scratch/clip.mp4" --scale 2 --engine bicubic
before_after "$scratch/photo.png" "$out/photo-2x.png" "$out/photo-before-after.png"
before_after "$scratch/clip.mp4" "$out/clip-2x.mp4" "$out/clip-before-after.png" 0.2

cat <<DONE

demo: done in $((SECONDS - start)) s. Results:
  $out/photo-2x.png
  $out/clip-2x.mp4
Before and after (left: plain bicubic, right: Clearfleet; pixels doubled):
  $out/photo-before-after.png
  $out/clip-before-after.png
DONE
