#!/bin/sh
# Supervises one machine: enters its groups and namespaces, stacks its disk on the base tree, keeps nspawn running.
# Started by machine.py. Everything mounted here goes with the private mount namespace, however this shell ends.
#   RIG_JOIN   files to write a process id to: this shell's groups    RIG_GROUP   nspawn's control group
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
        sh -c 'echo $PPID' >"$RIG_GROUP/cgroup.procs"
        exec 9<&-
        [ -z "$RIG_LIBRARY" ] || export LD_LIBRARY_PATH="$RIG_LIBRARY"
        exec "$@"
    ) || status=$?
    [ "$status" = 133 ] || exit "$status"
    # A group that passes controllers on takes no process: what the last boot set up would shut the next nspawn out.
    find "$RIG_GROUP" -mindepth 1 -depth -type d ! -name launcher -exec rmdir {} + 2>/dev/null || :
    for controller in $(cat "$RIG_GROUP/cgroup.subtree_control"); do
        echo "-$controller" >"$RIG_GROUP/cgroup.subtree_control"
    done
done
