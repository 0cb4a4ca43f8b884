"""Removes all that a session left on this PC, and proves it. Runs as root, for seconds, in lab-wipe.service.

    look at the session that lives -> stop it
    look at everything -> kill, remove, restart the screen -> look at everything again -> the proof

Two runs, by the task's stage; with the word `shutdown` the second one, whatever
the task says. Task, what was seen and proof are files below /run/lab-agent,
which is root's. It sees the PC as it is: its unit hides no folder from it.
"""

import contextlib
import os
import pwd
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from agent.core import proof
from agent.core.proof import Process, Seen, WipeTask, canary
from agent.core.stick import GROUP
from agent.helpers.witness import SESSION_UNIT, Witness, writers
from agent.host import Host
from agent.ports import ActionFailed
from contract.session import Place, Proof
from contract.wire import ContractError, Message, decode, encode

TASK = Path("/run/lab-agent/wipe.json")
SEEN = Path("/run/lab-agent/seen.json")
RESULT = Path("/run/lab-agent/wiped.json")

KILL_ROUNDS = 50
KILL_PAUSE_S = 0.1
"""Processes that are being ended in the kernel (a dying disk) get five seconds."""
LOOK_S = 240.0
"""How long one walk over all disks may take."""
CHUNK = 400
"""Files that are searched by one grep."""

SCREEN_UNIT = "lab-screen.service"
SPOOLER = "cups.service"
SPOOL = Path("/var/spool/cups")

WRITERS_S = 2.0
"""How long it is looked for who keeps changing a file that everybody may write."""

IPC = (("shm", "-m"), ("sem", "-s"), ("msg", "-q"))

Things = dict[Place, list[str]]
"""What was found: each thing by where it is."""


HELPERS = (GROUP,)
"""Users that work for a session, whose files and processes are its own: who reads the citizen's stick."""


class CannotLook(Exception):
    """A place could not be looked at: there is no proof then."""


