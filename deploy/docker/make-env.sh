#!/usr/bin/env bash
# Makes the file that `docker compose` reads settings and secrets from, with secrets that nobody else has.
#
#   deploy/docker/make-env.sh [--gpu] [FILE]      # .env in the clone if none is given
#
# A file that is there already is left as it is.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
gpu=no
if [ "${1-}" = --gpu ]; then
    gpu=yes
    shift
fi
file=${1:-$root/.env}

# 32 bytes of the kernel's randomness, as 64 hexadecimal digits, which need no quotes in files and URLs.
secret() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }

if [ -e "$file" ]; then
    echo "$file is there already, and stays as it is."
    exit 0
fi
umask 077
# Under another name until it is whole.
cat >"$file.new" <<ENV
# Settings of docker-compose.yml. Keep this file to yourself: whoever reads it is an admin.
# A password of RabbitMQ, MinIO or Grafana counts when its volume is made. A new one here does not change it there.

# The key of an admin: Authorization: Bearer …, or CLEARFLEET_KEY for \`clearfleet submit\`.
CLEARFLEET_ADMIN_KEY=cf_$(secret)
CLEARFLEET_WEBHOOK_SECRET=$(secret)
RABBITMQ_PASSWORD=$(secret)
MINIO_PASSWORD=$(secret)
GRAFANA_PASSWORD=$(secret)

# Where the API is reached: by this machine only, unless this is 0.0.0.0 or an address of the network. Put a server with TLS
# before it then: keys go over the line as they are.
#CLEARFLEET_BIND=127.0.0.1
#CLEARFLEET_PORT=8080
# Two servers (docker compose up -d --scale api=2) need two ports:
#CLEARFLEET_PORT=8080-8081
# No keys, for a machine that nobody else can use:
#CLEARFLEET_NO_AUTH=true

# Traces, to a collector that takes OTLP over HTTP and is on the network \`inside\`:
#OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318

#RABBITMQ_PORT=15672
#PROMETHEUS_PORT=9090
#GRAFANA_PORT=3000
ENV
if [ "$gpu" = yes ]; then
    cat >>"$file.new" <<'ENV'

# A worker on the first GPU, and jobs that do not say where they want to be done are for it.
COMPOSE_PROFILES=gpu
CLEARFLEET_CLASSES=gpu,cpu
CLEARFLEET_GPU=0
ENV
fi
mv -n "$file.new" "$file"
echo "Made $file, with new secrets. Now: docker compose up -d"
