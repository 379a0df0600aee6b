# shellcheck shell=bash
# A Docker engine, base images and Compose, for compose-test.sh, which sources this. It sets `docker_cli`, `compose_cli` and,
# for an engine of its own, `DOCKER_HOST`.

# engine_start DATA RUN: the engine that answers; where there is none and this is root, one that keeps its images in DATA,
# for the next time, and all else in RUN.
engine_start() {
    local data=$1 run=$2
    engine_pid=
    docker_cli=docker
    # A client that would need buildx, and has none: Debian's own builds without.
    if ! docker buildx version >/dev/null 2>&1 && [ -x /usr/bin/docker ]; then docker_cli=/usr/bin/docker; fi
    export DOCKER_BUILDKIT=1
    if "$docker_cli" info >/dev/null 2>&1; then
        echo "the engine that is there"
    elif [ "$(id -u)" -eq 0 ] && command -v dockerd >/dev/null; then
        engine_own "$data" "$run"
        echo "an engine of its own"
    else
        echo "no Docker engine answers, and none can be started: that takes root and dockerd (Debian: docker.io)" >&2
        return 1
    fi
    if "$docker_cli" compose version >/dev/null 2>&1; then
        compose_cli=("$docker_cli" compose)
    elif command -v docker-compose >/dev/null; then
        compose_cli=(docker-compose)
    else
        echo "Docker Compose is missing (Debian: docker-compose)" >&2
        return 1
    fi
    echo "docker $("$docker_cli" version --format '{{.Server.Version}}'), compose $("${compose_cli[@]}" version --short)"
}

engine_own() {
    local data=$1 run=$2
    mkdir -p "$data"
    # Its data are one engine's at a time.
    exec 8>"$data.lock"
    flock 8
    export DOCKER_HOST=unix://$run/docker.sock
    # Without the usual bridge: builds use the host's network, and Compose makes networks of its own.
    dockerd --host "$DOCKER_HOST" --data-root "$data" --exec-root "$run/exec" --pidfile "$run/docker.pid" \
        --bridge none --storage-driver overlay2 >"$run/dockerd.log" 2>&1 8>&- &
    engine_pid=$!
    local _
    for _ in $(seq 300); do
        if "$docker_cli" info >/dev/null 2>&1; then return; fi
        kill -0 "$engine_pid" 2>/dev/null || break
        sleep 0.2
    done
    echo "dockerd does not start:" >&2
    tail -n 20 "$run/dockerd.log" >&2
    return 1
}

# Ends the engine, if it was started here.
engine_stop() {
    [ -n "${engine_pid-}" ] || return 0
    kill -TERM "$engine_pid" 2>/dev/null || true
    wait "$engine_pid" || true
    engine_pid=
}

# debian SUITE: makes the image clearfleet-test/debian:SUITE of a minimal Debian; of a registry's where it cannot be made.
debian() {
    local suite=$1 folder image=clearfleet-test/debian:$1
    if "$docker_cli" image inspect "$image" >/dev/null 2>&1; then return; fi
    if [ "$(id -u)" -eq 0 ] && command -v debootstrap >/dev/null; then
        echo "making a base image of Debian $suite; it takes a minute or three, once"
        folder=$(mktemp -d)
        debootstrap --variant=minbase "$suite" "$folder" >"$folder.log" 2>&1 || { tail -n 20 "$folder.log" >&2; return 1; }
        tar -C "$folder" -c . | "$docker_cli" import - "$image" >/dev/null
        rm -rf "$folder" "$folder.log"
    else
        "$docker_cli" pull --quiet "debian:$suite-slim"
        "$docker_cli" tag "debian:$suite-slim" "$image"
    fi
}

# image NAME:TAG CONTEXT DOCKERFILE [OPTION …]
image() {
    local name=$1 context=$2 file=$3
    shift 3
    "$docker_cli" build --quiet --network host --tag "clearfleet-test/$name" --file "$file" "$@" "$context" >/dev/null
}
