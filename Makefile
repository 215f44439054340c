# The two commands: `make demo` and `make test`. Each installs what it needs by itself.

CARGO ?= cargo
# How long each fuzz target runs, in seconds.
FUZZ_SECONDS ?= 20
# 0 is a new one each time.
FUZZ_SEED ?= 0
# Which of them, e.g. "packets http1"; none: all.
FUZZ_TARGETS ?=
# For `make bench`, `make bench-capture` and `make bench-replay`, e.g. BENCH_FLAGS="--seconds 2 --repeats 3 --steady none".
BENCH_FLAGS ?=
# For `make test-deb`: the .deb; by default one of the debug binary.
DEB ?=
# For `make bench-capture` and `make bench-replay`: a GoReplay binary, where there is one.
GOR ?=

.PHONY: help
help: ## What there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 15

.PHONY: demo
demo: compiler ## The main job on embedded backends
	$(CARGO) run --quiet -- demo

.PHONY: test
test: setup ## The whole suite
	$(CARGO) build --workspace --all-targets
	MIRROR_TEST_PYTHON=$(CURDIR)/target/venv/bin/python $(CARGO) test --workspace --quiet

.PHONY: test-pod
test-pod: ## Real pods by podman: a sidecar with its redirect; as root
	@tests/setup.sh pods
	$(CARGO) build --workspace --all-targets
	$(CARGO) test --quiet -p mirror-tests --test pod --config "target.'cfg(unix)'.runner = 'tests/pod/run.sh'" -- --ignored --test-threads=1 --nocapture

.PHONY: test-deb
test-deb: ## The .deb installed, run, removed and purged in a system made for it; as root
	@tests/setup.sh dist deb pods
	$(CARGO) build
	tests/deb.sh $(DEB)

.PHONY: fuzz
fuzz: compiler ## Each fuzz target for a while
	tests/fuzz.sh $(FUZZ_SECONDS) $(FUZZ_SEED) $(FUZZ_TARGETS)

.PHONY: corpus
corpus: compiler ## The listener on real captures, a line each; CORPUS=folder says where they are
	$(CARGO) test --quiet -p mirror-capture --test corpus -- --nocapture

.PHONY: bench
bench: compiler ## What stages cost, and mirror beside nginx and Envoy; writes target/bench/report.md
	$(CARGO) build --release
	$(CARGO) bench -p mirror --bench pipeline
	python3 tests/bench/bench.py --setup --mirror target/release/mirror $(BENCH_FLAGS)

.PHONY: bench-capture
bench-capture: compiler ## The listener beside tcpdump, and GoReplay with GOR=path; writes target/bench/capture.md
	$(CARGO) build --release
	python3 tests/bench/capture_bench.py --setup --mirror target/release/mirror --gor "$(GOR)" $(BENCH_FLAGS)

.PHONY: bench-replay
bench-replay: compiler ## Formats of recordings, and replay beside wrk and GoReplay (GOR=path); writes target/bench/replay.md
	$(CARGO) build --release
	$(CARGO) bench -p mirror --bench formats
	python3 tests/bench/replay_bench.py --setup --mirror target/release/mirror --gor "$(GOR)" $(BENCH_FLAGS)

.PHONY: charts
charts: setup ## What follows from the chart's values and the program's schema: values.schema.json, README.md, golden files
	$(CARGO) build
	charts/generate.py --mirror target/debug/mirror
	target/venv/bin/python tests/charts/check.py --mirror target/debug/mirror --rewrite

.PHONY: dist
dist: ## A release in dist/: a binary without shared libraries, man pages, completions, a .deb, an image's root, sums
	@tests/setup.sh dist
	packaging/dist.sh

.PHONY: lint
lint: compiler ## Formatting and clippy, warnings denied
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

.PHONY: setup
setup: ## Installs what the tests run against
	@tests/setup.sh

# The allocator and zstd are C, and the listener stands on libpcap: a build needs a compiler and pcap.h, which a machine with only a Rust
# toolchain may lack.
.PHONY: compiler
compiler:
	@command -v cmake >/dev/null && echo '#include <pcap.h>' | cc -E -x c - >/dev/null 2>&1 || tests/setup.sh
