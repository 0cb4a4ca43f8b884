"""The base trees: one installed Debian per release, shared read-only by all PCs of all labs here.

A tree lives in <bases>/<release>/<key>/tree; the key is a hash of what went into it, so a changed package
list makes a new tree beside the old one, which goes when no lab uses it any more. Beside it `server/` is a
thin layer with what only the lab's server carries (an NTP server), stacked on the tree for that machine
alone.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shlex
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.rig.host import (
    RigError,
    apt_get,
    ensure_host_tools,
    lock,
    program,
    require_root,
    run_host,
    say,
)
from tests.lab.rig.sources import host_codename, host_sources, lines_for

DEFAULT_BASES = Path("/var/lib/publiclab-base")
RELEASES = ("bookworm", "trixie")

PACKAGES = [
    *("systemd", "systemd-sysv", "systemd-timesyncd", "dbus", "dbus-user-session", "libpam-systemd", "udev"),
    *("openssh-server", "avahi-daemon", "avahi-utils", "libnss-mdns", "sudo", "ca-certificates", "openssl"),
    *("python3", "python3-venv", "python3-gi", "gir1.2-gtk-3.0"),
    *("iproute2", "iputils-ping", "nftables", "tinyproxy-bin", "procps", "kmod", "curl", "less"),
    *("chromium", "chromium-l10n", "xvfb", "openbox", "xdotool", "x11-utils", "x11-xserver-utils"),
    *("libnss3-tools", "at-spi2-core", "python3-pyatspi", "cups-daemon", "cups-client", "cups-filters"),
    *("qpdf", "grub-common"),
    "maim",  # writes a window or the screen to standard output as PNG; the smallest that does
    "libfaketime",  # a PC whose clock woke up in 1970: the machines share the host's, which nobody may set
    *("fonts-dejavu-core", "fonts-noto-core", "locales"),
    *("mtools", "dosfstools", "ntfs-3g"),  # sticks are read and made without the kernel's help
    *("pcscd", "opensc-pkcs11"),
    *("libreoffice-writer", "libreoffice-calc", "libreoffice-impress", "libreoffice-l10n-it"),  # a course's
    *("cron", "at"),  # what a citizen could leave work with: it must come to nothing
]
# chrony and systemd-timesyncd exclude each other in one dpkg database: this is unpacked in a layer apart
SERVER_PACKAGES = ("chrony",)

KIOSK_UID = 1500
_RECIPE = 3  # raise it when the code below makes another tree from the same lists

# Documentation, and translations other than the lab's languages: nobody reads them here.
_DPKG_EXCLUDES = [
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/locale/*",
    "path-include=/usr/share/locale/it*",
    "path-include=/usr/share/locale/en*",
    "path-include=/usr/share/locale/ro*",
]

_HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"

TREE_FILES: dict[str, str] = {
    # one key is made in milliseconds; an empty one, left by a power cut, must not keep sshd down for ever
    "/etc/ssh/sshd_config.d/lab.conf": f"HostKey {_HOST_KEY}\n",
    "/etc/systemd/system/ssh.service.d/hostkey.conf": f"""[Service]
ExecStartPre=
ExecStartPre=/bin/sh -c 'test -s {_HOST_KEY} || rm -f {_HOST_KEY} {_HOST_KEY}.pub'
ExecStartPre=/bin/sh -c 'test -s {_HOST_KEY} || ssh-keygen -q -t ed25519 -N "" -f {_HOST_KEY}'
ExecStartPre=/usr/sbin/sshd -t
""",
    # The machines share the host's clock and hold no capability to set it. timesyncd therefore starts, asks
    # its server and reports the answer, and its attempt to adjust the clock is refused.
    "/etc/systemd/system/systemd-timesyncd.service.d/lab.conf": """[Unit]
