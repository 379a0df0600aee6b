# shellcheck shell=bash
# How each part of the cluster is started, for cluster.sh, which sources this. It reads `root`, `dir`, `port`, `programs`, the
# options and the secrets, and starts with `launch`. Secrets go by environment and files, which others cannot read.
# shellcheck disable=SC2154 # they are cluster.sh's

# Its scripts themselves: those on the PATH change the user.
readonly RABBITMQ=/usr/lib/rabbitmq/bin

start_minio() {
    mkdir -p "$dir/minio"
    MINIO_ROOT_USER=clearfleet MINIO_ROOT_PASSWORD=$MINIO_PASSWORD MINIO_PROMETHEUS_AUTH_TYPE=public \
        MINIO_BROWSER=off MINIO_UPDATE=off \
        launch minio minio server --quiet --address "127.0.0.1:${port[minio]}" "$dir/minio"
}

# A node of its own, beside whatever the system's RabbitMQ does: with its own epmd, cookie and name.
start_rabbitmq() {
    local home=$dir/rabbitmq
    mkdir -p "$home"
    cp "$root/deploy/rabbitmq/enabled_plugins" "$home/plugins"
    {
        # 3.10 does not know the first; the ports are others here.
        grep -v -e '^default_queue_type' -e '^prometheus\.tcp' "$root/deploy/rabbitmq/rabbitmq.conf"
        cat <<CONF
default_user = clearfleet
default_pass = $RABBITMQ_PASSWORD
management.tcp.ip = 127.0.0.1
management.tcp.port = ${port[rabbitmq-management]}
prometheus.tcp.ip = 127.0.0.1
prometheus.tcp.port = ${port[rabbitmq-metrics]}
CONF
    } >"$home/rabbitmq.conf"
    local settings=(
        HOME="$home" LANG=C.UTF-8 ERL_EPMD_PORT="${port[epmd]}" ERL_EPMD_ADDRESS=127.0.0.1
        RABBITMQ_CONF_ENV_FILE=/dev/null RABBITMQ_NODENAME=clearfleet@localhost
        RABBITMQ_MNESIA_BASE="$home/data" RABBITMQ_LOG_BASE="$home/log" RABBITMQ_LOGS=-
        RABBITMQ_CONFIG_FILE="$home/rabbitmq.conf" RABBITMQ_ENABLED_PLUGINS_FILE="$home/plugins"
        RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_NODE_PORT="${port[rabbitmq]}"
        RABBITMQ_DIST_PORT="${port[rabbitmq-distribution]}"
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+sbwt none -kernel inet_dist_use_interface {127,0,0,1}"
        # Says that no shell is wanted between this script and the node: signals go to the node itself.
        RUNNING_UNDER_SYSTEMD=true
    )
    launch epmd env "${settings[@]}" epmd -address 127.0.0.1 -port "${port[epmd]}"
    launch rabbitmq env "${settings[@]}" "$RABBITMQ/rabbitmq-server"
}

# It listens for AMQP last of all.
well_rabbitmq() {
    local deadline=$((SECONDS + STARTS_IN))
    until answers "${port[rabbitmq]}"; do
        lives rabbitmq || died rabbitmq
        if [ "$SECONDS" -ge "$deadline" ]; then
            complain rabbitmq "takes no connections after $STARTS_IN s"
            exit 1
        fi
        sleep 0.2
    done
    well rabbitmq "http://127.0.0.1:${port[rabbitmq-metrics]}/metrics" "http://127.0.0.1:${port[rabbitmq-management]}/"
}

# scraped NAME …: addresses of parts, as Prometheus' configuration lists them.
scraped() {
    local name list=
    for name in "$@"; do list+=${list:+,}127.0.0.1:${port[$name]}; done
    echo "$list"
}

# Compose's configuration, with addresses in the place of names that its DNS resolves.
start_prometheus() {
    mkdir -p "$dir/prometheus"
    # shellcheck disable=SC2046 # words are wanted
    awk -v folder="$root/deploy/prometheus" -v parts="\
prometheus=$(scraped prometheus) api=$(scraped $(numbered api "$apis")) worker=$(scraped $(numbered worker "$workers")) \
rabbitmq=$(scraped rabbitmq-metrics) rabbitmq-queues=$(scraped rabbitmq-metrics) minio=$(scraped minio)" '
        BEGIN { for (n = split(parts, all, " "); n > 0; n--) { split(all[n], part, "="); targets[part[1]] = part[2] } }
        /^  - rules.yml$/ { sub(/rules.yml/, "\"" folder "/rules.yml\"") }
        /job_name:/ { job = $NF }
        /_configs:$/ && !/^scrape/ { print "    static_configs:"; getline; $0 = "      - targets: [" targets[job] "]" }
        { print }
    ' "$root/deploy/prometheus/prometheus.yml" >"$dir/prometheus.yml"
    launch prometheus prometheus --config.file="$dir/prometheus.yml" --storage.tsdb.path="$dir/prometheus" \
        --storage.tsdb.retention.time=30d --web.listen-address="127.0.0.1:${port[prometheus]}"
}

# What servers and workers are told alike, as environment of a command.
in_fleet() {
    CLEARFLEET_AMQP_URL=amqp://clearfleet:$RABBITMQ_PASSWORD@127.0.0.1:${port[rabbitmq]} \
        CLEARFLEET_S3_ENDPOINT=http://127.0.0.1:${port[minio]} CLEARFLEET_S3_ACCESS_KEY=clearfleet \
        CLEARFLEET_S3_SECRET_KEY=$MINIO_PASSWORD "$@"
}

start_api() {
    mkdir -p "$dir/api-$1"
    # Keys are asked for as in compose, although only this machine can connect.
    CLEARFLEET_LISTEN=127.0.0.1:${port[api-$1]} CLEARFLEET_DATA_DIR=$dir/api-$1 CLEARFLEET_CLASSES=${CLEARFLEET_CLASSES:-cpu} \
        CLEARFLEET_ADMIN_KEY=$CLEARFLEET_ADMIN_KEY CLEARFLEET_WEBHOOK_SECRET=$CLEARFLEET_WEBHOOK_SECRET CLEARFLEET_REQUIRE_KEYS=true \
        in_fleet launch "api-$1" "$programs/clearfleet" serve
}

start_worker() {
    mkdir -p "$dir/worker-$1"
    CLEARFLEET_MONITOR=127.0.0.1:${port[worker-$1]} CLEARFLEET_SCRATCH=$dir/worker-$1 CLEARFLEET_CLASS=${CLEARFLEET_CLASS:-cpu} \
        in_fleet launch "worker-$1" "$programs/clearfleet-worker" run "${engine[@]}"
}