class Wipe:
    """One wipe of what one user left."""

    def __init__(self, task: WipeTask, host: Host) -> None:
        account = pwd.getpwnam(task.user)
        self._task = task
        self._uid, self._home = account.pw_uid, account.pw_dir
        self._users = {task.user: self._uid, **_helpers()}
        self._host = host
        self._text = canary(task.session).encode() if task.session else b""
        self._witness = Witness(host, task.session, self._uid, self._home)
        self._owned: list[str] = []
        self._screens = self._screen()

    def end(self) -> Seen | None:
        """Look at the session that lives, and stop it; None where there was none to look at."""
        try:
            living = Witness.of_living(self._host, self._task.session, self._uid, self._home)
            return living.seen() if living else None
        except OSError as error:  # its main process has just ended
            sys.stderr.write(f"the session was not looked at: {error}\n")
            return None
        finally:
            self._host.run(("systemctl", "stop", SESSION_UNIT), timeout_s=30)

    def run(self, seen: Seen) -> Proof:
        """Look, remove, look again."""
        began = time.monotonic()
        self._host.run(("systemctl", "stop", SESSION_UNIT), timeout_s=30)
        before = self._look()
        self._remove()
        after = self._look()
        left = self._witness.spots() if self._task.session else ()
        return Proof(
            session=self._task.session,
            at=datetime.now(UTC),
            seconds=round(time.monotonic() - began, 3),
            looked=tuple(
                proof.looked(place, len(things) + seen.took.get(place, 0), after[place])
                for place, things in before.items()
            ),
            canaries=proof.canaries(seen, left) if self._task.session else (),
        )

    def _look(self) -> Things:
        # Processes first and last: one that ends while the disks are walked may write behind the walk.
        running = dict(self._processes())
        self._owned, changed, open_to_all = self._files()
        told = {*self._with_canary(changed), *open_to_all}.difference(self._owned)
        running |= dict(self._processes())
        return {
            "processes": [_program(pid) for pid in running],
            "files": [self._folder(path) for path in self._owned],
            "changed-files": self._told(sorted(told)),
            "shared-memory": [f"{table} {ident}" for table, _flag, ident in self._ipc()],
            "screen": [f"{pid}" for pid in self._screens if self._started(pid) == self._screens[pid]],
            "print-jobs": ["cups" for _job in self._jobs()],
        }

    def _remove(self) -> None:
        self._kill()
        for path in sorted(self._owned):
            _remove(Path(path), keep=path == self._home)
        _walk, theirs = self._mounts()
        for point in theirs:
            self._try(("umount", "--lazy", point))
        for _table, flag, ident in self._ipc():
            self._try(("ipcrm", flag, str(ident)), user=self._task.user)
        if self._jobs():
            self._try(("cancel", "-a", "-x"))  # with -u it keeps their titles
        self._try(("systemctl", "try-restart", SCREEN_UNIT))
        self._kill()

    def _try(self, argv: tuple[str, ...], user: str | None = None) -> None:
        """What does not succeed is seen when it is looked again."""
        try:
            self._host.run(argv, timeout_s=30, user=user)
        except ActionFailed as error:
            sys.stderr.write(f"{error}\n")

    # Processes

    def _processes(self) -> Iterator[tuple[int, Process]]:
        for entry in os.scandir("/proc"):
            if entry.name.isdigit():
                try:
                    found = proof.process(Path(entry.path, "status").read_text(errors="replace"))
                except (OSError, KeyError):
                    continue  # it has ended
                if not found.uids.isdisjoint(self._users.values()) and not found.dead:
                    yield int(entry.name), found

    def _kill(self) -> None:
        """Everything at once, by the kernel itself, so that nothing can outrun it by forking."""
        for _round in range(KILL_ROUNDS):
            if not any(True for _process in self._processes()):
                return
            for user in self._users:
                self._try(("kill", "-KILL", "--", "-1"), user=user)
            # Those that changed one of their ids, which that user may not signal.
            for pid, _process in self._processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(KILL_PAUSE_S)

    # Files

    def _mounts(self) -> tuple[list[str], list[str]]:
        return proof.mounts(Path("/proc/self/mountinfo").read_text(), self._uid)

    def _files(self) -> tuple[list[str], list[str], list[str]]:
        """In one walk of each disk: what the user owns; what was changed since the session began, and of that
        what anybody may write, so that nobody knows whose words are in it."""
        points, theirs = self._mounts()
        owners = [word for uid in self._users.values() for word in ("-o", "-uid", str(uid))][1:]
        mine = ("(", *owners, ")", "-printf", "o%p\\0")
        newer = ("-newerct", f"@{self._task.since:.0f}") if self._task.since else ()
        changed = ("-type", "f", *newer, "-printf", "c%p\\0", "-perm", "-o+w", "-printf", "w%p\\0")
        tests = ("(", *mine, ")", *((",", "(", *changed, ")") if self._text else ()))
        found: dict[bytes, set[str]] = {b"o": set(theirs), b"c": set(), b"w": set()}
        for point in points:
            done = self._host.run(("find", point, "-xdev", *tests), timeout_s=LOOK_S)
            _heed(done.stderr)
            for entry in filter(None, done.stdout.split(b"\0")):
                found[entry[:1]].add(os.fsdecode(entry[1:]))
        owned, files, open_to_all = (sorted(found[kind]) for kind in (b"o", b"c", b"w"))
        return [path for path in owned if not self._is_bare_home(path)], files, open_to_all

    def _is_bare_home(self, path: str) -> bool:
        """The account's own home may be there, with nothing in it."""
        return path == self._home and not any(True for _entry in os.scandir(path))

    def _with_canary(self, paths: list[str]) -> list[str]:
        """Those of the files that hold the canary's text, whoever wrote it there."""
        found: list[str] = []
        for at in range(0, len(paths), CHUNK):
            argv = ("grep", "-laF", "-Z", "-e", self._text.decode(), "--", *paths[at : at + CHUNK])
            done = self._host.run(argv, timeout_s=LOOK_S)
            _heed(done.stderr)
            found += [os.fsdecode(name) for name in done.stdout.split(b"\0") if name]
        return found

    def _told(self, paths: list[str]) -> list[str]:
        """The folder of each, with the program that has it open for writing, where one has for a moment."""
        busy: dict[str, str] = {}
        end = time.monotonic() + WRITERS_S
        while len(busy) < len(paths) and time.monotonic() < end:
            busy |= writers(paths)
            time.sleep(KILL_PAUSE_S)
        return [
            f"{self._folder(path)} ({busy[path]})" if path in busy else self._folder(path) for path in paths
        ]

    def _folder(self, path: str) -> str:
        """The folder above it that no citizen has named."""
        folder = os.path.dirname(path)  # noqa: PTH120  # names that are not text stay what they are
        while folder != "/":
            try:
                if os.lstat(folder).st_uid not in self._users.values():
                    break
            except FileNotFoundError:
                pass
            folder = os.path.dirname(folder)  # noqa: PTH120
        return os.fsencode(folder).decode(errors="replace")

    # The rest

    def _ipc(self) -> Iterator[tuple[str, str, int]]:
        for table, flag in IPC:
            for ident in proof.ipc(Path("/proc/sysvipc", table).read_text(), self._uid):
                yield table, flag, ident

    def _screen(self) -> dict[int, str]:
        """The X server that knew the session, and when it started; empty where none runs."""
        done = self._host.run(
            ("systemctl", "show", "--property=MainPID", "--value", SCREEN_UNIT), timeout_s=30
        )
        if done.returncode != 0:
            raise CannotLook(f"systemctl does not tell whether {SCREEN_UNIT} runs")
        pid = int(done.stdout)
        return {pid: self._started(pid)} if pid else {}

    def _started(self, pid: int) -> str:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        except FileNotFoundError:
            return "never"

    def _jobs(self) -> list[str]:
        """Everybody's, finished ones too: whose a job is, is what its sender says.

        A server that does not run knows of those in its spool: c and d files by number (cupsd(8)).
        """
        kept = [path.name for path in SPOOL.glob("[cd][0-9]*")] if SPOOL.is_dir() else []
        if self._host.run(("systemctl", "is-active", "--quiet", SPOOLER), timeout_s=30).returncode:
            return kept
        done = self._host.run(("lpstat", "-W", "all", "-o"), timeout_s=30)
        if done.returncode != 0:
            raise CannotLook("the print server does not tell its jobs")
        return done.stdout.decode(errors="replace").splitlines()