ConditionVirtualization=
[Service]
AmbientCapabilities=
CapabilityBoundingSet=
""",
    "/etc/sudoers.d/lab": "labadmin ALL=(ALL) NOPASSWD:ALL\n",
    "/etc/machine-id": "",
}
MASKED_UNITS = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
)
SERVER_FILES: dict[str, str] = {
    # its own clock is the reference (PCs may ask from any of the lab's networks)
    "/etc/chrony/chrony.conf": "local stratum 8\nallow\ndriftfile /var/lib/chrony/drift\n",
    "/etc/default/chrony": 'DAEMON_OPTS="-x"\n',  # -x: never touches the clock
    "/etc/systemd/system/chrony.service.d/lab.conf": "[Unit]\nConditionCapability=\n",
}
_COMMANDS = [
    ["useradd", "--uid", "1000", "--create-home", "--shell", "/bin/bash", "--groups", "sudo", "labadmin"],
    ["useradd", "--uid", str(KIOSK_UID), "--create-home", "--shell", "/bin/bash", "kiosk"],
    ["useradd", "--system", "--home-dir", "/var/lib/chrony", "--shell", "/usr/sbin/nologin", "_chrony"],
]


@dataclass(frozen=True, slots=True)
class Base:
    """A finished base: the installed tree, the server's thin layer, and the file whose lock says 'in use'."""

    release: str
    directory: Path

    @property
    def tree(self) -> Path:
        """Root directory of the installed system; read-only for everybody."""
        return self.directory / "tree"

    @property
    def server(self) -> Path:
        """Layer for the lab's server, to be stacked on `tree`."""
        return self.directory / "server"

    @property
    def in_use(self) -> Path:
        """Each running machine holds a shared lock on this file."""
        return self.directory / "in-use"


def key_of(release: str) -> str:
    """Short hash of all that goes into the base of a release; it changes when this module's lists do."""
    lists = [PACKAGES, SERVER_PACKAGES, _DPKG_EXCLUDES, TREE_FILES, MASKED_UNITS, SERVER_FILES, _COMMANDS]
    parts = [release, _RECIPE, lists]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def find(release: str, bases: Path = DEFAULT_BASES) -> Base:
    """The finished base of a release. Raises RigError when it has not been built (or is out of date)."""
    if release not in RELEASES:
        raise RigError(f"no such release: {release} (there are: {', '.join(RELEASES)})")
    base = Base(release, bases / release / key_of(release))
    if not base.in_use.exists():
        raise RigError(
            f"the {release} base tree is not built: run `python3 -m tests.lab.rig build {release}`"
        )
    return base


def build(release: str, bases: Path = DEFAULT_BASES, *, force: bool = False) -> Base:
    """Make the base of a release unless it is there already (about a minute), and drop those it replaces.

    Two builders wait for each other. Raises RigError or CommandFailed; an interrupted build leaves no base.
    """
    require_root()
    ensure_host_tools()
    with lock(bases / "lock"):
        nspawn(bases)
        ssh_key(bases)
        base = Base(release, bases / release / key_of(release))
        if force and base.directory.exists():
            _remove(base.directory)
        if not base.in_use.exists():
            started = time.monotonic()
            say(f"building the {release} base tree (about a minute)")
            _build(base, bases)
            say(f"the {release} base tree is built: {time.monotonic() - started:.0f} s")
        for other in base.directory.parent.iterdir():
            if other != base.directory and not _is_used(other):
                _delete(other)
    return base


def _build(base: Base, bases: Path) -> None:
    new = base.directory.parent / "new"  # one builder at a time holds the lock
    _delete(new)
    new.mkdir(parents=True)
    tree, server, debs = new / "tree", new / "server", new / "debs"
    debs.mkdir()
    # what apt would install is fetched only: installing would take timesyncd out
    fetch_server_packages = (
        f"export APT_CONFIG=$MMDEBSTRAP_APT_CONFIG; cd {shlex.quote(str(debs))}; "
        f"wanted=$(apt-get -s install {' '.join(SERVER_PACKAGES)} | sed -n 's/^Inst \\([^ ]*\\).*/\\1/p'); "
        "apt-get -qq download $wanted"
    )
    run_host(
        [
            "mmdebstrap",
            "--quiet",
            "--mode=root",
            "--variant=minbase",
            f"--include={','.join(PACKAGES)}",
            *(f"--dpkgopt={option}" for option in _DPKG_EXCLUDES),
            f"--customize-hook={fetch_server_packages}",
            base.release,
            str(tree),
            *lines_for(base.release, host_sources(), host_codename()),
        ],
        timeout=1800,
    )
    _customise(tree, bases)
    server.mkdir()
    for name in ("bin", "lib", "sbin"):  # as in the tree: a directory of that name would hide the tree's link
        (server / "usr" / name).mkdir(parents=True)
        (server / name).symlink_to(f"usr/{name}")
    for deb in debs.glob("*.deb"):
        unpack = f'dpkg-deb --fsys-tarfile "$1" | {program("tar")} -C "$2" -x --keep-directory-symlink'
        run_host(["sh", "-c", unpack, "sh", str(deb), str(server)])
    _delete(debs)
    _write(server, SERVER_FILES)
    _enable(server, "chrony.service")
    for state in ("var/lib/chrony", "var/log/chrony"):
        (server / state).mkdir(parents=True, exist_ok=True)
        run_host(["chown", "-h", _owner_in(tree, "_chrony"), str(server / state)])
    run_host(["sync", "-f", str(new)], timeout=300)
    new.rename(base.directory)
    base.in_use.touch()  # the last step: its presence says the base is whole


