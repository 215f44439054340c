#!/usr/bin/env bash
# Runs a test that makes pods: tests/pod/run.sh TEST [ARGUMENT...]. There is no cluster: podman plays them, with images made here from the built
# binary and the host's nginx. All of it is in namespaces of its own for the network, mounts and processes, and its files in a folder that goes
# with it: when this ends, however that is, nothing is left of it, and nothing of the host was touched.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$here/../..

skip() {
    echo "skipped: the tests of pods: $*"
    exit 0
}

PATH=$PATH:/usr/sbin:/sbin
if [ "${1:-}" = --within ]; then
    shift
    # What podman and its plugins write outside of the folder.
    for folder in /run /var/tmp /var/lib/cni /var/lib/containers; do
        mkdir -p "$folder"
        mount -t tmpfs tmpfs "$folder"
    done
    mkdir -p /run/lock
    ip link set lo up
    build() {
        buildah bud --quiet --isolation chroot "$@" >/dev/null
    }
    pushd "$MIRROR_TEST_PODS" >/dev/null
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
fi

[ $# -gt 0 ] || { sed -n '2s/^# //p' "$0" >&2; exit 2; }
[ "$(id -u)" = 0 ] || skip "they take root"
for program in podman buildah runc conmon nft nginx python3; do
    command -v "$program" >/dev/null || skip "there is no $program here"
done
# They end with this script, even when that is killed.
isolated=(setpriv --pdeathsig KILL unshare --net --mount --pid --fork --kill-child --mount-proc)
"${isolated[@]}" true 2>/dev/null || skip "namespaces may not be made here"
"${isolated[@]}" nft add table inet mirror 2>/dev/null || skip "nft does not work in a namespace here"

# The binary lies beside the folder that the test was built in.
MIRROR=$(realpath "${MIRROR:-$(dirname "$1")/../mirror}")
"$MIRROR" redirect --help >/dev/null 2>&1 || skip "this mirror has no \`redirect\`, which the init container runs"

folder=$(mktemp -d)
cgroups() {
    find /sys/fs/cgroup -maxdepth 2 -type d -name libpod_parent 2>/dev/null
}
before=$(cgroups)
cleanup() {
    rm -rf --one-file-system "$folder"
    # Empty ones, which podman leaves; not somebody else's.
    if [ -z "$before" ]; then cgroups | while read -r group; do find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true; done; fi
}
trap cleanup EXIT

export MIRROR MIRROR_TEST_PODS=$folder TMPDIR=$folder
export CONTAINERS_CONF=$folder/containers.conf CONTAINERS_STORAGE_CONF=$folder/storage.conf
mkdir "$folder/networks"
# systemd is not asked for cgroups, nor for the log: it may not be there. crun fails where runc does not.
cat > "$CONTAINERS_CONF" <<END
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
infra_image = "localhost/pause"
runtime = "ours"
[engine.runtimes]
ours = ["$here/runtime"]
[containers]
log_driver = "k8s-file"
[network]
network_config_dir = "$folder/networks"
END
cat > "$CONTAINERS_STORAGE_CONF" <<END
[storage]
driver = "vfs"
graphroot = "$folder/storage"
runroot = "/run/containers/storage"
END

# Not in the foreground, where a signal to this script alone would wait for its end.
"${isolated[@]}" "$0" --within "$@" &
child=$!
trap 'kill -KILL "$child"; wait "$child" || true; exit 1' INT TERM HUP
wait "$child"
