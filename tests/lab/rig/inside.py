"""Running commands inside a machine: joins all its namespaces and a control group of the command's own.

The group is what makes a time-out clean: everything the command started dies with it, and nothing else.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from tests.lab.rig.cgroups import Group
from tests.lab.rig.host import CommandFailed, RigError, program

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# `sh` puts itself into the group, then becomes nsenter, whose children inherit it
_JOIN = 'for file in $RIG_JOIN; do echo $$ >"$file"; done; unset RIG_JOIN; exec "$@"'


class Inside(subprocess.Popen[bytes]):
    """A command running in a machine. Like any Popen, but kill() and terminate() reach the command itself.

    (The process Popen knows is a helper on the host, one pid namespace up.)
    """

    def __init__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        group: Group,
        *,
        stdin: int | IO[bytes] | None = subprocess.DEVNULL,
        stdout: int | IO[bytes] | None = subprocess.PIPE,
        stderr: int | IO[bytes] | None = subprocess.PIPE,
    ) -> None:
        self._group = group
        # a session of its own: a stray `kill 0` in there must not reach the test run
        super().__init__(argv, env=env, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True)

    def send_signal(self, sig: int) -> None:
        """Send a signal to every process of the command; to the helper as long as there is none yet."""
        if self.poll() is None:
            for pid in [pid for pid in self._group.pids() if pid != self.pid] or [self.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, sig)

    def terminate(self) -> None:
        """Ask the command to end (SIGTERM)."""
        self.send_signal(15)

    def kill(self) -> None:
        """End the command and everything it started, at once."""
        super().send_signal(9)  # first, lest it join the group after that was emptied
        self._group.kill()

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end, at most `timeout` seconds (then subprocess.TimeoutExpired); the exit status."""
        status = super().wait(timeout)
        self._group.remove()
        return status

    def __exit__(self, *exc: object) -> None:
        if self.poll() is None:
            self.kill()
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                stream.close()
        self.wait()


def command(
    init: int, join: Sequence[Path], argv: Sequence[str], user: str | None, env: Mapping[str, str] | None
) -> tuple[list[str], dict[str, str]]:
    """argv and environment of a host process that becomes `argv` inside the machine whose PID 1 is `init`.

    It first writes its id to each file of `join`, the control groups it shall be in.

    Raises RigError for a user the machine does not have.
    """
    home, prefix = "/root", []
    if user is not None and user != "root":
        home = home_of(Path(f"/proc/{init}/root"), user)
        prefix = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--"]
    name = user or "root"
    inner = {
        "PATH": _PATH,
        "HOME": home,
        "USER": name,
        "LOGNAME": name,
        "LANG": "C.UTF-8",
        "TERM": os.environ.get("TERM", "dumb"),
        **(env or {}),
        "RIG_JOIN": " ".join(map(str, join)),
    }
    enter = [program("nsenter"), f"--target={init}", "-m", "-u", "-i", "-n", "-p", "-C", "--"]
    return ["/bin/sh", "-c", _JOIN, "sh", *enter, *prefix, *argv], inner


def home_of(root: Path, user: str) -> str:
    """Home directory of a user of a machine. Raises RigError when there is no such user."""
    for line in (root / "etc/passwd").read_text().splitlines():
        fields = line.split(":")
        if fields[0] == user:
            return fields[5]
    raise RigError(f"no user {user} on this machine")


def finish(
    where: str, process: Inside, argv: Sequence[str], data: bytes | None, timeout: float, *, check: bool
) -> subprocess.CompletedProcess[bytes]:
    """Feed a command, collect its output, and end all of it after `timeout` seconds.

    Raises subprocess.TimeoutExpired, or CommandFailed on a non-zero status if `check`.
    """
    with process:
        try:
            out, err = process.communicate(data, timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise subprocess.TimeoutExpired(list(argv), timeout, out, err) from None
    if check and process.returncode != 0:
        raise CommandFailed(
            where, argv, process.returncode, out.decode(errors="replace"), err.decode(errors="replace")
        )
    return subprocess.CompletedProcess(list(argv), process.returncode, out, err)
