#!/usr/bin/env bash
# Runs a test that makes pods: tests/pod/run.sh TEST [ARGUMENT...]. There is no cluster: podman plays them, with images made here from the built
# binary and the host's nginx.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$here/../..

skip() {
    echo "skipped: the tests of pods: $*"
    exit 0
}

PATH=$PATH:/usr/sbin:/sbin
if [ -z "${MIRROR_TEST_PODS:-}" ]; then
    [ $# -gt 0 ] || { sed -n '2s/^# //p' "$0" >&2; exit 2; }
    for program in nft ip nginx strip; do
        command -v "$program" >/dev/null || skip "there is no $program here"
    done
    # The binary lies beside the folder that the test was built in.
    MIRROR=$(realpath "${MIRROR:-$(dirname "$1")/../mirror}")
    export MIRROR
    exec "$here/podman.sh" "$0" "$@"
fi

build() {
    buildah bud --quiet --isolation chroot "$@" >/dev/null
}
pushd "$MIRROR_TEST_PODS" >/dev/null
nft 'add table inet mirror_test; delete table inet mirror_test' 2>log || skip "nft does not work here: $(tail -n 1 log)"
# What keeps a pod's namespaces, as it does nothing else. On it is tried whether podman works here at all.
"$top/packaging/rootfs.sh" pause/rootfs "$(command -v sleep)=/pause"
build -f "$here/pause.Dockerfile" -t localhost/pause pause 2>log || skip "buildah does not work here: $(tail -n 1 log)"
podman run --rm --entrypoint /pause localhost/pause 0 >/dev/null 2>log || skip "podman does not work here: $(tail -n 1 log)"
# A few MB in place of a hundred; nobody debugs in there.
strip -o mirror "$MIRROR"
"$top/packaging/rootfs.sh" image/dist/rootfs mirror=/usr/bin/mirror "$(command -v nft)=/usr/sbin/nft" "$(command -v ip)=/usr/sbin/ip"
build --target prebuilt -f "$top/Dockerfile" -t localhost/mirror image
"$top/packaging/rootfs.sh" app/rootfs "$(command -v nginx)=/usr/sbin/nginx"
cp "$here/nginx.conf" app/
build -f "$here/nginx.Dockerfile" -t localhost/nginx app
popd >/dev/null
exec "$@"
