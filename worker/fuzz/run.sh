#!/usr/bin/env bash
# Fuzzes the parsers of the worker, one after the other: `make fuzz`.
#
#   worker/fuzz/run.sh SECONDS [TARGET …]     so many seconds each; all of them where none is named
#
# What it builds, and the inputs that reached something new, stay in CLEARFLEET_FUZZ (~/.cache/clearfleet/fuzz): the next run
# goes on from there. An input that breaks something is named, and then it exits with 1.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

seconds=$1
shift
home=${CLEARFLEET_FUZZ:-${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/clearfleet/fuzz}
clips=../../../shared/clips
[ $# -gt 0 ] || set -- inputs/*

# Dependencies at the versions that everything else has.
cp ../../Cargo.lock Cargo.lock
# The instruments are no stable feature; the stable compiler has them all the same.
RUSTC_BOOTSTRAP=1 cargo fuzz build --fuzz-dir . --target-dir "$home/target" parsers
program=$home/target/$(rustc -vV | sed -n 's/^host: //p')/release/parsers

if [ -d "$clips" ] && [ seeds.sh -nt "$home/seeds" ]; then
    echo "fuzz: making inputs of the files in $clips"
    rm -rf "$home/seeds"
    ./seeds.sh "$clips" "$home/seeds"
fi

broken=()
for target in "$@"; do
    target=$(basename "$target")
    [ -d "inputs/$target" ] || { echo "fuzz: there is no target $target; there are: $(ls inputs)" >&2 && exit 2; }
    mkdir -p "$home/corpus/$target" "$home/seeds/$target" "$home/broken"
    echo "fuzz: $target for $seconds s"
    if ! CLEARFLEET_FUZZ_TARGET=$target "$program" -max_total_time="$seconds" -timeout=30 -rss_limit_mb=2048 -max_len=16384 \
        -verbosity=0 -print_final_stats=1 -artifact_prefix="$home/broken/$target-" \
        "$home/corpus/$target" "inputs/$target" "$home/seeds/$target"; then
        broken+=("$target")
    fi
done
if [ ${#broken[@]} -gt 0 ]; then
    echo "fuzz: broken: ${broken[*]}. The inputs lie in $home/broken; one that is mended is kept as worker/fuzz/inputs/TARGET/WHAT-IT-IS" >&2
    exit 1
fi
echo "fuzz: nothing broke"
