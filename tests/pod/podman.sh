#!/usr/bin/env bash
# Runs a command where podman works and touches nothing outside: tests/pod/podman.sh COMMAND [ARGUMENT...]. It is in namespaces of its own for the
# network, mounts and processes, and podman's files are in a folder, $MIRROR_TEST_PODS, that goes with it: when this ends nothing is left, and nothing of
# the host was touched. (Killed by SIGKILL it leaves that folder.) Where it cannot be, it says so, and is no failure.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

skip() {
    echo "skipped: what takes podman: $*"
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
    exec "$@"
fi

[ $# -gt 0 ] || { sed -n '2s/^# //p' "$0" >&2; exit 2; }
[ "$(id -u)" = 0 ] || skip "it takes root"
for program in podman buildah runc conmon python3; do
    command -v "$program" >/dev/null || skip "there is no $program here"
done
# They end with this script, even when that is killed.
isolated=(setpriv --pdeathsig KILL unshare --net --mount --pid --fork --kill-child --mount-proc)
"${isolated[@]}" true 2>/dev/null || skip "namespaces may not be made here"

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

export MIRROR_TEST_PODS=$folder TMPDIR=$folder
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
