"""Looks at what is there of a session: in the session itself while it lives, and on the PC when it is gone.

The same look at each canary's spot before the wipe and after it. What a citizen
could have put in the way (a link, a pipe, a huge file) is not followed, waited
for or read whole.
"""

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from agent.core import proof
from agent.core.proof import CANARY, CANARY_KEY, FILES, SYSTEM_V, Seen, canary
from agent.host import Host
from agent.ports import ActionFailed
from contract.session import Place, Spot

SESSION_UNIT = "lab-session.service"
RUNTIME = "/run/lab-session"
ON_THE_SCREEN: tuple[Spot, ...] = ("clipboard", "selection", "cut-buffer")
"""As agent.helpers.selections names them."""
PRINTED = ("/var/spool/cups", "/var/log/cups")
"""Where CUPS keeps jobs with their titles, and what it may log of them."""

_LONGEST = 4 << 20
"""A canary's file is not longer; a citizen's may be."""
_LOOK_S = 30.0
_SCREEN = ("env", "DISPLAY=:0", "XAUTHORITY=/run/lab-kiosk/Xauthority")
_SELECTIONS = (*_SCREEN, sys.executable, "-I", "-m", "agent.helpers.selections", "tell")


class Witness:
    """Who looks for one session's canaries. `pid` is the session's main process; 0 where it is gone."""

    def __init__(self, host: Host, session: str, uid: int, home: str, pid: int = 0) -> None:
        self._host = host
        self._text = canary(session).encode()
        self._uid = uid
        self._home = home
        self._pid = pid
        self._root = f"/proc/{pid}/root" if pid else ""

    @classmethod
    def of_living(cls, host: Host, session: str, uid: int, home: str) -> "Witness | None":
        """Of a session whose unit runs; None where it does not."""
        done = host.run(
            ("systemctl", "show", "--property=MainPID", "--value", SESSION_UNIT), timeout_s=_LOOK_S
        )
        pid = int(done.stdout or 0)
        return cls(host, session, uid, home, pid) if pid else None

    def seen(self) -> Seen:
        """What the session's end finds, in a session that lives."""
        return Seen(
            session=self._text.decode().removeprefix(f"{CANARY}-"),
            spots=tuple(sorted(set(self.spots()))),
            took=self._took(),
        )

    def spots(self) -> Iterator[Spot]:
        """Where a canary is now."""
        yield from self._in_files()
        for table, text in self._system_v().items():
            if proof.has_key(text, CANARY_KEY):
                yield SYSTEM_V[table]
        if Path(f"{self._root}/dev/mqueue/{CANARY}").exists():
            yield "queue"
        if any(self._text in words for words in _command_lines()):
            yield "process"
        # The first process's, because a unit without network sees none of the PC's.
        if b"@" + self._text in Path("/proc/1/net/unix").read_bytes():
            yield "socket"
        yield from self._on_the_screen()
        if self._is_printed():
            yield "print-title"

    def _in_files(self) -> Iterator[Spot]:
        for spot, path in FILES.items():
            whole = path.replace("~", self._home, 1)
            if self._text in content(self._root + whole):
                yield spot

    def _system_v(self) -> dict[str, str]:
        """/proc/sysvipc/* as the session sees it: it shows a process its own name space."""
        files = {f"/proc/sysvipc/{table}": table for table in SYSTEM_V}
        if not self._pid:
            return {table: Path(file).read_text() for file, table in files.items()}
        said = self._said("nsenter", f"--ipc=/proc/{self._pid}/ns/ipc", "grep", "-H", "", *files).decode()
        found = dict.fromkeys(files.values(), "")
        for line in said.splitlines():
            file, _, row = line.partition(":")
            found[files[file]] += f"{row}\n"
        return found

    def _on_the_screen(self) -> Iterator[Spot]:
        held = self._said(*_SELECTIONS).splitlines()
        for spot in ON_THE_SCREEN:
            if b"%s\t%s" % (spot.encode(), self._text) in held:
                yield spot

    def _is_printed(self) -> bool:
        folders = [folder for folder in PRINTED if Path(folder).is_dir()]
        return bool(folders) and bool(self._said("grep", "-rlaF", "-e", self._text.decode(), *folders))

    def _took(self) -> dict[Place, int]:
        """What goes with the session's unit: processes, files in its own memory, shared memory."""
        own = Path(f"/proc/{self._pid}/mountinfo").read_text()
        folders = [*proof.own_mounts(own, Path("/proc/self/mountinfo").read_text()), RUNTIME]
        below = [f"{self._root}{folder}" for folder in folders]
        files = self._said("find", *below, "-xdev", "-mindepth", "1", "-printf", "x")
        return {
            "processes": len(self._processes()),
            "files": len(files),
            "shared-memory": sum(
                len(proof.ipc(table, self._uid)) for table in self._system_v().values() if table
            ),
        }

    def _processes(self) -> list[str]:
        shown = self._said("systemctl", "show", "--property=ControlGroup", "--value", SESSION_UNIT)
        group = Path("/sys/fs/cgroup", shown.decode().strip().lstrip("/"))
        return [line for file in group.rglob("cgroup.procs") for line in file.read_text().split()]

    def _said(self, *argv: str) -> bytes:
        """What a program prints; nothing where it cannot. What it does not tell, nobody has seen."""
        try:
            return self._host.run(argv, timeout_s=_LOOK_S).stdout
        except ActionFailed as error:
            sys.stderr.write(f"{error}\n")
            return b""


def writers(paths: list[str]) -> dict[str, str]:
    """The programs that have some of these files open for writing now, by path."""
    wanted = set(paths)
    found: dict[str, str] = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            for handle in (process / "fd").iterdir():
                path = os.readlink(handle)  # noqa: PTH115  # names that are not text stay what they are
                if path in wanted and _writes(process / "fdinfo" / handle.name):
                    found[path] = str((process / "exe").readlink())
        except OSError:
            continue  # it has ended, or is the kernel's own
    return found


def _writes(info: Path) -> bool:
    """Whether a descriptor was opened for writing (proc(5), fdinfo: flags in octal)."""
    fields = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
    return int(fields["flags"], 8) & os.O_ACCMODE != os.O_RDONLY


def content(path: str) -> bytes:
    """The beginning of a file; empty where there is none, or what stands there is none."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(handle, _LONGEST) if stat.S_ISREG(os.fstat(handle).st_mode) else b""
    except OSError:
        return b""
    finally:
        os.close(handle)


def _command_lines() -> Iterator[bytes]:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            yield (process / "cmdline").read_bytes()
        except OSError:
            continue  # it has ended
