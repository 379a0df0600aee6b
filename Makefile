# The commands that people and CI use. `make` alone lists them.
#
# Builds go to a folder outside the clone, which all clones share; the development profile serves demo and test alike, so
# nothing is compiled twice. Both folders can be moved: make test CARGO_TARGET_DIR=… CLEARFLEET_TOOLS=…

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

cache := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/clearfleet
export CARGO_TARGET_DIR ?= $(cache)/target
export CLEARFLEET_TOOLS ?= $(cache)/tools
export PATH := $(CLEARFLEET_TOOLS)/bin:$(PATH)

dockerfiles := $(wildcard deploy/*/Dockerfile deploy/*/*.Dockerfile)
scripts := .ci/run deploy/setup.sh deploy/await.sh deploy/demo/make-samples.sh deploy/demo/run.sh deploy/cluster.sh deploy/cluster/parts.sh \
	deploy/cluster-test.sh deploy/compose-test.sh deploy/docker/engine.sh deploy/deb/worker-scripts/postinst \
	deploy/deb/worker-scripts/prerm deploy/dist.sh deploy/dist-test.sh deploy/docker/make-env.sh deploy/previous.sh deploy/prometheus/check.sh k8s/check.sh \
	worker/fuzz/run.sh worker/fuzz/seeds.sh
junit := target/nextest/default/junit.xml
doctests := target/nextest/doctests.log

page := api/web/embedded/built/index.html
page_sources := $(shell find api/web/src api/web/build -type f) \
	$(addprefix api/web/,index.html package-lock.json tsconfig.json vite.config.ts)

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

.PHONY: setup
setup: ## install what demo, test and lint need (each of them also does it by itself)
	@deploy/setup.sh demo test lint

.PHONY: demo
demo: ## start the server, upscale a bundled photo and clip through it, stop it: some seconds; results in .demo/
	@deploy/setup.sh demo
	@# Where it cannot be built, the server says so in its place.
	-@$(MAKE) --no-print-directory page
	@# All programs: with these features, what is built here is not built again for the tests.
	cargo build --workspace --bins
	@deploy/demo/run.sh

.PHONY: run
run: ## the server on http://127.0.0.1:8080, until Ctrl-C; options: make run ARGS="--listen 0.0.0.0:8080"
	@deploy/setup.sh demo
	-@$(MAKE) --no-print-directory page
	cargo build -p clearfleet
	exec $(CARGO_TARGET_DIR)/debug/clearfleet serve $(ARGS)

.PHONY: page
page: $(page) ## the page that the server shows, from api/web; programs that are built afterwards have it

$(page): $(page_sources)
	@deploy/setup.sh page
	npm --prefix api/web run --silent build

.PHONY: cluster
cluster: ## a whole fleet on this machine without containers, until Ctrl-C; make cluster ARGS="--workers 4 --free-ports"
	@deploy/setup.sh cluster
	cargo build --workspace --bins
	@exec deploy/cluster.sh $(ARGS)

.PHONY: cluster-test
cluster-test: ## that cluster under load: every query of the dashboards gives data; stopped, broken and killed: some minutes
	@deploy/setup.sh cluster monitoring
	cargo build --workspace --bins
	@deploy/cluster-test.sh

.PHONY: test
test: page ## all tests
	@deploy/setup.sh test
	@rm -f $(junit)
	@# It also builds the programs, which the system tests drive.
	cargo nextest run --workspace --no-tests=fail
	cargo test --doc --workspace 2>&1 | tee $(doctests)
	npm --prefix api/web run --silent test
	@tests=$$(sed -n 's/^<testsuites .*tests="\([0-9]*\)" skipped="\([0-9]*\)".*time="\([0-9]*\).*/\1 tests passed in \3 s, \2 skipped/p' $(junit)); \
	docs=$$(awk '/^test result:/ { n += $$4 } END { print n + 0 }' $(doctests)); \
	echo "make test: $$tests; $$docs documentation tests passed."

.PHONY: fleet
fleet: ## of the tests, those of a fleet on a real RabbitMQ and MinIO: some minutes
	@deploy/setup.sh fleet
	cargo nextest run --workspace --no-tests=fail \
		-E 'binary(fleet) | (package(clearfleet-common) & binary(queue))'

.PHONY: chaos
chaos: ## a fleet under load and one fault after another, four minutes of it; make chaos SEED=7 SECONDS=600
	@deploy/setup.sh fleet
	CLEARFLEET_CHAOS_SEED=$(SEED) CLEARFLEET_CHAOS_SECONDS=$(SECONDS) \
		cargo nextest run --workspace --no-tests=fail --run-ignored only --no-capture \
		-E 'binary(fleet) & test(=chaos::chaos)'

