#!/usr/bin/env bash
# Checks what dist.sh made: checksums, the programs' versions and their dependencies, what the packages hold and ask for, units,
# and lists of materials. lintian is asked too, where it is installed.
#
#   deploy/dist-test.sh [DIR]
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' "$root/Cargo.toml")
scratch=$(mktemp -d)
readonly root version scratch
trap 'rm -rf "$scratch"' EXIT
cd "${1:-$root/dist}"

fail() {
    echo "dist-test: $*" >&2
    exit 1
}
# holds PACKAGE MODE PATH: whether it has that file, of root, with that mode.
holds() {
    dpkg-deb --contents "$1" | awk -v mode="$2" -v path="./$3" '$1 == mode && $2 ~ /^(root\/root|0\/0)$/ && $6 == path { found = 1 } END { exit !found }' ||
        fail "$1 has no $3 with $2"
}
# runs PROGRAM: says its version.
runs() {
    local said
    said=$("$1" --version)
    [ "$said" = "${1##*/} $version" ] || fail "$1 says $said"
    if readelf --section-headers "$1" | grep -q '\.debug_info'; then fail "$1 has symbols for debuggers"; fi
    if ldd "$1" | grep 'not found'; then fail "$1 lacks a library"; fi
}

sha256sum --check --quiet --strict SHA256SUMS
[ "$(grep -c . SHA256SUMS)" -eq "$(find . -maxdepth 1 -type f ! -name SHA256SUMS | wc -l)" ] || fail "not every file has a checksum"

tar -C "$scratch" -xzf "clearfleet-$version-x86_64-linux.tar.gz"
for file in LICENSE NOTICE README.md; do cmp "$root/$file" "$scratch/clearfleet-$version-x86_64-linux/$file"; done
for name in clearfleet clearfleet-worker; do
    runs "$scratch/clearfleet-$version-x86_64-linux/bin/$name"

    deb=${name}_$version-1_amd64.deb
    [ "$(dpkg-deb --field "$deb" Package Version Architecture | tr '\n' ' ')" = \
        "Package: $name Version: $version-1 Architecture: amd64 " ] || fail "$deb is for something else"
    dpkg-deb --field "$deb" Depends | tr ',' '\n' | grep -qx ' *ffmpeg' || fail "$deb does not ask for ffmpeg"
    holds "$deb" -rwxr-xr-x "usr/bin/$name"
    holds "$deb" -rw-r--r-- "usr/share/doc/$name/copyright"
    # It is for passwords.
    settings=etc/clearfleet/${name#clearfleet-}.env
    holds "$deb" -rw------- "$settings"
    [ "$(dpkg-deb --info "$deb" conffiles)" = "/$settings" ] || fail "an upgrade of $deb would replace $settings"
    dpkg-deb --extract "$deb" "$scratch/root"
    runs "$scratch/root/usr/bin/$name"

    # SBOM: as many packages as there are, all of which the lock file knows.
    python3 - "$name-$version.cdx.json" "$name" "$version" <<'PYTHON'
import json, sys
path, name, version = sys.argv[1:]
bill = json.load(open(path, encoding="utf-8"))
main = bill["metadata"]["component"]
assert (bill["bomFormat"], main["name"], main["version"]) == ("CycloneDX", name, version), main
names = {part["name"] for part in bill["components"]}
assert {"tokio", "lapin", "aws-sdk-s3", "candle-core", "clearfleet-common"} <= names, names
silent = [part["name"] for part in bill["components"] if not part.get("licenses")]
assert not silent, f"without a licence: {silent}"
PYTHON
done

# verify wants the programs where the units have them: units of a copy do.
mkdir "$scratch/units"
for unit in clearfleet.service clearfleet-worker@.service; do
    sed "s|^ExecStart=/|ExecStart=$scratch/root/|" "$scratch/root/usr/lib/systemd/system/$unit" >"$scratch/units/$unit"
done
if command -v systemd-analyze >/dev/null; then
    # An instance, since a template alone is not checked; only of our own files are complaints ours.
    cp "$scratch/units/clearfleet-worker@.service" "$scratch/units/clearfleet-worker@0.service"
    said=$(systemd-analyze verify --man=no --recursive-errors=no "$scratch/units/clearfleet.service" \
        "$scratch/units/clearfleet-worker@0.service" 2>&1) || fail "units: $said"
    if grep -F "$scratch/units" <<<"$said"; then fail "units: $said"; fi
    exposure=$(systemd-analyze security --offline=true --threshold=25 "$scratch/units/clearfleet.service" 2>&1 | tail -n 1) ||
        fail "units: $exposure"
    echo "dist-test: ${exposure#→ }"
fi
if command -v lintian >/dev/null; then
    lintian --fail-on error --suppress-tags no-changelog --no-tag-display-limit ./*.deb ||
        fail "lintian complains"
fi
echo "dist-test: nothing to complain about: $(du -h -- clearfleet* | awk '{ printf "%s%s %s", sep, $2, $1; sep = ", " }')"
