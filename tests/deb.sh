#!/usr/bin/env bash
# Installs the .deb, runs what is in it, removes and purges it, in a system of its own that is made for it: tests/deb.sh [DEB]. Without one it packages the built
# binary (target/debug/mirror). Takes root, and the packages that the machine's own apt knows; without, it says why it is skipped.
set -euo pipefail
cd "$(dirname "$0")/.."

skip() {
    echo "skipped: the test of the .deb: $*"
    exit 0
}
fail() {
    echo "failed: $*" >&2
    exit 1
}
passed=0
# check WHAT COMMAND...
check() {
    local what=$1
    shift
    "$@" || fail "$what"
    passed=$((passed + 1))
}
refuse() {
    ! "$@"
}

[ "$(id -u)" = 0 ] || skip "it takes root"
for program in mmdebstrap apt-get dpkg-deb systemctl; do
    command -v "$program" >/dev/null || skip "there is no $program here"
done
isolated=(setpriv --pdeathsig KILL unshare --net --mount --pid --fork --kill-child)
"${isolated[@]}" true 2>/dev/null || skip "namespaces may not be made here"

folder=$(mktemp -d)
trap 'rm -rf --one-file-system "$folder"' EXIT
trap 'exit 1' INT TERM HUP

deb=${1:-}
if [ -z "$deb" ]; then
    strip -o "$folder/mirror" target/debug/mirror
    packaging/deb.sh "$folder/mirror" "$folder"
    deb=$(echo "$folder"/mirror_*.deb)
fi

# The names in it, in a line each: `libc6 (>= 2.34), libpcap0.8 | other`.
depends=$(dpkg-deb -f "$deb" Depends | tr ',' '\n' | sed 's/^ *//; s/[ (|].*//; /^$/d' | paste -sd,)
# systemd for the service; it is not started but in a container.
include=systemd,systemd-sysv${depends:+,$depends}
root=$folder/root
# From where the machine itself has its packages.
# shellcheck disable=SC2016
sources=$(apt-get indextargets --format 'deb $(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' | sort -u)
codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
unshare --mount mmdebstrap --quiet --mode=root --variant=essential --include="$include" "$codename" "$root" - \
    <<< "$sources" > "$folder/log" 2>&1 || skip "no system to install it in could be made: $(grep '^E:' "$folder/log" | head -n 1)"
mkdir -p "$root/run" "$root/proc"
cp "$deb" "$root/mirror.deb"

# Within it, where nothing reaches the machine.
within() {
    # shellcheck disable=SC2016
    "${isolated[@]}" sh -c 'mount -t proc proc "$0/proc" && ip link set lo up && exec chroot "$0" "$@"' "$root" "$@"
}
install() {
    within env DEBIAN_FRONTEND=noninteractive dpkg --install /mirror.deb > "$folder/log" 2>&1 || { cat "$folder/log" >&2; return 1; }
}
disabled() {
    [ "$(systemctl --root="$root" is-enabled "$1" 2>/dev/null)" = disabled ]
}
leftovers() {
    find "$root/etc" "$root/usr" "$root/var/lib/dpkg/info" "$root/var/lib/systemd" -name 'mirror*' | grep .
}

check "it installs" install
check "the program runs" within /usr/bin/mirror --version > "$folder/log"
check "its settings are good" within /usr/bin/mirror check /etc/mirror/mirror.yaml > "$folder/log"
check "it has a unit" test -e "$root/usr/lib/systemd/system/mirror.service"
for unit in mirror mirror-redirect; do
    check "$unit is there, and not enabled" disabled "$unit"
done
files=$(dpkg-deb --contents "$deb" | awk '{ print $6 }')
# dpkg may be told to leave documentation out, as in images of containers: what is asked for is what the package has.
for file in man/man1/mirror.1.gz man/man1/mirror-replay.1.gz bash-completion/completions/mirror zsh/vendor-completions/_mirror \
    fish/vendor_completions.d/mirror.fish doc/mirror/copyright doc/mirror/systemd/low-ports.conf; do
    check "/usr/share/$file is in it" grep -qx "\./usr/share/$file" <<< "$files"
done
# What the unit runs, until systemd would stop it.
check "it starts, and ends when it is told to" within timeout --preserve-status --signal=TERM 2 /usr/bin/mirror run /etc/mirror/mirror.yaml > "$folder/log" 2>&1

# Which says itself what it did, or why it was skipped.
tests/pod/podman.sh tests/pod/service.sh "$root" || fail "the service"

echo '# ours' >> "$root/etc/mirror/mirror.yaml"
check "it is removed" within dpkg --remove mirror > "$folder/log" 2>&1
check "the program is gone" refuse test -e "$root/usr/bin/mirror"
check "the unit is gone" refuse test -e "$root/usr/lib/systemd/system/mirror.service"
check "the settings stay" grep -qx '# ours' "$root/etc/mirror/mirror.yaml"
check "it installs again" install
check "the settings stay what they were" grep -qx '# ours' "$root/etc/mirror/mirror.yaml"
check "it is purged" within dpkg --purge mirror > "$folder/log" 2>&1
check "the settings are gone" refuse test -e "$root/etc/mirror"
# But for recordings, which nobody gets back.
check "nothing is left" refuse leftovers
echo "the .deb: $passed passed, 0 failed"