.PHONY: upgrade-test
upgrade-test: ## a fleet under load, rolled from the version before to this one and back; make upgrade-test FROM=v1.2
	@deploy/setup.sh fleet
	previous=$$(deploy/previous.sh $(FROM)) && \
	CLEARFLEET_UPGRADE_PREVIOUS=$$previous \
		cargo nextest run --workspace --no-tests=fail --run-ignored only --no-capture \
		-E 'binary(fleet) & test(/^rolls::/)'

.PHONY: fuzz
fuzz: ## libFuzzer on what parses strangers' bytes, a minute each; make fuzz SECONDS=600 TARGET=nut
	@deploy/setup.sh fuzz
	@worker/fuzz/run.sh $(or $(SECONDS),60) $(TARGET)

.PHONY: lint
lint: ## formatting, dependencies, scripts, spelling, clippy, documentation
	@deploy/setup.sh lint
	cargo fmt --all --check
	cargo fmt --check --manifest-path worker/fuzz/Cargo.toml
	@# Advisories are not checked: their database cannot be fetched everywhere (deny.toml).
	cargo deny check bans licenses sources
	shellcheck $(scripts)
	hadolint $(dockerfiles)
	typos
	npm --prefix api/web run --silent lint
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps
	@echo "make lint: nothing to complain about."

.PHONY: manifests
manifests: ## the Kubernetes manifests, rendered and checked without a cluster
	@k8s/check.sh

.PHONY: monitoring
monitoring: ## Prometheus' rules and their tests, and every query of the Grafana dashboards
	@deploy/setup.sh monitoring
	@deploy/prometheus/check.sh

.PHONY: compose-test
compose-test: page ## docker-compose.yml brought up for real on local images, with a worker and the broker killed; some minutes
	@deploy/setup.sh demo
	cargo build --workspace --bins
	@deploy/compose-test.sh

.PHONY: media-matrix
media-matrix: ## every shared clip, good and bad, and what becomes of it: a row each; another folder: make media-matrix CLIPS=…
	@deploy/setup.sh demo
	cargo build --workspace --bins
	$(CARGO_TARGET_DIR)/debug/media-matrix $(or $(CLIPS),../shared/clips)

.PHONY: bench
bench: ## speed of the engines and of the whole pipeline, in release mode
	@deploy/setup.sh bench
	@# It measures the built program.
	cargo build --release -p clearfleet
	cargo build --release -p clearfleet-common --example schedule
	cargo run --release -p clearfleet-tests --bin bench

.PHONY: bench-cpu
bench-cpu: ## the engine "cpu" against onnxruntime, OpenVINO and ncnn in one sitting; make bench-cpu ARGS="--threads 1"
	@deploy/setup.sh bench
	cargo build --release -p vdsr --bin vdsr
	@worker/vdsr/bench-cpu.py $(CARGO_TARGET_DIR)/release/vdsr $(or $(CLEARFLEET_SHARED),../shared)/tools/peers_cpu.py \
		worker/vdsr/models/vdsr-bootstrap.safetensors $(cache)/peers $(ARGS)

.PHONY: bench-fleet
bench-fleet: ## a fleet on a real RabbitMQ and MinIO, minutes; a part of it: make bench-fleet ARGS="fairness photos"
	@deploy/setup.sh fleet
	@# The built programs, and workers without ffmpeg, many in one process.
	cargo build --release -p clearfleet -p clearfleet-worker --bins --example fleet_workers
	cargo run --release -p clearfleet-tests --bin bench -- --fleet $(patsubst %,--only %,$(ARGS))

.PHONY: bench-page
bench-page: page ## what people wait for in the page, a quarter of an hour; a part of it: make bench-page ARGS="tus_upload"
	@deploy/setup.sh bench-page
	cargo build --release -p clearfleet -p clearfleet-worker
	cargo run --release -p clearfleet-tests --bin bench -- --page $(patsubst %,--only %,$(ARGS))

.PHONY: dist
dist: page ## release programs, Debian packages, lists of materials and checksums, in dist/; with images: make dist ARGS=--images
	@deploy/setup.sh dist
	cargo build --release --locked -p clearfleet -p clearfleet-worker
	@deploy/dist.sh $(ARGS)

.PHONY: clean
clean: ## remove .demo/ and everything built (the build folders are shared by all clones)
	rm -rf .demo target/nextest $(cache)/previous $(cache)/fuzz/target
	cargo clean
