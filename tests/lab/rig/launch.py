"""Switching a machine on: its disk, its control groups, and the supervisor that keeps systemd-nspawn
running.

launch.sh is that supervisor: a shell, for ten of them weigh less than one interpreter. It mounts everything
in a mount namespace of its own, so that nothing is left mounted however it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import subprocess
from pathlib import Path

from tests.lab.rig import base
from tests.lab.rig.cgroups import Group
from tests.lab.rig.host import RigError, run_host
from tests.lab.rig.spec import Site, Spec

_SUPERVISOR = Path(__file__).with_name("launch.sh")
_EXT4_SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN
_NO_LOG_FLUSH = 2


def launch(site: Site, spec: Spec, group: Group, log: Path) -> None:
    """Boot a machine that is off and has its network; returns while it boots.

    `group` is the machine's control group, `log` takes what its console prints. Raises RigError when the
    base tree it was installed from is gone.
    """
    installed = base.Base(spec.release, Path(spec.base))
    if not installed.in_use.exists():
        raise RigError(f"the base tree of {spec.name} is gone: take the lab down and up again")
    directory = site.machines / spec.name
    for name in ("disk", "root"):
        (directory / name).mkdir(exist_ok=True)
    _make_disk(directory, spec.disk)
    lab = Group(site.group)
    lab.create()
    lab.delegate()
    group.remove()  # what earlier boots left empty
    group.create()
    Group(f"{group.relative}/launcher").path.mkdir(exist_ok=True)
    if spec.memory:
        group.limit_memory(spec.memory)
    nspawn, env = base.nspawn(site.bases)
    environment = {
        "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "RIG_JOIN": " ".join(map(str, group.join_files("launcher"))),
        "RIG_GROUP": str(group.path),
        "RIG_NETNS": str(site.network.namespace(spec.name)),
        "RIG_BASE_LOCK": str(installed.in_use),
        "RIG_DIR": str(directory),
        "RIG_LOWER": ":".join([*spec.layers, str(installed.tree)]),
        "RIG_LIBRARY": env.get("LD_LIBRARY_PATH", ""),
        "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
        "SYSTEMD_NSPAWN_TMPFS_TMP": "0",
        # /proc/sys/net is the machine's own; Debian 13's services see nspawn's mounts over /proc as well
        "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",
    }
    argv = ["setsid", "--fork", "/bin/sh", str(_SUPERVISOR), str(nspawn), *_nspawn_arguments(spec, directory)]
    with log.open("ab") as console:
        subprocess.run(
            argv, env=environment, stdin=subprocess.DEVNULL, stdout=console, stderr=console, check=True
        )


def _nspawn_arguments(spec: Spec, directory: Path) -> list[str]:
    return [
        "--quiet",
        f"--directory={directory / 'root'}",
        f"--machine={spec.name}",
        f"--uuid={spec.uuid}",
        "--boot",
        "--register=no",
        "--keep-unit",
        "--settings=no",
        "--console=pipe",
        # the network the launcher is in; named once more, it makes nspawn mount /sys for it
        "--network-namespace-path=/proc/self/ns/net",
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        # for nftables, PrivateNetwork= and IPAddressDeny= of the units inside; not for the host's clock
        "--capability=CAP_NET_ADMIN,CAP_BPF,CAP_PERFMON",
        "--system-call-filter=bpf",
        *([f"--cpu-affinity={spec.cpus}"] if spec.cpus else []),
        *(f"--bind-ro={outside}:{inside}" for outside, inside in spec.binds),
    ]


def check_layer(layer: Path, tree: Path) -> None:
    """Raise RigError when a layer would change directories of the base tree it is to be stacked on.

    A directory that is in both shows with the layer's owner and permissions: an /etc that only root may
    enter stops a machine in ways that are hard to read. And a /lib beside /usr/lib would hide the system's
    link of that name.
    """
    for directory, names, _ in os.walk(layer):
        inside = Path(directory).relative_to(layer)
        for name in list(names):
            ours, theirs = layer / inside / name, tree / inside / name
            if not theirs.exists() or ours.is_symlink():
                names.remove(name)
            elif theirs.is_symlink():
                raise RigError(f"{ours} would hide the system's link: put its files where the link leads")
            else:
                a, b = ours.stat(), theirs.stat()
                if (a.st_mode, a.st_uid, a.st_gid) != (b.st_mode, b.st_uid, b.st_gid):
                    wanted = f"mode {b.st_mode & 0o7777:o}, owner {b.st_uid}:{b.st_gid}"
                    raise RigError(f"{ours} needs the permissions it has in the system: {wanted}")


def _make_disk(directory: Path, size: str) -> None:
    disk = directory / "disk.img"
    if disk.exists():
        return
    new = directory / "disk.new"
    run_host(["truncate", "-s", size, str(new)])
    run_host(["mkfs.ext4", "-q", "-F", "-m", "0", "-J", "size=8", "-E", "nodiscard", str(new)])
    new.rename(disk)


def attached_disks(directory: Path) -> list[str]:
    """Disk images at or below `directory` that a loop device of this machine still has open."""
    found = []
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            image = path.read_text().strip()
            if Path(image).is_relative_to(directory):
                found.append(image)
    return found


def freeze_disk(supervisor: int, directory: Path) -> None:
    """Stop a machine's disk dead: from now on nothing reaches it, not even what the kernel had yet to
    write.

    `supervisor` is the host id of its launcher, whose mounts are seen through /proc.
    """
    with contextlib.suppress(FileNotFoundError):
        fd = os.open(f"/proc/{supervisor}/root{directory / 'disk'}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            # not mounted yet? then this is the host's own disk, which must not be shut down
            if os.fstat(fd).st_dev != directory.stat().st_dev:
                fcntl.ioctl(fd, _EXT4_SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        finally:
            os.close(fd)
