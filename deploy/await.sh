# Sourced by checks of a running fleet, which say what they do, wait for it, and ask its Prometheus. They bring `fail` and, once
# there is one, PROMETHEUS, its address.
# shellcheck shell=bash

say() { printf '\n%4d s  %s\n' "$SECONDS" "$*"; }

# within SECONDS WHAT COMMAND …: until the command succeeds.
within() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || fail "not in time: $what"
        sleep 0.3
    done
}

# query EXPRESSION: its one value, or nothing.
query() {
    curl --silent --get --data-urlencode "query=$1" "$PROMETHEUS/api/v1/query" | sed -n 's/.*"value":\[[^,]*,"\([^"]*\)"\].*/\1/p'
}
is() { [ "$(query "$1")" = "$2" ]; }
