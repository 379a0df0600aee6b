#!/usr/bin/env bash
# Makes what is given to others, in dist/: programs as a .tar.gz, Debian packages, lists of what is in them (CycloneDX), and
# checksums; and checks it. `make dist` installs the tools, builds the programs in release mode and runs this.
#
#   deploy/dist.sh [--images] [--programs DIR] [DIR]
#
#   --images         also docker images of the same programs, clearfleet/api:VERSION and clearfleet/worker:VERSION, in the engine
#                    that answers (as root one is started where there is none) and as a file that `docker load` takes
#   --programs DIR   other programs than those that `cargo build --release` made
#   DIR              in place of dist/ in the clone; what is there is replaced
#
# From one commit and one toolchain in one place, files come out the same to the byte.
#
# The worker for GPUs is not among it yet: its feature, `cuda`, does not exist. When it does, `cuda` below is its place.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root
cache=${XDG_CACHE_HOME:-$HOME/.cache}/clearfleet
export PATH=${CLEARFLEET_TOOLS:-$cache/tools}/bin:$PATH
programs=${CARGO_TARGET_DIR:-$cache/target}/release
images=no
out=$root/dist
while [ $# -gt 0 ]; do
    case $1 in
        --images) images=yes ;;
        --programs)
            programs=${2:?--programs takes a folder}
            shift
            ;;
        --*)
            sed -n '/^#   deploy/s/^#   /usage: /p' "${BASH_SOURCE[0]}" >&2
            exit 2
            ;;
        *) out=$1 ;;
    esac
    shift
done
programs=$(cd "$programs" && pwd)
scratch=$(mktemp -d)
readonly scratch
# shellcheck source=deploy/docker/engine.sh
. "$root/deploy/docker/engine.sh"
engine_pid=
trap 'engine_stop; rm -rf "$scratch"' EXIT

cd "$root"
version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' Cargo.toml)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
readonly version package=clearfleet-$version-x86_64-linux
export SOURCE_DATE_EPOCH
export TZ=UTC LC_ALL=C.UTF-8

say() { printf 'dist: %s\n' "$*"; }
fail() {
    echo "dist: $*" >&2
    exit 1
}

# The programs without symbols, laid out as cargo-deb looks for them.
strip_programs() {
    local program
    mkdir -p "$scratch/target/release"
    for program in clearfleet clearfleet-worker; do
        [ -x "$programs/$program" ] || fail "$programs/$program is not built: make dist"
        strip -o "$scratch/target/release/$program" "$programs/$program"
    done
}

tarball() {
    local folder=$scratch/$package
    mkdir -p "$folder/bin"
    cp "$scratch"/target/release/* "$folder/bin/"
    cp LICENSE NOTICE README.md "$folder/"
    chmod -R u=rwX,go=rX "$folder"
    tar -C "$scratch" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner -c "$package" |
        gzip -n9 >"$out/$package.tar.gz"
}

debian_packages() {
    local name
    for name in clearfleet clearfleet-worker; do
        CARGO_TARGET_DIR=$scratch/target cargo deb --locked --package "$name" --no-build --no-strip --output "$out/" >/dev/null
    done
}

# What each program is made of. The tool writes beside every Cargo.toml: so in a copy, of what git knows.
bills_of_materials() {
    local name
    mkdir "$scratch/source"
    git ls-files -z -- '*Cargo.toml' Cargo.lock '*.rs' | tar -c --null -T - | tar -x -C "$scratch/source"
    for name in api worker; do
        (cd "$scratch/source" && cargo cyclonedx -qq --manifest-path "$name/Cargo.toml" --format json --spec-version 1.5 \
            --target x86_64-unknown-linux-gnu --no-build-deps)
    done
    # Names of our own crates are paths to that copy.
    sed "s|$scratch/source|/clearfleet|g" "$scratch/source/api/clearfleet.cdx.json" >"$out/clearfleet-$version.cdx.json"
    sed "s|$scratch/source|/clearfleet|g" "$scratch/source/worker/clearfleet-worker.cdx.json" >"$out/clearfleet-worker-$version.cdx.json"
}

# The place of the worker for GPUs: a target folder of its own, `. ../shared/tools/cuda-env.sh`, `cargo build --release --locked
# -p clearfleet-worker --features cuda`; then a tarball …-x86_64-linux-cuda.tar.gz and cargo-deb's variant `cuda`.
cuda() {
    if grep -q '^cuda = ' worker/Cargo.toml; then fail "there is a feature cuda now, and nothing here that makes its package"; fi
}

docker_images() {
    local target image base context=$scratch/context made=()
    engine_start "$cache/docker" "$scratch"
    base=$(base_image)
    mkdir -p "$context"
    cp -r "$scratch/target/release" "$context/bin"
    for target in api worker; do
        image=${CLEARFLEET_REGISTRY:-clearfleet}/$target:$version
        "$docker_cli" build --quiet --network host --file deploy/docker/Dockerfile --target "$target" \
            --build-arg PROGRAMS=prebuilt --build-arg BASE_IMAGE="$base" --build-arg VERSION="$version" \
            --tag "$image" "$context" >/dev/null
        says_its_version "$image"
        made+=("$image")
        say "image $image on $base"
    done
    "$docker_cli" save "${made[@]}" | gzip -n >"$out/clearfleet-$version-images.tar.gz"
    engine_stop
}

# What images are built on: BASE_IMAGE, else Debian's slim one of a registry, else one that is made here.
base_image() {
    local slim=debian:bookworm-slim
    if [ -n "${BASE_IMAGE-}" ]; then
        echo "$BASE_IMAGE"
    elif "$docker_cli" image inspect "$slim" >/dev/null 2>&1 || timeout 120 "$docker_cli" pull --quiet "$slim" >/dev/null 2>&1; then
        echo "$slim"
    else
        debian bookworm >&2
        echo clearfleet-test/debian:bookworm
    fi
}

# An image is run as an operator would run it: read-only, without a network.
says_its_version() {
    local said
    said=$("$docker_cli" run --rm --read-only --network none "$1" --version)
    case $said in
        *" $version"*) ;;
        *) fail "$1 says $said, and not $version" ;;
    esac
}

if [ -n "$(git status --porcelain)" ]; then say "there are changes that are not committed: what is made is of no commit"; fi
mkdir -p "$out"
out=$(cd "$out" && pwd)
rm -f "$out"/clearfleet* "$out/SHA256SUMS"
strip_programs
tarball
debian_packages
bills_of_materials
cuda
if [ "$images" = yes ]; then docker_images; fi
(cd "$out" && sha256sum -- clearfleet* >SHA256SUMS)
"$root/deploy/dist-test.sh" "$out"
