#!/usr/bin/env bash
# The fleet of docker-compose.yml without containers: RabbitMQ, MinIO, Prometheus, API servers and workers as processes of
# this machine, on 127.0.0.1 only, until Ctrl-C. `make cluster` builds the programs and runs this.
#
#   deploy/cluster.sh [OPTION …]
#
#   --apis N, --workers N   how many; 2 each if not said
#   --engine E, --wait MS   of the workers: see clearfleet-worker run --help; --wait is for the engine "wait"
#   --dir DIR               where data, logs and secrets are kept for the next time; .cluster in the clone if not said
#   --fresh                 forget what is kept there
#   --api-port N            of the first API, 8080; others take the following ones. 0 takes any that are free
#   --prometheus-port N, --rabbitmq-port N (management), --minio-port N    9090, 15672 and 9000
#   --free-ports            any that are free, for all of these
#   --programs DIR          where clearfleet and clearfleet-worker are; the build folder if not said
#
# Other settings of the programs come from the environment, such as CLEARFLEET_BATCH_FRAMES=2. Once all are well, DIR/env has
# CLEARFLEET_SERVER, CLEARFLEET_KEY and the other addresses, for scripts.
# If one process ends, or this is told to stop, all are stopped: workers first, so that they finish or give back what they have.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root
cache=${XDG_CACHE_HOME:-$HOME/.cache}/clearfleet
export PATH=${CLEARFLEET_TOOLS:-$cache/tools}/bin:$PATH

dir=$root/.cluster
programs=${CARGO_TARGET_DIR:-$cache/target}/debug
apis=2 workers=2 engine=() fresh=no
declare -A wanted=([api]=8080 [prometheus]=9090 [rabbitmq]=15672 [minio]=9000)
declare -A port=()   # of each part, by name
declare -A pid=()    # of each process, by name
readonly STARTS_IN=120

say() { printf 'cluster: %s\n' "$*"; }
fail() {
    echo "cluster: $*" >&2
    exit 1
}
# shellcheck source=deploy/cluster/parts.sh
. "$root/deploy/cluster/parts.sh"

# number OPTION VALUE LEAST MOST
number() {
    [[ $2 =~ ^(0|[1-9][0-9]{0,4})$ ]] && [ "$2" -ge "$3" ] && [ "$2" -le "$4" ] || fail "$1 takes a number from $3 to $4, and not \"$2\""
}

parse() {
    local option value
    while [ $# -gt 0 ]; do
        option=$1 value=${2-}
        case $option in
            --fresh) fresh=yes ;;
            --free-ports) wanted=([api]=0 [prometheus]=0 [rabbitmq]=0 [minio]=0) ;;
            -h | --help)
                sed -n '2,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
                exit 0
                ;;
            --*)
                [ $# -ge 2 ] || fail "$option: it takes a value; see --help"
                shift
                case $option in
                    --apis | --workers) number "$option" "$value" 1 64 ;;
                    --*-port) number "$option" "$value" 0 65535 ;;
                esac
                case $option in
                    --apis) apis=$value ;;
                    --workers) workers=$value ;;
                    --engine | --wait) engine+=("$option" "$value") ;;
                    --dir) dir=$value ;;
                    --programs) programs=$value ;;
                    --api-port) wanted[api]=$value ;;
                    --prometheus-port) wanted[prometheus]=$value ;;
                    --rabbitmq-port) wanted[rabbitmq]=$value ;;
                    --minio-port) wanted[minio]=$value ;;
                    *) fail "unknown option $option; see --help" ;;
                esac
                ;;
            *) fail "unknown argument $option; see --help" ;;
        esac
        shift
    done
}

