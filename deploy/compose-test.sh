#!/usr/bin/env bash
# Brings docker-compose.yml up for real, with two servers and two workers, on images that are built here on a local Debian;
# sends it a photo and a clip; kills a worker and the broker meanwhile; checks the results, that everybody came back, that stopping
# and starting keeps everything; and takes it all down again. Some minutes. `make compose-test` builds the programs and runs this.
#
#   deploy/compose-test.sh
#
# It uses the Docker engine that answers; as root it starts one of its own where there is none. Grafana is not among what it
# starts: there is no image of it without a registry.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root
cache=${XDG_CACHE_HOME:-$HOME/.cache}/clearfleet
readonly programs=${CARGO_TARGET_DIR:-$cache/target}/debug
readonly tools=${CLEARFLEET_TOOLS:-$cache/tools}
readonly photo=$root/deploy/demo/photo.png clip=$root/deploy/demo/clip.mp4
# shellcheck source=deploy/docker/engine.sh
. "$root/deploy/docker/engine.sh"

scratch=$(mktemp -d)
readonly scratch project=clearfleet-test-$$
failed=yes

# shellcheck source=deploy/await.sh
. "$root/deploy/await.sh"
fail() {
    echo "compose-test: $*" >&2
    exit 1
}
docker() { command "$docker_cli" "$@"; }
compose() {
    "${compose_cli[@]}" --project-name "$project" --env-file "$scratch/env" --file "$root/docker-compose.yml" "$@"
}
up() { compose --ansi never up --detach --no-build --scale api=2 --scale worker=2 prometheus api worker >"$scratch/up" 2>&1; }

# The containers of a service, or of all of them.
containers() { docker ps --all --quiet --filter "label=com.docker.compose.project=$project" ${1:+--filter "label=com.docker.compose.service=$1"} | sort; }
# inspect FORMAT CONTAINER …
inspect() { docker inspect --format "$@"; }

