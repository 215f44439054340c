#!/usr/bin/env bash
# Runs each fuzz target for a while: tests/fuzz.sh [SECONDS [SEED [TARGET...]]]. With a seed a run in a fresh checkout repeats the last
# one's inputs, as CI wants it; without, it looks for new ones. libFuzzer on the stable toolchain: the flags are those of
# `cargo fuzz --sanitizer none`, which works too. What a target found interesting is kept in CRATE/fuzz/corpus, and the input that broke
# it in CRATE/fuzz/artifacts: give its path to the target's binary to see it again.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-20}
seed=${2:-0}
wanted=" ${*:3} "
host=$(rustc -vV | sed -n 's/^host: //p')
# One for both crates: most of what they stand on is the same.
export CARGO_TARGET_DIR="$PWD/target/fuzz"
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions"

# run CRATE TARGET [FLAG...]
run() {
    local crate=$1 target=$2
    shift 2
    [[ $wanted = "  " || $wanted = *" $target "* ]] || return 0
    # The versions that the program is built with.
    cp Cargo.lock "$crate/fuzz/Cargo.lock"
    cargo build --quiet --release --target "$host" --manifest-path "$crate/fuzz/Cargo.toml" --bin "$target"
    local corpus=$crate/fuzz/corpus/$target artifacts=$crate/fuzz/artifacts/$target
    mkdir -p "$corpus" "$artifacts"
    echo "fuzz: $target for $seconds s"
    MIRROR_FUZZ_SEEDS=$corpus "$CARGO_TARGET_DIR/$host/release/$target" -seed="$seed" -max_total_time="$seconds" -timeout=60 \
        -print_funcs=0 -verbosity=0 -print_final_stats=1 -artifact_prefix="$artifacts/" "$@" "$corpus" 2>&1 | sed '/^###### Rec/,/^###### End/d'
}

run mirror config -max_len=4096
run mirror engine -max_len=4096
run mirror recording_avro -max_len=16384
run mirror recording_gor -max_len=4096 -dict=mirror/fuzz/gor.dict
run mirror recording_har -max_len=4096 -dict=mirror/fuzz/har.dict
run mirror recording_jsonl -max_len=4096 -dict=mirror/fuzz/har.dict
run capture packets -max_len=8192
run capture reassembly -max_len=4096
run capture http1 -max_len=4096 -dict=capture/fuzz/http1.dict
