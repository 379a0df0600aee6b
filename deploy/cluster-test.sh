#!/usr/bin/env bash
# Brings the cluster up for real and puts it under load for as long as Prometheus needs; every query of the dashboards must give
# data then. Then it is stopped, started again on what it kept, loses a worker, and is killed: nothing may be left running.
# Some minutes. `make cluster-test` builds the programs and runs this.
#
#   deploy/cluster-test.sh [OPTION of cluster.sh …]
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root
cache=${XDG_CACHE_HOME:-$HOME/.cache}/clearfleet
programs=${CARGO_TARGET_DIR:-$cache/target}/debug
readonly photo=$root/deploy/demo/photo.png clip=$root/deploy/demo/clip.mp4
scratch=$(mktemp -d)
readonly scratch folder=$scratch/cluster
# Rates are of a minute, of scrapes every 15 s; and the first scrape is not at once.
readonly LOAD=90
options=("$@")
cluster=
loads=()

# shellcheck source=deploy/await.sh
. "$root/deploy/await.sh"
fail() {
    echo "cluster-test: $*" >&2
    if [ -e "$scratch/out" ]; then tail -n 40 "$scratch/out" >&2; fi
    exit 1
}
# Each is a process group: what it has just started ends with it.
end_loads() {
    [ ${#loads[@]} -gt 0 ] || return 0
    kill -TERM "${loads[@]/#/-}" 2>/dev/null || true
    wait "${loads[@]}" 2>/dev/null || true
    loads=()
}

finish() {
    set +e
    end_loads
    if [ -n "$cluster" ]; then
        kill -TERM "$cluster" 2>/dev/null
        wait "$cluster"
    fi
    rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 130' INT TERM

is_up() {
    [ -e "$folder/env" ] && return
    kill -0 "$cluster" 2>/dev/null || fail "it does not start"
    return 1
}
# A worker on one of these cores would slow the other: frames take time and no more.
start() {
    setpriv --pdeathsig TERM "$root/deploy/cluster.sh" --dir "$folder" --free-ports --engine wait --wait 20 "${options[@]}" "$@" \
        >"$scratch/out" 2>&1 &
    cluster=$!
    within 300 "the cluster is up" is_up
    set -a
    # shellcheck source=/dev/null
    . "$folder/env"
    set +a
    read -ra servers <<<"$CLEARFLEET_SERVERS"
}
# ended STATUS: it has, or does so now, with that status, and nobody holds the lock that all of it holds.
ended() {
    local status=0
    wait "$cluster" || status=$?
    cluster=
    [ "$status" -eq "$1" ] || fail "it ended with status $status, and not $1"
    within 30 "nothing is left running" flock --nonblock "$folder/lock" true
    [ ! -e "$folder/env" ] || fail "the addresses are still there"
}

status() { curl --silent --output /dev/null --write-out '%{http_code}' --max-time 10 "$@"; }
as_user() { printf 'header = "Authorization: Bearer %s"\n' "$CLEARFLEET_KEY"; }
# ask URL [OPTION …]
ask() { curl --silent --show-error --fail --config <(as_user) "$@"; }
submit() { "$programs/clearfleet" submit "$@" --scale 2 --wait --overwrite; }

check_closed() {
    local name said
    [ "$(status "$CLEARFLEET_SERVER/v1/jobs")" = 401 ] || fail "the API takes requests without a key"
    for name in secrets rabbitmq/rabbitmq.conf env; do
        [ "$(stat --format %a "$folder/$name")" = 600 ] || fail "others can read $name"
    done
    echo "$CLEARFLEET_KEY" >"$scratch/key"
    if grep -qsF -f "$scratch/key" /proc/[0-9]*/cmdline; then fail "a command line shows the key"; fi
    # What cannot start says why, and leaves the one that runs alone.
    if said=$("$root/deploy/cluster.sh" --dir "$scratch/other" --api-port "${CLEARFLEET_SERVER##*:}" 2>&1); then fail "two on a port"; fi
    [[ $said == *"port ${CLEARFLEET_SERVER##*:}, for api-1, is taken"* ]] || fail "of a port that is taken it says: $said"
    if said=$("$root/deploy/cluster.sh" --dir "$folder" --free-ports 2>&1); then fail "two in a folder"; fi
    [[ $said == *"another cluster runs in"* ]] || fail "of a folder that is taken it says: $said"
}

# Films, photos, previews and a file that is none, to one server, until it is told to end.
load() {
    local server=$1 out=$scratch/load-$2 id
    head -c 5000 /dev/urandom >"$scratch/broken-$2.mp4"
    while true; do
        submit "$clip" "$photo" --server "$server" -o "$out" --json | grep -h '"event":"finished"' >"$scratch/finished-$2" || break
        id=$(sed -n 's/.*"input":".*clip.mp4".*"job":"\([^"]*\)".*/\1/p' "$scratch/finished-$2")
        ask "$server/v1/jobs/$id/preview" --json '{"at": 0.5}' >"$scratch/preview-$2" || break
        ask "$server/v1/jobs" >"$scratch/list-$2" || break
        if submit "$scratch/broken-$2.mp4" --server "$server" -o "$out" --quiet 2>"$scratch/refused-$2"; then break; fi
    done
    echo "the load on $server broke off" >&2
}

check_dashboards() {
    local at
    for at in "${!servers[@]}"; do
        set -m
        load "${servers[$at]}" "$at" &
        set +m
        loads+=($!)
    done
    check_closed
    # Prometheus itself, servers, workers, the store, and the broker twice.
    within 60 "Prometheus sees all" is 'count(up == 1)' $((4 + $(grep -c '^CLUSTER_PID_\(api\|worker\)_' "$folder/env")))
    while [ "$SECONDS" -lt $((began + LOAD)) ]; do sleep 1; done
    kill -0 "${loads[@]}" || fail "there is no load any more: $(tail -n 3 "$scratch"/refused-*)"
    "$root/deploy/grafana/queries.py" "$PROMETHEUS" --without gpu || fail "a query of the dashboards gives no data"
    is 'count(up == 1)' "$(query 'count(up)')" || fail "a target is down"
    if curl --silent "$PROMETHEUS/api/v1/rules" | grep -q '"health":"err"'; then fail "a rule fails"; fi
    if is 'count(ALERTS{alertstate="firing"}) > 0 or on() vector(0)' 0; then :; else fail "an alert fires"; fi
    end_loads
}

say "up"
start
began=$SECONDS
submit "$photo" "$clip" -o "$scratch/kept" --json >"$scratch/kept.json"
job=$(sed -n 's/.*"event":"finished".*clip.mp4".*"job":"\([^"]*\)".*/\1/p' "$scratch/kept.json")
"$programs/clearfleet" verify "$clip" "$scratch/kept/clip-2x.mp4" >"$scratch/verified" || fail "$(cat "$scratch/verified")"
say "load, and every query of the dashboards"
check_dashboards
say "stop, while a film is worked on"
"$programs/clearfleet" submit "$clip" --quiet
kill -TERM "$cluster"
ended 0
say "up again, with what was kept, until a worker dies"
start
ask "$CLEARFLEET_SERVER/v1/jobs/$job/result" | cmp - "$scratch/kept/clip-2x.mp4"
kill -KILL "$(sed -n 's/^CLUSTER_PID_worker_2=//p' "$folder/env")"
ended 1
grep -q 'worker-2 has ended, with status 137' "$scratch/out" || fail "it does not say who died"
say "up again, afresh, until it is killed"
start --fresh
[ "$(status --config <(as_user) "$CLEARFLEET_SERVER/v1/jobs/$job")" = 404 ] || fail "what was there before is not forgotten"
rm "$folder/env"
kill -KILL "$CLUSTER_PID"
ended 137
say "cluster-test: all is well"