# What is left of a failure is shown; what was started is ended, whatever happened.
finish() {
    set +e
    if [ "$failed" = yes ] && [ -n "$(containers 2>/dev/null)" ]; then
        { cat "$scratch/up"; compose ps; compose logs --no-color --tail 25; tail -n 5 "$scratch"/*.log; } >&2
    fi
    # shellcheck disable=SC2046 # words are wanted
    kill $(jobs -p | grep -vx "${engine_pid:-none}") 2>/dev/null
    if [ -n "${compose_cli-}" ] && [ -e "$scratch/env" ]; then
        compose --ansi never down --volumes --remove-orphans --timeout 5 >"$scratch/down" 2>&1 || cat "$scratch/down" >&2
        [ -z "$(containers)" ] || echo "compose-test: containers of $project are left" >&2
    fi
    engine_stop
    rm -rf "$scratch"
}
trap finish EXIT

build_images() {
    local context=$scratch/context base=clearfleet-test/debian:bookworm version
    version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' "$root/Cargo.toml")
    grep -q "CLEARFLEET_VERSION:-$version}" "$root/docker-compose.yml" || fail "docker-compose.yml does not name version $version"
    mkdir -p "$context/bin"
    strip -o "$context/bin/clearfleet" "$programs/clearfleet"
    strip -o "$context/bin/clearfleet-worker" "$programs/clearfleet-worker"
    cp "$(PATH=$tools/bin:$PATH command -v minio)" "$context/bin/"
    debian bookworm
    debian trixie
    local prebuilt=(--build-arg PROGRAMS=prebuilt --build-arg "BASE_IMAGE=$base" --build-arg VERSION=test)
    image api:test "$context" "$root/deploy/docker/Dockerfile" --target api "${prebuilt[@]}"
    image worker:test "$context" "$root/deploy/docker/Dockerfile" --target worker "${prebuilt[@]}"
    image minio:test "$context" "$root/deploy/docker/minio.Dockerfile" "${prebuilt[@]:0:4}"
    local stand_ins=$root/deploy/compose-test name
    for name in rabbitmq prometheus; do
        image "$name:test" "$stand_ins" "$stand_ins/$name.Dockerfile" --build-arg BASE_IMAGE=clearfleet-test/debian:trixie
    done
}

# Small batches, for a clip that has but 24 frames; free ports, whatever else runs here.
write_settings() {
    "$root/deploy/docker/make-env.sh" "$scratch/env" >/dev/null
    cat >>"$scratch/env" <<'ENV'
CLEARFLEET_REGISTRY=clearfleet-test
CLEARFLEET_VERSION=test
MINIO_TAG=test
RABBITMQ_IMAGE=clearfleet-test/rabbitmq:test
PROMETHEUS_IMAGE=clearfleet-test/prometheus:test
CLEARFLEET_BATCH_FRAMES=2
CLEARFLEET_PORT=
RABBITMQ_PORT=
PROMETHEUS_PORT=
ENV
    CLEARFLEET_KEY=$(sed -n 's/^CLEARFLEET_ADMIN_KEY=//p' "$scratch/env")
    export CLEARFLEET_KEY
}

all_healthy() {
    local states
    # shellcheck disable=SC2046 # words are wanted
    states=$(inspect '{{.State.Status}} {{.State.Health.Status}}' $(containers)) || return 1
    [ "$(grep -c . <<<"$states")" -eq 7 ] && ! grep -qvx 'running healthy' <<<"$states"
}

# address SERVICE PORT [NUMBER]: where it is published.
address() { echo "http://$(compose port --index "${3:-1}" "$1" "$2")"; }
locate() {
    first=$(address api 8080 1)
    second=$(address api 8080 2)
    PROMETHEUS=$(address prometheus 9090)
}

status() { curl --silent --output /dev/null --write-out '%{http_code}' "$@"; }
# ask SERVER PATH
ask() { curl --silent --show-error --fail --header "Authorization: Bearer $CLEARFLEET_KEY" "$1$2"; }

# Nobody gets in with what everybody knows, and nobody inside has more rights than need be.
check_closed() {
    local container
    [ "$(status "$first/v1/jobs")" = 401 ] || fail "the API takes requests without a key"
    [ "$(status --user guest:guest "$(address rabbitmq 15672)/api/overview")" = 401 ] || fail "RabbitMQ knows guest"
    for container in $(containers api) $(containers worker); do
        [ "$(docker exec "$container" id -u)" = 10001 ] || fail "a program runs as somebody else"
        if docker exec "$container" touch /etc/there 2>/dev/null; then fail "the root file system is writable"; fi
    done
    # A worker has no way to the world: its only networks are inside.
    container=$(containers worker | head -n 1)
    for network in $(inspect '{{range .NetworkSettings.Networks}}{{.NetworkID}} {{end}}' "$container"); do
        [ "$(docker network inspect --format '{{.Internal}}' "$network")" = true ] || fail "a worker is on an open network"
    done
    if docker ps --format '{{.Ports}}' --filter "label=com.docker.compose.project=$project" | grep -q '0\.0\.0\.0\|\[::\]'; then
        fail "something is published beyond this machine"
    fi
}

# submit NAME SERVER FILE: in the background, into its own folder; `job NAME` is its id.
submit() {
    "$programs/clearfleet" submit "$3" --server "$2" --scale 2 --wait -o "$scratch/$1" --json >"$scratch/$1.events" 2>"$scratch/$1.log" &
    eval "$1_pid=$!"
    within 60 "$1 is accepted" grep -q '"event":"submitted"' "$scratch/$1.events"
}
job() { sed -n 's/.*"event":"submitted".*"job":"\([^"]*\)".*/\1/p' "$scratch/$1.events"; }
# Frames of a job that are done: a server that does not schedule hears of them a little later.
frames_done() {
    local server
    for server in "$first" "$second"; do
        ask "$server" "/v1/jobs/$(job "$1")" | sed -n 's/.*"progress":{"done":\([0-9]*\).*/\1/p'
    done | sort -n | tail -n 1
}
has_done() { [ "$(frames_done "$1")" -ge "$2" ]; }

# Kills the first process of a container as the kernel would when memory runs out. (`docker kill` counts as wished for, and
# nothing is restarted after it.)
kill_hard() {
    docker run --rm --network none --pid host --user 0 --entrypoint bash clearfleet-test/debian:bookworm \
        -c "kill -KILL $(inspect '{{.State.Pid}}' "$1")"
}
restarted() { [ "$(inspect '{{.RestartCount}} {{.State.Running}}' "$1")" = "1 true" ]; }

work_through_failures() {
    local worker broker before
    submit clip "$first" "$clip"
    submit photo "$second" "$photo"
    within 300 "some frames of the clip" has_done clip 2
    worker=$(containers worker | head -n 1)
    say "a worker is killed, with $(frames_done clip) frames done"
    kill_hard "$worker"
    within 60 "the worker is started again" restarted "$worker"
    before=$(frames_done clip)
    within 300 "work goes on" has_done clip $((before + 1))
    broker=$(containers rabbitmq)
    say "the broker is killed, with $(frames_done clip) frames done"
    kill_hard "$broker"
    within 60 "the broker is started again" restarted "$broker"
    [ "$(frames_done clip)" -lt 24 ] || fail "the clip was done before the broker was killed: nothing is tested"
    submit late "$second" "$photo"
    local name pid
    for name in late photo clip; do
        pid=${name}_pid
        wait "${!pid}" || fail "the $name failed: $(cat "$scratch/$name.events" "$scratch/$name.log")"
    done
    say "all is done"
    within 120 "everybody is well" all_healthy
    local container
    for container in $(containers); do
        case $container in "$worker" | "$broker") continue ;; esac
        [ "$(inspect '{{.RestartCount}}' "$container")" = 0 ] || fail "$(inspect '{{.Name}}' "$container") fell over, too"
    done
}

check_results() {
    "$programs/clearfleet" verify "$photo" "$scratch/photo/photo-2x.png"
    "$programs/clearfleet" verify "$clip" "$scratch/clip/clip-2x.mp4"
    # To the bit what one process makes of the photo by itself.
    "$programs/clearfleet" upscale "$photo" "$scratch/alone.png" --scale 2 >"$scratch/alone.log" 2>&1
    cmp "$scratch/alone.png" "$scratch/photo/photo-2x.png"
    cmp "$scratch/alone.png" "$scratch/late/photo-2x.png"
    local streams
    streams=$(ffprobe -v error -count_frames -select_streams v -show_entries stream=width,height,nb_read_frames -of csv=p=0 \
        "$scratch/clip/clip-2x.mp4")
    [ "$streams" = 320,180,24 ] || fail "the clip is $streams, and not 320,180,24"
    # Whichever server is asked.
    for server in "$first" "$second"; do
        ask "$server" "/v1/jobs/$(job clip)/result" | cmp - "$scratch/clip/clip-2x.mp4"
        ask "$server" "/v1/jobs/$(job photo)/result" | cmp - "$scratch/photo/photo-2x.png"
    done
}

check_prometheus() {
    within 120 "Prometheus sees both servers" is 'sum(up{job="api"})' 2
    within 60 "Prometheus sees both workers" is 'sum(up{job="worker"})' 2
    within 60 "Prometheus sees the broker" is 'sum(up{job="rabbitmq"})' 1
    within 60 "Prometheus sees the store" is 'sum(up{job="minio"})' 1
    curl --silent "$PROMETHEUS/api/v1/rules" | grep -q '"health":"ok"' || fail "Prometheus has no rules"
    if curl --silent "$PROMETHEUS/api/v1/rules" | grep -q '"health":"err"'; then fail "a rule fails"; fi
}

# Stopped with SIGTERM, all end in time and well, and after a new start what was done is there.
check_stop_and_start() {
    compose --ansi never stop >"$scratch/up" 2>&1
    local container
    for container in $(containers api) $(containers worker); do
        [ "$(inspect '{{.State.ExitCode}}' "$container")" = 0 ] || fail "$(inspect '{{.Name}}' "$container") did not end well"
    done
    up
    within 240 "all are well again" all_healthy
    locate
    ask "$second" "/v1/jobs/$(job clip)/result" | cmp - "$scratch/clip/clip-2x.mp4"
}

for program in clearfleet clearfleet-worker; do
    [ -x "$programs/$program" ] || fail "$programs/$program is not built yet: make compose-test"
done
say "an engine"
engine_start "$cache/docker" "$scratch"
say "images"
build_images
write_settings
say "up, with two servers and two workers"
up || fail "it does not come up: $(cat "$scratch/up")"
within 240 "all are well" all_healthy
locate
check_closed
say "a clip and a photo"
work_through_failures
say "results"
check_results
say "Prometheus"
check_prometheus
say "stop and start"
check_stop_and_start
failed=no
say "down"