# What is missing is said before anything is started.
check_programs() {
    local program
    for program in clearfleet clearfleet-worker; do
        [ -x "$programs/$program" ] || fail "$programs/$program is not built yet: make cluster"
    done
    programs=$(cd "$programs" && pwd)
    for program in curl epmd ffmpeg flock minio prometheus setpriv setsid "$RABBITMQ/rabbitmq-server"; do
        command -v "$program" >/dev/null || fail "$program is missing: deploy/setup.sh cluster"
    done
}

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# claim NAME [PORT OPTION]: that port for a part; a free one without it, or where it is 0.
claim() {
    local name=$1 number=${2:-0} _
    if [ "$number" -ne 0 ]; then
        if answers "$number"; then fail "port $number, for $name, is taken by another program: choose with $3, or --free-ports"; fi
        port[$name]=$number
        return
    fi
    for _ in $(seq 100); do
        # Below those that the kernel gives to connections.
        number=$((10000 + RANDOM % 20000))
        if [[ " ${port[*]} " != *" $number "* ]] && ! answers "$number"; then
            port[$name]=$number
            return
        fi
    done
    fail "no port is free for $name"
}

claim_ports() {
    local n first=${wanted[api]}
    for ((n = 1; n <= apis; n++)); do
        claim "api-$n" $((first ? first + n - 1 : 0)) --api-port
    done
    claim prometheus "${wanted[prometheus]}" --prometheus-port
    claim minio "${wanted[minio]}" --minio-port
    claim rabbitmq-management "${wanted[rabbitmq]}" --rabbitmq-port
    for n in rabbitmq rabbitmq-metrics rabbitmq-distribution epmd; do claim "$n"; done
    for ((n = 1; n <= workers; n++)); do claim "worker-$n"; done
}

# launch NAME COMMAND …: in the background, where Ctrl-C does not reach it. It is told to end should this script be killed, and
# holds the folder's lock for as long as it lives.
launch() {
    local name=$1
    shift
    setsid setpriv --pdeathsig TERM "$@" >"$dir/logs/$name.log" 2>&1 </dev/null &
    pid[$name]=$!
}

lives() { kill -0 "${pid[$1]}" 2>/dev/null; }

# complain NAME WHAT: and what its log says.
complain() {
    echo "cluster: $1 $2; the end of $dir/logs/$1.log:" >&2
    tail -n 20 "$dir/logs/$1.log" | sed 's/^/  | /' >&2
}

# died NAME: says so, and why, and stops everything.
died() {
    local status=0
    wait "${pid[$1]}" || status=$?
    unset "pid[$1]"
    complain "$1" "has ended, with status $status"
    exit 1
}

# well NAME URL …: waits until all of them answer.
well() {
    local name=$1 url deadline=$((SECONDS + STARTS_IN))
    shift
    for url in "$@"; do
        until curl --silent --fail --output /dev/null --max-time 5 "$url"; do
            lives "$name" || died "$name"
            if [ "$SECONDS" -ge "$deadline" ]; then
                complain "$name" "is not well after $STARTS_IN s"
                fail "$url says: $(curl --silent --show-error --max-time 5 "$url" 2>&1 | head -c 500)"
            fi
            sleep 0.2
        done
    done
    say "$name is well"
}

# stop SECONDS NAME …: tells those to end, all at once, and kills what has not in time. Those that were not started do not count.
stop() {
    local deadline=$((SECONDS + $1)) name status running=()
    shift
    for name in "$@"; do
        [ -n "${pid[$name]-}" ] || continue
        running+=("$name")
        kill -TERM "${pid[$name]}" 2>/dev/null || true
    done
    for name in "${running[@]-}"; do
        [ -n "$name" ] || continue
        while lives "$name" && [ "$SECONDS" -lt "$deadline" ] && [ "$hurry" = no ]; do sleep 0.1; done
        if lives "$name"; then kill -KILL "${pid[$name]}" 2>/dev/null; fi
        status=0
        wait "${pid[$name]}" 2>/dev/null || status=$?
        unset "pid[$name]"
        case "$name $status" in
            # It knows no other way than to die of the signal.
            *" 0" | "epmd 143") ;;
            *)
                complain "$name" "did not end well: status $status"
                ended_well=no
                ;;
        esac
    done
}

# numbered NAME COUNT
numbered() { seq -f "$1-%g" "$2"; }

