"""The PC itself: the one room that reads and changes it, and that runs programs.

With a prefix the same files are kept below it, kernel parameters are files
there, and no program is run: there is no PC under a prefix that could obey.
"""

import contextlib
import errno
import os
import pwd
import signal
import stat
import subprocess
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from agent import durable
from agent.core.changes import (
    FileState,
    LoadRules,
    MakeDirectory,
    MakeLink,
    Reload,
    RemoveDirectory,
    RemoveFile,
    Run,
    SetKernel,
    WriteFile,
)
from agent.dpkg import Packages
from agent.netlink import PacketFilter
from agent.ports import ActionFailed, HostAction
from contract.sentence import Sentence, sentence, system_words

STAGING = "/etc/lab-agent/staging"
"""Where files are written before they are renamed into place: not beside their
place, because Chromium reads every file in its policy directory."""

HELPER = "lab-helper"
"""The account of the enforcer's short-lived helpers. Not `nobody`: whatever else runs as that may look at
what does, and a pairing's helper has the code and the PC's new key in its memory."""

MAX_FILE = 4 << 20
"""Longest file that is read whole (4 MiB); a longer one is not ours anyway."""

_RULES_BELOW = "/run/lab-agent/nftables/"

_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


class Host:
    """A PC (`root` is `/`) or a prefix that stands for one."""

    def __init__(
        self,
        root: Path = Path("/"),
        log: Callable[[str], None] = lambda _line: None,
        packet_filter: PacketFilter | None = None,
    ) -> None:
        self._root = root
        self._log = log
        self._filter = packet_filter
        self._rules: dict[str, str | None] = {}
        self._rules_at: dict[str, int] = {}
        self._packages = Packages()
        self._real = root == Path("/")
        self._prefix = "" if self._real else str(root)
        self._uid = os.geteuid()

    def file(self, path: str) -> FileState | None:
        """See Reader. Links are not followed; what is not a regular file of ours has no content."""
        try:
            handle = os.open(self._prefix + path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.ENOTDIR:
                return None
            return FileState(content=b"", mode=0, ours=False, target=self._target(path, error))
        try:
            about = os.fstat(handle)
            regular = stat.S_ISREG(about.st_mode) and about.st_size <= MAX_FILE
            content = _read_all(handle, about.st_size) if regular else b""
        finally:
            os.close(handle)
        return FileState(
            content=content, mode=stat.S_IMODE(about.st_mode), ours=regular and about.st_uid == self._uid
        )

    def _target(self, path: str, error: OSError) -> str | None:
        """Where a link leads that could not be opened because it is one."""
        if error.errno != errno.ELOOP:
            return None
        try:
            return str(Path(self._prefix + path).readlink())
        except OSError:  # it has gone meanwhile, or a link stands further up
            return None

    def is_directory(self, path: str) -> bool:
        """See Reader. One system call, where a list of the names would be read whole."""
        return os.path.isdir(self._prefix + path)  # noqa: PTH112  # a text, thrice as fast as a Path

    def names(self, path: str) -> tuple[str, ...] | None:
        """See Reader."""
        try:
            return tuple(sorted(os.listdir(self._prefix + path)))  # noqa: PTH208  # names alone, thrice as fast
        except (FileNotFoundError, NotADirectoryError):
            return None

    def directory(self, path: str) -> int | None:
        """See Reader."""
        try:
            about = os.lstat(self._prefix + path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        ours = stat.S_ISDIR(about.st_mode) and about.st_uid == self._uid
        return stat.S_IMODE(about.st_mode) if ours else None

    def kernel(self, key: str) -> str | None:
        """See Reader."""
        try:
            handle = os.open(self._parameter(key), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            text = _read_all(handle).decode(errors="replace")
        except OSError:  # a parameter that may be written only
            return None
        finally:
            os.close(handle)
        return " ".join(text.split())

    def rules(self, table: str) -> str | None:
        """See Reader. nft is run only when the kernel's ruleset is another one than the last time."""
        if not self._real:
            state = self.file(_RULES_BELOW + table)
            return None if state is None else state.content.decode()
        generation = self._filter.generation() if self._filter is not None else -1
        if generation < 0 or self._rules_at.get(table) != generation:
            done = self.run(("nft", "-s", "-n", "list", "table", "inet", table), timeout_s=10)
            self._rules[table] = done.stdout.decode() if done.returncode == 0 else None
            self._rules_at[table] = generation
        return self._rules[table]

    def uid(self, user: str) -> int | None:
        """See Reader. Under a prefix there is nobody but ourselves."""
        if not self._real:
            return self._uid
        try:
            return pwd.getpwnam(user).pw_uid
        except KeyError:
            return None

    @property
    def is_pc(self) -> bool:
        """Whether this is a PC, and no prefix that stands for one."""
        return self._real

    def running(self, unit: str) -> bool:
        """See Reader. Under a prefix nothing runs, and that is as it should be there."""
        return not self._real or bool(self._processes(unit))

    def program(self, path: str) -> bool:
        """See Reader. Under a prefix nothing is run, so nothing lacks."""
        return not self._real or os.access(path, os.X_OK)

    def version(self, package: str) -> str | None:
        """The version of a Debian package that is installed; None where it is not, or under a prefix."""
        return self._packages.version(package) if self._real else None

    def _processes(self, unit: str) -> list[int]:
        place = unit if "/" in unit else f"system.slice/{unit}"
        state = self.file(f"/sys/fs/cgroup/{place}/cgroup.procs")
        return [int(line) for line in state.content.split()] if state is not None else []

    def do(self, action: HostAction) -> None:
        """See HostWriter."""
        try:
            match action:
                case WriteFile():
                    self._write(action)
                case MakeLink(path, target):
                    durable.make_link(self._at(path), target)
                case RemoveFile(path):
                    self._at(path).unlink(missing_ok=True)
                    durable.sync_directory(self._at(path).parent)
                case MakeDirectory(path, mode):
                    durable.make_directory(self._at(path), mode)
                    durable.own(self._at(path), mode)
                case RemoveDirectory(path):
                    self._remove_directory(self._at(path))
                case SetKernel(key, value):
                    self._set_kernel(key, value)
                case LoadRules(table, rules):
                    self._load_rules(table, rules)
                case Reload(unit):
                    self._reload(unit)
                case Run():
                    self._run(action)
        except OSError as error:
            raise ActionFailed(_failed(action, system_words(error))) from error

    def set_clock(self, now: datetime) -> str:
        """Set the PC's clock to `now` (UTC); a line for the log that says whether that could be done."""
        if not self._real:
            return "under a prefix the clock is left alone"
        try:
            time.clock_settime(time.CLOCK_REALTIME, now.timestamp())
        except OSError as error:
            return f"the clock is before the journal's last entry and cannot be set: {error.strerror}"
        return f"the clock was before the journal's last entry and was set to {now:%Y-%m-%d %H:%M:%S} UTC"

    def run(
        self,
        argv: tuple[str, ...],
        *,
        timeout_s: float,
        user: str | None = None,
        stdin: bytes = b"",
        pass_fds: tuple[int, ...] = (),
    ) -> "subprocess.CompletedProcess[bytes]":
        """Run a program to its end, on a real PC as `user`.

        Raises ActionFailed when it or the user is not there, or it takes too long.
        """
        account = _account(user if self._real else None)
        try:
            return subprocess.run(
                argv,
                input=stdin,
                capture_output=True,
                timeout=timeout_s,
                check=False,
                env=_ENVIRONMENT,
                cwd="/",
                pass_fds=pass_fds,
                user=account.user,
                group=account.group,
                extra_groups=account.extra_groups,
            )
        except subprocess.TimeoutExpired:
            raise ActionFailed(
                sentence("{program} did not end within {count} s", program=argv[0], count=round(timeout_s))
            ) from None
        except OSError as error:
            raise ActionFailed(_cannot_run(argv, error)) from None

    def start(self, argv: tuple[str, ...], *, user: str | None = None) -> "subprocess.Popen[bytes]":
        """Start a helper that is talked to over its standard input and output; on a real PC as `user`.

        Raises ActionFailed when it or the user is not there.
        """
        account = _account(user if self._real else None)
        try:
            return subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_ENVIRONMENT,
                cwd="/",
                user=account.user,
                group=account.group,
                extra_groups=account.extra_groups,
            )
        except OSError as error:
            raise ActionFailed(_cannot_run(argv, error)) from None

    def _at(self, path: str) -> Path:
        return self._root / path.lstrip("/")

    def _parameter(self, key: str) -> str:
        return f"{self._prefix}/proc/sys/{key if '/' in key else key.replace('.', '/')}"

    def _write(self, action: WriteFile) -> None:
        staging = self._at(STAGING)
        staging.parent.parent.mkdir(parents=True, exist_ok=True)
        durable.make_directory(staging.parent, 0o755)  # the front reads its settings there
        durable.make_directory(staging, 0o700)
        target = self._at(action.path)
        fresh = staging / action.path.strip("/").replace("/", "-")
        try:
            durable.write_synced(fresh, action.content, action.mode)
            fresh.replace(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            # Another file system: the neighbour's name is the price of a rename.
            beside = target.with_name(f".{target.name}.lab-new")
            durable.write_synced(beside, action.content, action.mode)
            beside.replace(target)
            fresh.unlink(missing_ok=True)
        durable.sync_directory(target.parent)
        with contextlib.suppress(OSError):  # what a power cut left in it stays until it is written again
            staging.rmdir()

    def _remove_directory(self, path: Path) -> None:
        try:
            path.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
            self._log(f"{path} is left: somebody else keeps files in it")

    def _set_kernel(self, key: str, value: str) -> None:
        parameter = self._parameter(key)
        if not self._real:
            kept = Path(parameter)
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(value + "\n", encoding="utf-8")
            return
        # Never create: a wrong key is a sentence, not a file.
        handle = os.open(parameter, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(value + "\n")

    def _load_rules(self, table: str, rules: str) -> None:
        if not self._real:
            file = self._at(_RULES_BELOW + table)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(rules, encoding="utf-8") if rules else file.unlink(missing_ok=True)
            return
        # Named and deleted first: nft has no "replace", but one transaction for all of its input.
        script = f"table inet {table}\ndelete table inet {table}\n{rules}"
        done = self.run(("nft", "-f", "-"), timeout_s=10, stdin=script.encode())
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise ActionFailed(
                sentence(
                    "the packet filter does not take table {table}: {words}",
                    table=table,
                    words="".join(said[:1]),
                )
            )

    def _reload(self, unit: str) -> None:
        try:
            for process in self._processes(unit):
                os.kill(process, signal.SIGUSR1)
        except ProcessLookupError:  # it has just died: the next look finds it so
            return
        if not self.running(unit):
            self._run(Run(argv=("systemctl", "start", unit)))

    def _run(self, action: Run) -> None:
        if not self._real:
            self._log(f"under a prefix nothing is run: {' '.join(action.argv)}")
            return
        done = self.run(action.argv, timeout_s=action.timeout_s)
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise ActionFailed(
                sentence(
                    "{program} ended with {code}: {words}",
                    program=" ".join(action.argv),
                    code=done.returncode,
                    words="".join(said[-1:]),
                )
            )


def _read_all(handle: int, size: int = 0) -> bytes:
    """All that is there; in one call where that is as long as `size` says, which the kernel's own are not."""
    if size and len(whole := os.read(handle, size + 1)) == size:
        return whole
    parts: list[bytes] = [whole] if size else []
    while part := os.read(handle, 1 << 16):
        parts.append(part)
    return b"".join(parts)


class _Account(NamedTuple):
    user: int | None = None
    group: int | None = None
    extra_groups: tuple[int, ...] | None = None


def _account(user: str | None) -> _Account:
    """Popen's words for "as this user, with no other group"; as ourselves where we are not root.

    Raises ActionFailed where there is no such account: nothing is run as somebody else instead.
    """
    if user is None or os.geteuid() != 0:
        return _Account()
    try:
        found = pwd.getpwnam(user)
    except KeyError:
        raise ActionFailed(
            sentence("there is no account {user} on this PC: systemd-sysusers makes it", user=user)
        ) from None
    return _Account(user=found.pw_uid, group=found.pw_gid, extra_groups=())


def _failed(action: HostAction, why: Sentence) -> Sentence:
    match action:
        case WriteFile(path):
            return sentence("cannot write {path}: {why}", path=path, why=why)
        case MakeLink(path, target):
            return sentence("cannot link {path} to {target}: {why}", path=path, target=target, why=why)
        case RemoveFile(path) | RemoveDirectory(path):
            return sentence("cannot remove {path}: {why}", path=path, why=why)
        case MakeDirectory(path):
            return sentence("cannot make the directory {path}: {why}", path=path, why=why)
        case SetKernel(key, value):
            return sentence("cannot set {key} to {value}: {why}", key=key, value=value, why=why)
        case LoadRules(table):
            return sentence("cannot load the packet filter's table {table}: {why}", table=table, why=why)
        case Reload(unit):
            return sentence("cannot have {unit} read its files again: {why}", unit=unit, why=why)
        case Run(argv):
            return sentence("cannot run {program}: {why}", program=" ".join(argv), why=why)


def _cannot_run(argv: tuple[str, ...], error: OSError) -> Sentence:
    return sentence("cannot run {program}: {why}", program=argv[0], why=system_words(error))