def _customise(tree: Path, bases: Path) -> None:
    for pattern in ("etc/ssh/ssh_host_*", "var/lib/dbus/machine-id", "etc/hostname", "etc/resolv.conf"):
        for path in tree.glob(pattern):
            path.unlink()
    for command in _COMMANDS:
        run_host(["chroot", str(tree), *command])
    _write(tree, TREE_FILES)
    (tree / "etc/sudoers.d/lab").chmod(0o440)
    (tree / "var/log/journal").mkdir(exist_ok=True)  # its presence makes the journal persistent
    for unit in MASKED_UNITS:
        link = tree / "etc/systemd/system" / unit
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")
    public = ssh_key(bases).with_suffix(".pub").read_text()
    for home, uid in (("root", 0), ("home/labadmin", 1000)):
        ssh = tree / home / ".ssh"
        ssh.mkdir(mode=0o700, exist_ok=True)
        (ssh / "authorized_keys").write_text(public)
        (ssh / "authorized_keys").chmod(0o600)
        for path in (ssh, ssh / "authorized_keys"):
            os.chown(path, uid, uid)


def _write(root: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _enable(root: Path, unit: str) -> None:
    wants = root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    (wants / unit).symlink_to(f"/lib/systemd/system/{unit}")


def _owner_in(tree: Path, user: str) -> str:
    for line in (tree / "etc/passwd").read_text().splitlines():
        name, _, uid, gid, *_ = line.split(":")
        if name == user:
            return f"{uid}:{gid}"
    raise RigError(f"no user {user} in {tree}")


def ssh_key(bases: Path = DEFAULT_BASES) -> Path:
    """The private key every machine's root and labadmin accept; made once, shared by all labs here."""
    key = bases / "id_ed25519"
    if not key.exists():
        bases.mkdir(parents=True, exist_ok=True)
        if shutil.which("ssh-keygen") is None:
            apt_get("install", "-y", "--no-install-recommends", "openssh-client")
            say("installed openssh-client on this host")
        run_host(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test-lab", "-f", str(key)])
    return key


def nspawn(bases: Path = DEFAULT_BASES) -> tuple[Path, dict[str, str]]:
    """systemd-nspawn and the environment it needs: the host's own, or one unpacked under <bases>/tools.

    It is unpacked rather than installed because installing systemd-container may upgrade the host's
    systemd.
    """
    installed = shutil.which("systemd-nspawn")
    if installed:
        return Path(installed), {}
    tools = bases / "tools"
    binary = tools / "usr/bin/systemd-nspawn"
    if not binary.exists():
        new = bases / "tools.new"
        _delete(new)
        new.mkdir(parents=True)
        apt_get("download", "systemd-container", "libsystemd-shared", cwd=new)
        for deb in new.glob("*.deb"):
            run_host(["dpkg-deb", "-x", str(deb), str(new)])
            deb.unlink()
        _delete(tools)
        new.rename(tools)
        say("unpacked systemd-nspawn for the lab's own use (nothing installed)")
    library = next(tools.glob("usr/lib/*/systemd/libsystemd-shared-*.so"), None)
    return binary, {} if library is None else {"LD_LIBRARY_PATH": str(library.parent)}


@contextmanager
def _sole_use(base: Path) -> Iterator[bool]:
    """Whether no machine runs on this base; if so, none can start on it meanwhile."""
    try:
        fd = os.open(base / "in-use", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield True
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(fd)


def _is_used(base: Path) -> bool:
    with _sole_use(base) as sole:
        return not sole


def _remove(base: Path) -> None:
    with _sole_use(base) as sole:
        if not sole:
            raise RigError(f"machines are running on {base}: take their lab down first")
        _delete(base)


def _delete(directory: Path) -> None:
    if directory.exists():
        shutil.rmtree(directory)


def clean(bases: Path = DEFAULT_BASES) -> None:
    """Remove every base tree, the unpacked tools and the key. Raises RigError while a machine runs on one."""
    require_root()
    if not bases.exists():
        return
    with lock(bases / "lock"):
        for release in RELEASES:
            for base in (bases / release).glob("*"):
                _remove(base)
        _delete(bases)
