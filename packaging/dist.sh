#!/usr/bin/env bash
# A release, in dist/: the binary, which needs no shared library; its man pages and completions; a .deb; the root file system of an image; and
# SHA-256 sums of them.
set -euo pipefail
cd "$(dirname "$0")/.."
rm -rf dist
mkdir dist
packaging/static.sh dist/mirror
packaging/deb.sh dist/mirror dist
cp -r target/package/man target/package/completions dist/
packaging/rootfs.sh dist/rootfs dist/mirror=/usr/bin/mirror "$(command -v nft)=/usr/sbin/nft" "$(command -v ip)=/usr/sbin/ip"
tar -C dist/rootfs --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -czf dist/rootfs.tar.gz .
sums=$(cd dist && find . -type f ! -path './rootfs/*' -printf '%P\n' | sort | xargs sha256sum)
tee dist/SHA256SUMS <<< "$sums"
