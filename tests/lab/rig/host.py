"""What the rig needs of the machine it runs on: programs, locks, and one way to run a command.

Nothing here changes the host's own network or services; the only lasting effect is `ensure_host_tools`,
which installs Debian packages that are missing and says so.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"

# program -> Debian package that brings it
_TOOLS = {
    "mmdebstrap": "mmdebstrap",
    "nft": "nftables",
    "ip": "iproute2",
    "mkfs.ext4": "e2fsprogs",
    "mount": "mount",
    "nsenter": "util-linux",
    "tar": "tar",
}
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class RigError(Exception):
    """The rig could not do what it was asked; the message says what to do about it."""


class CommandFailed(RigError):
    """A command ended with a non-zero status; `returncode`, `stdout` and `stderr` are the command's."""

    def __init__(self, where: str, argv: Sequence[str], returncode: int, stdout: str, stderr: str) -> None:
        self.where = where
        self.argv = list(argv)
        self.returncode = returncode
        self.stdout = stdout
        self.stderr = stderr
        said = (stderr.strip() or stdout.strip())[-2000:]
        super().__init__(
            f"{where}: {' '.join(argv)} ended with {returncode}" + (f":\n{said}" if said else "")
        )


def say(line: str) -> None:
    """One line of progress for the person at the terminal; standard output stays free for results."""
    print(f"lab: {line}", file=sys.stderr, flush=True)


def program(name: str) -> str:
    """Absolute path of a host program. Raises RigError when the host lacks it."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '/usr/bin:/bin')}:{_SBIN}")
    if path is None:
        raise RigError(f"the host has no '{name}': run `python3 -m tests.lab.rig build`, which installs it")
    return path


def run_host(
    argv: Sequence[str],
    *,
    input: str | None = None,
    check: bool = True,
    timeout: float = 60,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program on the host and give back what it printed; `timeout` in seconds.

    Raises CommandFailed on a non-zero status unless `check` is off, and subprocess.TimeoutExpired.
    """
    done = subprocess.run(
        [program(argv[0]), *argv[1:]],
        input=input,
        stdin=subprocess.DEVNULL if input is None else None,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
        env=None if env is None else {**os.environ, **env},
        cwd=cwd,
    )
    if check and done.returncode != 0:
        raise CommandFailed("host", argv, done.returncode, done.stdout, done.stderr)
    return done


def require_root() -> None:
    """Raise RigError unless running as root: namespaces, loop devices and cgroups need it."""
    if os.geteuid() != 0:
        raise RigError("the lab needs root (namespaces, loop devices, cgroups): run it with sudo")


def ensure_host_tools() -> list[str]:
    """Install exactly the Debian packages whose programs are missing; one line is printed for each.

    Returns the packages installed. systemd-nspawn is not among them: installing it may upgrade the host's
    own systemd, so it is unpacked apart (see base.nspawn).
    """
    require_root()
    path = f"{os.environ.get('PATH', '/usr/bin:/bin')}:{_SBIN}"
    missing = [package for tool, package in _TOOLS.items() if shutil.which(tool, path=path) is None]
    if not _KEYRING.exists():
        missing.append("debian-archive-keyring")
    if missing:
        apt_get("install", "-y", "--no-install-recommends", *missing)
        for package in missing:
            say(f"installed {package} on this host")
    return missing


def apt_get(*args: str, cwd: Path | None = None) -> str:
    """Run apt-get on the host, a second time with fresh lists if the first fails; gives its output."""
    argv = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300", *args]
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    first = run_host(argv, check=False, timeout=900, env=env, cwd=cwd)
    if first.returncode == 0:
        return first.stdout
    run_host(["apt-get", "-qq", "update"], timeout=900, env=env)
    return run_host(argv, timeout=900, env=env, cwd=cwd).stdout


@contextmanager
def lock(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold an advisory lock on `path` (created if missing), between threads as well as processes.

    Several holders of a shared lock may coexist; the kernel drops the lock of a process that dies.
    """
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            # the one waited for may have removed the file: then the lock is worth nothing
            if path.exists() and path.stat().st_ino == os.fstat(fd).st_ino:
                yield
                return
        finally:
            os.close(fd)


def wait_until(met: Callable[[], bool], *, timeout: float, every: float = 0.02) -> bool:
    """Poll `met` each `every` seconds; True as soon as it holds, False after `timeout` seconds."""
    end = time.monotonic() + timeout
    while not met():
        if time.monotonic() > end:
            return False
        time.sleep(every)
    return True
