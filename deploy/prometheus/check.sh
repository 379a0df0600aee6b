#!/usr/bin/env bash
# Checks what Prometheus and Grafana are given: configuration, rules and their tests, dashboards and their queries. Needs
# promtool (Debian: prometheus) and Python 3.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
queries=$(mktemp --suffix=.yml)
readonly queries
trap 'rm -f "$queries"' EXIT

# quietly COMMAND …: its output matters only if it fails.
quietly() {
    local said
    if ! said=$("$@" 2>&1); then
        printf '%s\n' "$said" >&2
        printf 'check: failed: %s\n' "$*" >&2
        return 1
    fi
}

# It checks rules.yml as well.
quietly promtool check config prometheus.yml
quietly promtool test rules rules.test.yml
quietly ../grafana/build.py --check
../grafana/queries.py --rules >"$queries"
# promtool has no check for a query alone (2.42): as recording rules they are parsed.
quietly promtool check rules "$queries"
quietly ./lint.py
printf 'check: %s alerts, %s queries of dashboards: nothing to complain about.\n' \
    "$(grep -c -- '- alert:' rules.yml)" "$(grep -c -- '- record:' "$queries")"
