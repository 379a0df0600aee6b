# MinIO, built from source: its community edition comes as nothing else since October 2025, and images from before then lack
# its last security fixes. It is AGPL, and a program of its own: Clearfleet links nothing of it.

ARG BASE_IMAGE=debian:bookworm-slim
ARG GO_IMAGE=golang:1.26-bookworm
# Where the program comes from: `built` here, or `prebuilt` in bin/ of the context.
ARG PROGRAMS=built

# hadolint ignore=DL3006
FROM ${GO_IMAGE} AS built
# The same as in deploy/setup.sh, which tests run against.
ARG MINIO_VERSION=v0.0.0-20260212201848-7aac2a2c5b7c
ENV GOBIN=/bin-out/bin GOFLAGS=-trimpath CGO_ENABLED=0
RUN --mount=type=cache,id=minio-modules,target=/go/pkg/mod \
    --mount=type=cache,id=minio-objects,target=/root/.cache/go-build \
    --mount=type=secret,id=ca \
    if [ -e /run/secrets/ca ]; then export SSL_CERT_FILE=/run/secrets/ca; fi \
    && go install -ldflags="-s -w" "github.com/minio/minio@${MINIO_VERSION}"

FROM scratch AS prebuilt
COPY bin /bin-out/bin

FROM ${PROGRAMS} AS programs

# hadolint ignore=DL3006
FROM ${BASE_IMAGE}
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10002 --user-group --no-create-home --home-dir /nonexistent minio \
    && install -d -o minio -g minio /data
COPY --from=programs /bin-out/bin/minio /usr/local/bin/
# It keeps a folder of certificates in a home; there is none. The console is not wanted, nor a look for updates.
ENV MINIO_BROWSER=off MINIO_UPDATE=off
USER 10002:10002
VOLUME /data
EXPOSE 9000
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s \
    CMD ["curl", "-fsS", "-o", "/dev/null", "--max-time", "5", "http://127.0.0.1:9000/minio/health/live"]
ENTRYPOINT ["minio"]
CMD ["server", "--quiet", "--address", ":9000", "--certs-dir", "/tmp/certs", "/data"]