def _helpers() -> dict[str, int]:
    """Those of HELPERS that this PC has."""
    return {account.pw_name: account.pw_uid for account in pwd.getpwall() if account.pw_name in HELPERS}


def _remove(path: Path, *, keep: bool) -> None:
    """What cannot be removed is seen when it is looked again."""
    try:
        if keep:
            for child in path.iterdir():
                _remove(child, keep=False)
        elif path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        sys.stderr.write(f"{error.strerror}\n")


def _program(pid: int) -> str:
    """What a process runs, where that is a program of the system."""
    try:
        program = str(Path(f"/proc/{pid}/exe").readlink())
    except OSError:
        return "?"
    return program if program.startswith("/usr/") else "?"


def _heed(said: bytes) -> None:
    """What a search complained of, other than of what is no longer there. Raises CannotLook."""
    for line in said.decode(errors="replace").splitlines():
        if not line.endswith("No such file or directory"):
            raise CannotLook(line)


def main(argv: list[str]) -> int:
    """Do the task; 0 where there is a proof, whatever it says, or where a session that lived was stopped."""
    try:
        task = decode(WipeTask, TASK.read_bytes())
    except FileNotFoundError:
        return 0  # nobody has sat here since the last proof
    try:
        wipe = Wipe(task, Host())
        if task.stage == "look" and not argv:
            seen = wipe.end()
            if seen is not None:
                _write(SEEN, seen)
            return 0
        result = wipe.run(_seen(task.session))
    except KeyError:
        sys.stderr.write(f"there is no proof: there is no user {task.user}\n")
        return 1
    except (CannotLook, ActionFailed, OSError) as error:
        sys.stderr.write(f"there is no proof: {error}\n")
        return 1
    _write(RESULT, result)
    left = ", ".join(look.place for look in result.looked if look.left)
    sys.stderr.write("nothing of the session is left\n" if result.clean else f"something is left: {left}\n")
    return 0


def _seen(session: str) -> Seen:
    """What was seen of this session as it ended; nothing where nobody could look."""
    try:
        seen = decode(Seen, SEEN.read_bytes())
    except (OSError, ContractError):
        return Seen(session=session)
    return seen if seen.session == session else Seen(session=session)


def _write(path: Path, message: Message) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_bytes(encode(message))
    fresh.replace(path)


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main(sys.argv[1:]))
