#!/usr/bin/env bash
# Packages a built binary with its man pages and completions as a .deb: packaging/deb.sh BINARY FOLDER
# What goes where is said in mirror/cli/Cargo.toml. target/package has the files that the binary prints.
set -euo pipefail
[ $# = 2 ] || { sed -n '2s/^# //p' "$0" >&2; exit 2; }
binary=$(realpath "$1")
mkdir -p "$2"
folder=$(realpath "$2")
cd "$(dirname "$0")/.."
version=3.8.0
tools=$PWD/target/tools
PATH=$tools/bin:$PATH

if [ "$(cargo-deb --version 2>/dev/null)" != "cargo-deb $version" ]; then
    echo "deb: building cargo-deb, which takes a minute or two"
    # It runs for a second: to be built fast is worth more than to run fast.
    CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_TARGET_DIR=$tools/build \
        "${CARGO:-cargo}" install --quiet --locked --root "$tools" --version $version cargo-deb
    rm -rf "$tools/build"
fi

package=target/package
rm -rf $package
mkdir -p $package/man $package/completions
cp "$binary" $package/mirror
"$binary" man $package/man
gzip -9 -n $package/man/*.1
"$binary" completions bash > $package/completions/mirror
"$binary" completions zsh > $package/completions/_mirror
"$binary" completions fish > $package/completions/mirror.fish
cargo-deb --quiet --package mirror-cli --no-build --no-strip --locked --output "$folder/"
