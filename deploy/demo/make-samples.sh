#!/usr/bin/env bash
# Makes the two samples that ship with Clearfleet, photo.png and clip.mp4, from their public-domain originals. Nobody has
# to run this: the results are in the repository. It records where they come from, to the last option.
#
#   deploy/demo/make-samples.sh [ASTRONAUT_PNG [NASA_13013_MP4]]
#
# Originals that are not given are downloaded (pip and curl). Another ffmpeg than 5.1.9 may write other bytes.
#
# photo.png  NASA's portrait of the astronaut Eileen Collins (NASA Great Images, https://flic.kr/p/r9qvLn; public domain),
#            as shipped in the PyPI wheel of scikit-image 0.26.0. Cropped to face and flag, then halved by an antialiased
#            bicubic (Keys, a = -0.5), the shrinking that VDSR undoes: so its ×2 can be held against the original.
# clip.mp4   NASA footage of the James Webb Space Telescope's mirrors (public domain), as shipped by
#            https://github.com/meta-pytorch/torchcodec, commit 78ed5ad, test/resources/nasa_13013.mp4. 24 frames, twelve
#            on either side of a cut, halved to 160×90, with their sound.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

photo=${1-}
if [ -z "$photo" ]; then
    python3 -m pip download --quiet --no-deps --only-binary :all: --dest "$scratch" scikit-image==0.26.0
    python3 -m zipfile -e "$scratch"/scikit_image-*.whl "$scratch/wheel"
    photo=$scratch/wheel/skimage/data/astronaut.png
fi
clip=${2-}
if [ -z "$clip" ]; then
    clip=$scratch/nasa_13013.mp4
    curl --fail --silent --show-error --location --output "$clip" \
        https://github.com/meta-pytorch/torchcodec/raw/78ed5ad/test/resources/nasa_13013.mp4
fi
sha256sum --check --quiet <<SUMS
88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5  $photo
53705221cac65086253367787e964e5d7d37beeba007646106a2c780d087c9e1  $clip
SUMS

ffmpeg() { command ffmpeg -nostdin -hide_banner -loglevel error -y "$@"; }
halve='flags=bicubic+accurate_rnd+full_chroma_int+bitexact:param0=0:param1=0.5'

ffmpeg -i "$photo" -frames:v 1 -map_metadata -1 -fflags +bitexact \
    -vf "crop=352:352:0:0,format=gbrp,scale=176:176:$halve,format=rgb24" \
    -c:v png -pred mixed -compression_level 9 "$here/photo.png"

# Stream 0 is the 320×180 picture at 25 fps, the second audio stream the better sound. 24 frames are 0.96 s.
ffmpeg -ss 7.6 -t 0.96 -i "$clip" -map 0:v:0 -map 0:a:1 -frames:v 24 -map_metadata -1 -fflags +bitexact \
    -vf "scale=160:90:$halve" -c:v libx264 -preset veryslow -crf 14 -threads 1 -flags:v +bitexact \
    -c:a aac -b:a 48k -flags:a +bitexact -movflags +faststart "$here/clip.mp4"

ls -l "$here/photo.png" "$here/clip.mp4"