finish() {
    local status=$?
    set +e
    hurry=no ended_well=yes
    trap 'hurry=yes' INT TERM
    rm -f "$dir/env"
    if [ ${#pid[@]} -gt 0 ]; then
        say "stopping; workers finish what they have begun, or give it back. Once more ends them at once"
        # shellcheck disable=SC2046 # words are wanted
        stop $((${CLEARFLEET_GRACE:-60} + 15)) $(numbered worker "$workers")
        # shellcheck disable=SC2046
        stop $((${CLEARFLEET_GRACE:-20} + 15)) $(numbered api "$apis")
        stop 30 prometheus
        stop 60 rabbitmq
        stop 20 minio epmd
        say "all are stopped"
    fi
    [ "$status" -ne 0 ] || [ "$ended_well" = yes ] || status=1
    exit "$status"
}

# Names of values for scripts; the same to read for people.
announce() {
    local n key=$CLEARFLEET_ADMIN_KEY
    {
        echo "CLEARFLEET_SERVER=http://127.0.0.1:${port[api-1]}"
        echo "CLEARFLEET_SERVERS=\"$(for ((n = 1; n <= apis; n++)); do printf 'http://127.0.0.1:%s ' "${port[api-$n]}"; done)\""
        echo "CLEARFLEET_KEY=$key"
        echo "PROMETHEUS=http://127.0.0.1:${port[prometheus]}"
        echo "CLUSTER_PID=$$"
        for n in "${!pid[@]}"; do echo "CLUSTER_PID_${n//-/_}=${pid[$n]}"; done
    } >"$dir/env.new"
    mv "$dir/env.new" "$dir/env"
    echo
    for ((n = 1; n <= apis; n++)); do echo "  API $n        http://127.0.0.1:${port[api-$n]}"; done
    cat <<TEXT
  Prometheus   http://127.0.0.1:${port[prometheus]}
  RabbitMQ     http://127.0.0.1:${port[rabbitmq-management]}  (user clearfleet, RABBITMQ_PASSWORD in $dir/secrets)
  MinIO        http://127.0.0.1:${port[minio]}  (user clearfleet, MINIO_PASSWORD there)
  Key          $key
  Logs         $dir/logs

  In another terminal:  set -a; . $dir/env; set +a; $programs/clearfleet submit FILE --wait
  Ctrl-C stops it all; what is stored stays for the next time.
TEXT
}

parse "$@"
check_programs
umask 077
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
exec 9>"$dir/lock"
flock --timeout 15 9 || fail "another cluster runs in $dir: stop it, or choose another folder with --dir"
if [ "$fresh" = yes ]; then find "$dir" -mindepth 1 -maxdepth 1 ! -name lock -exec rm -rf {} +; fi
rm -rf "$dir/env" "$dir/logs"
mkdir -p "$dir/logs"
"$root/deploy/docker/make-env.sh" "$dir/secrets" >/dev/null
# shellcheck source=/dev/null
. "$dir/secrets"
claim_ports

trap finish EXIT
trap 'exit 0' INT TERM
say "starting in $dir"
start_minio
start_rabbitmq
start_prometheus
well minio "http://127.0.0.1:${port[minio]}/minio/health/ready"
well prometheus "http://127.0.0.1:${port[prometheus]}/-/ready"
well_rabbitmq
for ((n = 1; n <= apis; n++)); do start_api "$n"; done
for ((n = 1; n <= workers; n++)); do start_worker "$n"; done
for ((n = 1; n <= apis; n++)); do well "api-$n" "http://127.0.0.1:${port[api-$n]}/readyz"; done
for ((n = 1; n <= workers; n++)); do well "worker-$n" "http://127.0.0.1:${port[worker-$n]}/readyz"; done
announce

# Until somebody says stop, or one of them ends.
ended=
wait -n -p ended "${pid[@]}" || true
for name in "${!pid[@]}"; do
    [ "${pid[$name]}" != "${ended-}" ] || died "$name"
done
