#!/usr/bin/env bash
# Builds the release binary that runs on any Linux of this architecture, without a single shared library: packaging/static.sh FILE
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# = 1 ] || { sed -n '2s/^# //p' "packaging/static.sh" >&2; exit 2; }
host=$(rustc -vV | sed -n 's/^host: //p')

# libpcap as the distribution builds it, less D-Bus.
folder=$PWD/target/static
archive=$(cc -print-file-name=libpcap.a)
[ -e "$archive" ] || { echo "static: there is no libpcap.a: libpcap-dev has it" >&2; exit 1; }
mkdir -p "$folder"
cc -O2 -Wall -c packaging/no_dbus.c -o "$folder/no_dbus.o"
cp "$archive" "$folder/new.a"
if ar t "$folder/new.a" | grep -qx pcap-dbus.o; then
    ar d "$folder/new.a" pcap-dbus.o
    ar r "$folder/new.a" "$folder/no_dbus.o"
fi
# Cargo sees when a library is newer, and would link again each time.
cmp -s "$folder/new.a" "$folder/libpcap.a" || mv "$folder/new.a" "$folder/libpcap.a"

# The target is named although it is the host's own, so that what runs while it is built stays as it is.
LIBPCAP_LIBDIR=$folder RUSTFLAGS="-C target-feature=+crt-static" "${CARGO:-cargo}" build --locked --release --target "$host" -p mirror-cli
built=target/$host/release/mirror
if readelf -d "$built" | grep NEEDED >&2; then
    echo "static: it needs shared libraries" >&2
    exit 1
fi
# Functions keep their names, for backtraces.
mkdir -p "$(dirname "$1")"
objcopy --strip-debug "$built" "$1"
chmod 755 "$1"
