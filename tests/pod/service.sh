#!/usr/bin/env bash
# The service under a real systemd, in a container of its own: tests/pod/podman.sh tests/pod/service.sh ROOT, where ROOT has systemd and the .deb.
set -euo pipefail
root=$1

skip() {
    echo "skipped: the service under systemd: $*"
    exit 0
}
fail() {
    echo "failed: $*" >&2
    within journalctl --unit=mirror --no-pager >&2 || true
    exit 1
}
within() {
    podman exec systemd "$@"
}
# until WHAT COMMAND...: within 20 s.
until_() {
    local what=$1
    shift
    for _ in $(seq 100); do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.2
    done
    fail "$what"
}
log=$MIRROR_TEST_PODS/log

podman run --detach --name systemd --systemd=always --network=none --privileged --rootfs "$root" /sbin/init >/dev/null 2>"$log" ||
    skip "podman does not run it: $(tail -n 1 "$log")"
for _ in $(seq 100); do
    state=$(within systemctl is-system-running 2>/dev/null || true)
    case $state in running | degraded) break ;; esac
    sleep 0.2
done
case $state in running | degraded) ;; *) skip "systemd does not come up in a container here" ;; esac
[ "$(within systemctl is-active mirror || true)" = inactive ] || fail "it was started by its installation"

# A proxy before nothing, which answers 502, and a listener that sees that from the side.
cat > "$root/etc/mirror/mirror.yaml" <<'END'
listen: "127.0.0.1:8080"
upstream: "127.0.0.1:1"
capture: "lo:8080"
record: traffic.avro
END
within systemctl start mirror || fail "it does not start"
# It counts as started when it serves, and not before.
within /usr/bin/mirror reload >/dev/null || fail "it was not ready"
pid=$(within systemctl show --property=MainPID --value mirror)
status=$(within cat "/proc/$pid/status")
# CAP_NET_RAW is 13; what it inherited it has given up.
for line in $'CapEff:\t0000000000002000' $'CapAmb:\t0000000000000000' $'NoNewPrivs:\t1' $'Seccomp:\t2'; do
    grep -qxF "$line" <<< "$status" || fail "not $line: $status"
done
if grep -q $'^Uid:\t0' <<< "$status"; then fail "it is root's"; fi
# bash opens the connection, as there is no other client in there.
within bash -c 'exec 3<>/dev/tcp/127.0.0.1/8080; printf "GET /page HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" >&3; grep -q 502 <&3' || fail "no answer"
until_ "nothing is recorded" within bash -c 'mirror inspect /var/lib/mirror/traffic.avro --json | grep -q /page'

sed -i 's/^record:.*/record: { path: traffic.avro, fraction: 50% }/' "$root/etc/mirror/mirror.yaml"
within systemctl reload mirror || fail "it does not reload"
until_ "the reload changed nothing" within bash -c 'journalctl --unit=mirror | grep -q "fraction 50%"'
sed -i 's/^record:/recrod:/' "$root/etc/mirror/mirror.yaml"
if within systemctl reload mirror 2>/dev/null; then fail "a wrong file is taken"; fi
within bash -c 'journalctl --unit=mirror | grep -q "did you mean .record"' || fail "the fault is not in the log"
[ "$(within systemctl show --property=MainPID --value mirror)" = "$pid" ] || fail "it was started again"
within systemctl stop mirror
[ "$(within systemctl show --property=Result --value mirror)" = success ] || fail "it does not end well"
within bash -c 'journalctl --unit=mirror | grep -q "exchanges seen"' || fail "no sums in the log"
# But for the answer that there was none, it has nothing to complain of: the unit lets it do all that it does.
if within bash -c 'journalctl --unit=mirror | grep WARN | grep -v "exchange failed"'; then fail "it warns"; fi
podman rm --force --time 0 systemd >/dev/null
echo "the service: started, reloaded, stopped"
