#!/usr/bin/env bash
# Renders the overlays and checks them without a cluster: strictly against the schemas of Kubernetes, KEDA and the Prometheus
# operator, and against the rules of check/rules.py. Then breaks each promise once, to see it missed.
#
#   k8s/check.sh [OVERLAY…]     all in k8s/overlays, or folders such as an overlay of your own
#
# Its tools come from PyPI and the Go module proxy, at the versions below, into a folder outside the clone.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
readonly tools=${CLEARFLEET_TOOLS:-${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/clearfleet/tools}
readonly venv=$tools/k8s
readonly KUSTOMIZE=sigs.k8s.io/kustomize/kustomize/v5@v5.7.1
# Modules with definitions of resources, and the checksums of what is in them.
readonly KEDA=github.com/kedacore/keda/v2@v2.21.0
readonly KEDA_SUM=h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps=
readonly PROMETHEUS=github.com/prometheus-operator/prometheus-operator@v0.85.0
readonly PROMETHEUS_SUM=h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=

say() { printf 'k8s: %s\n' "$*"; }
die() { say "$*" >&2; exit 1; }

# module, its sum, files in it: copies the files into the folder of definitions.
fetch() {
    local module=$1 sum=$2 told folder file
    shift 2
    told=$(cd / && go mod download -json "$module") || die "$module cannot be downloaded: $told"
    [ "$(sed -n 's/^\t"Sum": "\(.*\)",\{0,1\}$/\1/p' <<<"$told")" = "$sum" ] || die "$module is not what it was: expected $sum"
    folder=$(sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p' <<<"$told")
    for file in "$@"; do install -m 644 "$folder/$file" "$venv/definitions/"; done
}

install_tools() {
    local stamp
    stamp=$venv/stamp-$(cat "$here/check.sh" "$here/check/requirements.txt" | sha256sum | cut -c 1-16)
    [ -e "$stamp" ] && return
    command -v python3 >/dev/null || die "python3 is missing"
    command -v go >/dev/null || die "go is missing: KEDA's and Prometheus' schemas come as Go modules"
    say "installing tools into $venv"
    python3 -m venv --clear "$venv"
    "$venv/bin/python3" -m pip install --quiet --disable-pip-version-check --no-input --no-deps \
        --requirement "$here/check/requirements.txt"
    mkdir -p "$venv/definitions"
    fetch "$KEDA" "$KEDA_SUM" config/crd/bases/keda.sh_scaledobjects.yaml
    fetch "$PROMETHEUS" "$PROMETHEUS_SUM" \
        example/prometheus-operator-crd/monitoring.coreos.com_{pod,service}monitors.yaml
    command -v kubectl >/dev/null || command -v kustomize >/dev/null || GOBIN=$venv/bin go install "$KUSTOMIZE"
    : >"$stamp"
}

render() {
    if command -v kubectl >/dev/null; then
        kubectl kustomize "$1"
    elif command -v kustomize >/dev/null; then
        kustomize build "$1"
    else
        "$venv/bin/kustomize" build "$1"
    fi
}

mkdir -p "$tools"
# Two clones may come here at once; they take turns.
if command -v flock >/dev/null; then
    exec 9>"$tools/k8s.lock"
    flock 9
fi
install_tools

[ $# -gt 0 ] || set -- "$here"/overlays/{cpu,gpu-mig}
# The first is the one that is broken on purpose, and has all that can break.
set -- "$here/overlays/gpu" "$@"
rendered=$(mktemp -d)
trap 'rm -rf "$rendered"' EXIT
files=()
for overlay in "$@"; do
    file=$rendered/${#files[@]}-$(basename "$(cd "$overlay" && pwd)").yaml
    render "$overlay" >"$file" || die "$overlay cannot be rendered"
    files+=("$file")
done
PYTHONDONTWRITEBYTECODE=1 "$venv/bin/python3" "$here/check" "$venv/definitions" "${files[@]}"
