"""Files and directories that are on the disk when the call returns, with the rights that were asked for."""

import os
import stat
from pathlib import Path


def make_directory(path: Path, mode: int) -> None:
    """A directory with exactly this mode whatever the umask, from its first moment on.

    The service's umask keeps the agent's own files to root, but what citizens'
    programs are to obey they must be able to read: Chromium takes a policy
    behind a closed directory for no policy at all.
    """
    before = os.umask(0)
    try:
        path.mkdir(mode, exist_ok=True)
    finally:
        os.umask(before)


def own(path: Path, mode: int) -> None:
    """Make a directory that was there ours, with this mode. Raises OSError for what is no directory."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        about = os.fstat(handle)
        if about.st_uid != os.geteuid():
            os.fchown(handle, os.geteuid(), os.getegid())
        if stat.S_IMODE(about.st_mode) != mode:
            os.fchmod(handle, mode)
    finally:
        os.close(handle)


def write_synced(path: Path, content: bytes, mode: int) -> None:
    """A new file with exactly this mode whatever the umask; an old one of that name goes first."""
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fchmod(handle, mode)
        os.fsync(handle)


def sync_directory(path: Path) -> None:
    """Have the names in a directory on the disk; none there is fine."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_link(path: Path, target: str) -> None:
    """A symbolic link at `path`, in the place of whatever file stood there."""
    fresh = path.with_name(f".{path.name}.lab-new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(path)
    sync_directory(path.parent)
