#!/usr/bin/env bash
# Makes the root file system of an image that has a few programs and nothing else: packaging/rootfs.sh FOLDER PROGRAM[=PLACE]...
# Each program goes to its place, with the shared libraries that ldd names; a static one brings none. There is no shell and no package
# manager in it. The Dockerfile's build stage runs this, and so does who has no base image, so that both make the same image.
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2s/^# //p' "$0" >&2; exit 2; }
root=$1
shift

# copy FILE PLACE
copy() {
    install -D -m 755 "$1" "$root$2"
}

mkdir -p "$root/etc" "$root/tmp"
chmod 1777 "$root/tmp"
# The user has a number that no distribution gives out: a transparent redirect leaves its traffic alone by it.
cat > "$root/etc/passwd" <<'END'
root:x:0:0:root:/:/usr/sbin/nologin
mirror:x:2110:2110:mirror:/:/usr/sbin/nologin
END
printf 'root:x:0:\nmirror:x:2110:\n' > "$root/etc/group"
# Without it the C library asks for services that are not there before it reads /etc/hosts and asks DNS.
printf 'hosts: files dns\n' > "$root/etc/nsswitch.conf"

for program in "$@"; do
    from=${program%%=*}
    copy "$from" "${program#*=}"
    # Lines are `name => /path (address)` or, for the loader, `/path (address)`. What is not found ends it.
    if libraries=$(ldd "$from" 2>/dev/null); then
        if grep -F 'not found' <<< "$libraries" >&2; then exit 1; fi
        while read -r library; do
            [ -e "$root$library" ] || copy "$library" "$library"
        done < <(grep -oE '/[^ ]+ \(0x' <<< "$libraries" | sed 's/ (0x$//')
    fi
done
