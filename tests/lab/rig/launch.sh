#!/bin/sh
# Supervises one machine: enters its groups and namespaces, stacks its disk on the base tree, keeps nspawn running.
# Started by machine.py. Everything mounted here goes with the private mount namespace, however this shell ends.
#   RIG_JOIN   files to write a process id to: this shell's groups    RIG_NSPAWN_JOIN   the same for nspawn
#   RIG_NETNS RIG_BASE_LOCK RIG_DIR (disk.img, seed.tar, disk/, root/) RIG_LOWER (layers, topmost first)
#   RIG_LIBRARY  LD_LIBRARY_PATH of an unpacked nspawn                 "$@"  nspawn and its arguments
set -eu

if [ -z "${RIG_INSIDE:-}" ]; then
    for file in $RIG_JOIN; do echo $$ >"$file"; done
    ulimit -Hn 524288 2>/dev/null || :
    # The network namespace is entered before nspawn starts: it mounts /sys first and would show the host's devices.
    RIG_INSIDE=1 exec nsenter --net="$RIG_NETNS" unshare --mount --propagation private /bin/sh "$0" "$@"
fi

exec 9<"$RIG_BASE_LOCK"
flock --shared 9

mount -o loop,noatime "$RIG_DIR/disk.img" "$RIG_DIR/disk"
mkdir -p "$RIG_DIR/disk/upper" "$RIG_DIR/disk/work"
mount -t overlay overlay "$RIG_DIR/root" \
    -o "lowerdir=$RIG_LOWER,upperdir=$RIG_DIR/disk/upper,workdir=$RIG_DIR/disk/work"
if [ ! -e "$RIG_DIR/disk/seeded" ]; then
    tar -C "$RIG_DIR/root" -xf "$RIG_DIR/seed.tar" --numeric-owner --no-overwrite-dir --keep-directory-symlink
    : >"$RIG_DIR/disk/seeded"
    sync -f "$RIG_DIR/disk"
fi

# nspawn keeps state in /run/systemd, which is the host's business
mount -t tmpfs -o mode=755 tmpfs /run

# With --keep-unit a machine that reboots is reported by status 133 and has to be started again from here.
while :; do
    status=0
    (
        for file in $RIG_NSPAWN_JOIN; do sh -c 'echo $PPID' >"$file"; done
        exec 9<&-
        [ -z "$RIG_LIBRARY" ] || export LD_LIBRARY_PATH="$RIG_LIBRARY"
        exec "$@"
    ) || status=$?
    [ "$status" = 133 ] || exit "$status"
done
