"""A host in memory, for pure plans only: it raises on whatever a real one would refuse."""

from collections.abc import Callable
from posixpath import dirname

from agent.core.changes import (
    FileState,
    Forget,
    LoadRules,
    MakeDirectory,
    MakeLink,
    Owned,
    Reload,
    Remember,
    RemoveDirectory,
    RemoveFile,
    Run,
    SetKernel,
    WriteFile,
)
from agent.ports import ActionFailed, HostAction
from contract.sentence import sentence


class FakeHost:
    """Files, directories, kernel parameters; `ran` is what was run, `broken` what fails when done.

    `missing` are programs that are not installed.
    """

    def __init__(
        self,
        files: dict[str, FileState] | None = None,
        directories: set[str] | None = None,
        kernel: dict[str, str] | None = None,
    ) -> None:
        self.files = dict(files or {})
        self.directories = set(directories or ()) | {"/", "/etc"}
        for path in self.files:
            above = dirname(path)
            while above != "/":
                self.directories.add(above)
                above = dirname(above)
        self.parameters = dict(kernel or {})
        self.users = {"root": 0, "kiosk": 1500}
        self.tables: dict[str, str] = {}
        self.units = {"systemd-timesyncd.service", "getty.target"}
        self.missing: set[str] = set()
        self.ran: list[tuple[str, ...]] = []
        self.broken: set[str] = set()

    def file(self, path: str) -> FileState | None:
        assert path.startswith("/")
        return self.files.get(path)

    def directory(self, path: str) -> int | None:
        return 0o755 if path in self.directories else None

    def program(self, path: str) -> bool:
        return path not in self.missing

    def is_directory(self, path: str) -> bool:
        return path in self.directories

    def names(self, path: str) -> tuple[str, ...] | None:
        if path not in self.directories:
            return None
        everything = (*self.files, *self.directories)
        return tuple(
            sorted({entry.rsplit("/", 1)[1] for entry in everything if dirname(entry) == path} - {""})
        )

    def kernel(self, key: str) -> str | None:
        value = self.parameters.get(key)
        return None if value is None else " ".join(value.split())

    def rules(self, table: str) -> str | None:
        return self.tables.get(table)

    def uid(self, user: str) -> int | None:
        return self.users.get(user)

    def running(self, unit: str) -> bool:
        return unit.rpartition("/")[2] in self.units

    def do(self, action: HostAction) -> None:
        match action:
            case WriteFile(path, content, mode):
                self._may(path)
                if dirname(path) not in self.directories:
                    raise AssertionError(f"{path} written into a directory that is not there")
                self.files[path] = FileState(content=content, mode=mode)
            case MakeLink(path, target):
                self._may(path)
                self.files[path] = FileState(content=b"", mode=0, ours=False, target=target)
            case RemoveFile(path):
                self._may(path)
                if path in self.directories:
                    raise AssertionError(f"{path} is a directory")
                self.files.pop(path, None)
            case MakeDirectory(path):
                self._may(path)
                if dirname(path) not in self.directories:
                    raise AssertionError(f"{path} made before its parent")
                self.directories.add(path)
            case RemoveDirectory(path):
                self._may(path)
                if not self.names(path):
                    self.directories.discard(path)
            case SetKernel(key, value):
                self._may(key)
                if key not in self.parameters:
                    raise ActionFailed(sentence("cannot set {key}: no such parameter", key=key))
                self.parameters[key] = value
            case LoadRules(table, rules):
                self._may(table)
                self.tables.pop(table, None)
                if rules:
                    self.tables[table] = rules
            case Reload(unit):
                self._may(unit)
                self.units.add(unit)
            case Run(argv):
                self._may(argv[0])
                self.ran.append(argv)
                if argv[0] == "systemctl":
                    self._systemctl(*(word for word in argv[1:] if not word.startswith("--")))
                self._accounts(argv)

    def snapshot(self) -> tuple[object, ...]:
        """Everything there is, to compare before and after."""
        return (
            dict(self.files),
            set(self.directories),
            dict(self.parameters),
            dict(self.tables),
            set(self.units),
        )

    def _systemctl(self, verb: str, *units: str) -> None:
        if verb == "stop":
            self.units -= set(units)
            # Its control group goes with a unit.
            self.directories -= {path for path in self.directories if path.rsplit("/", 1)[1] in units}
        elif verb in ("start", "restart"):
            self.units |= set(units) - {"lab-boot.service"}  # it ends when its work is done

        if (verb, *units) == ("restart", "lab-session.service"):
            self.files.pop("/sys/fs/cgroup/lab.slice/lab-kiosk.slice/lab-session.service/cgroup.procs", None)

    def _accounts(self, argv: tuple[str, ...]) -> None:
        """What the tools of Debian's passwd and systemd do to the account files."""
        match argv:
            case ("usermod", "--shell", shell, user):
                self._field("/etc/passwd", user, 6, lambda _old: shell)
            case ("usermod", "--password", password, user):
                self._field("/etc/shadow", user, 1, lambda _old: password)
            case ("usermod", "--lock", user):
                self._field("/etc/shadow", user, 1, lambda old: "!" + old)
            case ("usermod", "--unlock", user):
                self._field("/etc/shadow", user, 1, lambda old: old.removeprefix("!") or "!")
            case ("gpasswd", "--delete", user, group):
                self._field("/etc/group", group, 3, lambda old: ",".join(set(old.split(",")) - {user}))
            case ("gpasswd", "--add", user, group):
                self._field("/etc/group", group, 3, lambda old: ",".join(filter(None, (old, user))))
            case ("loginctl", "disable-linger", user):
                self.files.pop(f"/var/lib/systemd/linger/{user}", None)
            case _:
                pass

    def _field(self, path: str, name: str, number: int, change: Callable[[str], str]) -> None:
        lines = [line.split(":") for line in self.files[path].content.decode().splitlines()]
        for fields in lines:
            if fields[0] == name:
                fields[number] = change(fields[number])
        text = "".join(":".join(fields) + "\n" for fields in lines)
        self.files[path] = FileState(content=text.encode(), mode=self.files[path].mode)

    def _may(self, what: str) -> None:
        if what in self.broken:
            raise ActionFailed(sentence("{what} is broken in this test", what=what))


class FakeMemory:
    """What the journal remembers, without a disk."""

    def __init__(self, owned: dict[str, Owned] | None = None) -> None:
        self._owned = {kind: dict(entries) for kind, entries in (owned or {}).items()}

    def owned(self) -> dict[str, Owned]:
        return {kind: dict(entries) for kind, entries in self._owned.items()}

    def remember(self, entry: Remember) -> None:
        self._owned.setdefault(entry.kind, {}).setdefault(entry.key, entry.value)

    def forget(self, entry: Forget) -> None:
        self._owned.get(entry.kind, {}).pop(entry.key, None)
