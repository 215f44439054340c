#!/usr/bin/env bash
# Runs each fuzz target for a while: mirror/fuzz/run.sh [SECONDS [SEED]]. With a seed a run repeats the last one's inputs, as CI wants
# it; without, it looks for new ones. libFuzzer on the stable toolchain: the flags are those of
# `cargo fuzz --sanitizer none`, which works here too for longer runs.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-20}
seed=${2:-0}
host=$(rustc -vV | sed -n 's/^host: //p')
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions"
cargo build --quiet --release --target "$host"
for target in config engine; do
    echo "fuzz: $target for $seconds s"
    mkdir -p "corpus/$target" "artifacts/$target"
    "target/$host/release/$target" -seed="$seed" -max_total_time="$seconds" -max_len=4096 -timeout=60 -print_funcs=0 -verbosity=0 \
        -artifact_prefix="artifacts/$target/" "corpus/$target"
done
