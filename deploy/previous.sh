#!/usr/bin/env bash
# Builds the programs of the version before this one and prints the folder that they are in; once built, they are kept.
# `make upgrade-test` runs this.
#
#   deploy/previous.sh [REVISION]
#
# The version before is REVISION, or else the newest tag that this one comes after.
set -euo pipefail

# What there is instead until there is a tag: the last commit whose events have no topics and whose workers do not audit, so that
# a fleet is rolled over both changes. When the first release is tagged, this goes.
readonly UNTAGGED=9210f945b2d0c8e3886cfe2777abeae8926319e2
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root folder=${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/clearfleet/previous

say() { printf 'previous: %s\n' "$*" >&2; }
fail() {
    say "$*"
    exit 1
}

# The newest tag among this commit's ancestors; its own tags do not count.
newest_tag() {
    local tag own=()
    while read -r tag; do own+=(--exclude "$tag"); done < <(git -C "$root" tag --points-at HEAD)
    git -C "$root" describe --tags --abbrev=0 "${own[@]}" 2>/dev/null
}

revision=${1:-$(newest_tag || echo "$UNTAGGED")}
commit=$(git -C "$root" rev-parse --quiet --verify "$revision^{commit}") ||
    fail "there is no $revision here; of a shallow clone: git fetch --unshallow --tags"
readonly programs=$folder/$commit tree=$folder/tree
[ "$commit" != "$(git -C "$root" rev-parse HEAD)" ] || fail "$revision is this version"

mkdir -p "$folder"
# All clones build here.
exec 9>"$folder/lock"
flock 9
if [ ! -d "$programs" ]; then
    say "building the programs of $revision"
    # Of a run that was killed.
    rm -rf "$tree"
    git -C "$root" worktree prune
    trap 'git -C "$root" worktree remove --force "$tree"' EXIT
    # A checkout of now, so that what cargo built of another version is older and does not count.
    git -C "$root" worktree add --quiet --detach "$tree" "$commit"
    # A folder of its own: in one that both versions share, cargo would take one's crates for the other's.
    (cd "$tree" && CARGO_TARGET_DIR=$folder/target cargo build --locked -p clearfleet -p clearfleet-worker >&2)
    rm -rf "$programs.new"
    mkdir "$programs.new"
    cp "$folder/target/debug/clearfleet" "$folder/target/debug/clearfleet-worker" "$programs.new"
    mv "$programs.new" "$programs"
fi
say "the version before is $(git -C "$root" log -1 --format='%h, %s' "$commit")"
echo "$programs"
