"""search.py [USER], marks on standard input, a line each: everywhere on this PC where one of them is.

As root. Prints a line for each place, and in the end each mark that was found. Places: files of every file
system (names, links, contents; also those that only some process sees, and those that are open but deleted),
processes (arguments, environment), sockets, System V's memory and POSIX's queues, the print server (its jobs,
by its own protocol), the screen (selections, properties), kernel keys. And, with USER, whatever that account
still owns.
"""

import ctypes
import http.client
import os
import pwd
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator

KERNELS = {
    *("proc", "sysfs", "cgroup", "cgroup2", "debugfs", "tracefs", "securityfs", "bpf", "pstore", "configfs"),
    *("fusectl", "efivarfs", "binfmt_misc", "nsfs", "autofs"),
}
CHUNK = 1 << 20
SCREEN = {
    "DISPLAY": ":0",
    "XAUTHORITY": "/run/lab-kiosk/Xauthority",
    "PATH": "/usr/bin:/bin",
    "LC_ALL": "C.UTF-8",
}
SELECTIONS = """
import gi
gi.require_version("Gtk", "3.0")
from gi.repository import Gdk, Gtk
for name in ("CLIPBOARD", "PRIMARY", "SECONDARY"):
    board = Gtk.Clipboard.get(Gdk.Atom.intern(name, False))
    found, targets = board.wait_for_targets()
    print(name, board.wait_for_text(), [target.name() for target in targets or ()])
"""


class Search:
    """For some marks, in either of the encodings that programs keep text in."""

    def __init__(self, marks: list[str], uid: int | None, home: str) -> None:
        self.needles = {mark.encode(code): mark for mark in marks for code in ("utf-8", "utf-16-le")}
        self.hit: set[str] = set()
        self.longest = max(map(len, self.needles))
        self.uid = uid
        self.home = os.fsencode(home)  # the account's own, which stays, and has to be empty

    def holds(self, data: bytes) -> bool:
        hit = {mark for needle, mark in self.needles.items() if needle in data}
        self.hit |= hit
        return bool(hit)

    def everywhere(self) -> Iterator[str]:
        yield from self.files()
        yield from self.processes()
        yield from self.sockets()
        yield from self.shared_memory()
        yield from self.printed()
        yield from self.screen()
        with open("/proc/keys", "rb") as keys:
            if self.holds(keys.read()):
                yield "kernel key"

    def files(self) -> Iterator[str]:
        """Of every mount that the first process or any other sees."""
        seen: set[str] = set()
        for pid in ("1", *sorted(pids(), key=int)):
            try:
                with open(f"/proc/{pid}/mountinfo") as table:
                    lines = table.read().splitlines()
            except OSError:
                continue
            for line in lines:
                before, _, after = line.partition(" - ")
                _id, _parent, device, _root, point = before.split()[:5]
                if device in seen or after.split()[0] in KERNELS:
                    continue
                seen.add(device)
                point = point.encode().decode("unicode_escape")
                yield from self.below(os.fsencode(f"/proc/{pid}/root{point}" if pid != "1" else point))

    def below(self, top: bytes) -> Iterator[str]:
        try:
            device = os.lstat(top).st_dev
        except OSError:
            return
        for folder, folders, names in os.walk(top):
            folders[:] = [name for name in folders if on(os.path.join(folder, name), device)]
            for name in (*folders, *names, b"."):
                path = os.path.join(folder, name)
                yield from (f"{what}: {os.fsdecode(path)}" for what in self.at(path, name))

    def at(self, path: bytes, name: bytes) -> Iterator[str]:
        try:
            about = os.lstat(path)
            if self.holds(name):
                yield "name"
            if (
                self.uid is not None
                and about.st_uid == self.uid
                and path != self.home
                and name != b"."
                and not stat.S_ISCHR(about.st_mode)
            ):
                yield "owned"
            if stat.S_ISLNK(about.st_mode) and self.holds(os.readlink(path)):
                yield "link"
            if stat.S_ISREG(about.st_mode) and self.in_file(path):
                yield "content"
        except OSError:
            return

    def in_file(self, path: bytes | str) -> bool:
        tail = b""
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            while part := os.read(handle, CHUNK):
                if self.holds(tail + part):
                    return True
                tail = part[-self.longest :]
        finally:
            os.close(handle)
        return False

    def processes(self) -> Iterator[str]:
        for pid in pids():
            for what in ("cmdline", "environ"):
                try:
                    with open(f"/proc/{pid}/{what}", "rb") as file:
                        if self.holds(file.read()):
                            yield f"process: {what} of {pid}"
                except OSError:
                    continue
            try:
                handles = os.listdir(f"/proc/{pid}/fd")
                owner = os.stat(f"/proc/{pid}").st_uid
            except OSError:
                continue
            if self.uid is not None and owner == self.uid:
                yield f"process: {pid} is the user's"
            for handle in handles:
                path = f"/proc/{pid}/fd/{handle}"
                try:
                    if stat.S_ISREG(os.stat(path).st_mode) and self.in_file(path):
                        yield f"open file: {os.readlink(path)} of {pid}"
                except OSError:
                    continue

    def sockets(self) -> Iterator[str]:
        with open("/proc/net/unix", "rb") as table:
            yield from (f"socket: {line!r}" for line in table if self.holds(line))

    def shared_memory(self) -> Iterator[str]:
        libc = ctypes.CDLL(None)
        libc.shmat.restype = ctypes.c_void_p
        for table in ("shm", "sem", "msg"):
            with open(f"/proc/sysvipc/{table}") as file:
                head, *rows = [line.split() for line in file]
            for row in rows:
                fields = dict(zip(head, row, strict=True))
                if self.uid is not None and str(self.uid) in (fields["uid"], fields["cuid"]):
                    yield f"{table}: {row[1]} is the user's"
                if table == "shm":
                    where = libc.shmat(int(row[1]), None, 0o10000)
                    if where not in (None, ctypes.c_void_p(-1).value):
                        if self.holds(ctypes.string_at(where, int(fields["size"]))):
                            yield f"shm: {row[1]}"
                        libc.shmdt(ctypes.c_void_p(where))

    def printed(self) -> Iterator[str]:
        """Every job that the print server knows, finished ones too, with all it knows of it (RFC 8011)."""
        if not os.path.exists("/run/cups/cups.sock"):
            return

        def attribute(tag: int, name: bytes, value: bytes) -> bytes:
            return bytes([tag]) + b"".join(len(x).to_bytes(2, "big") + x for x in (name, value))

        asked = b"\x01\x01\x00\x0a\x00\x00\x00\x01\x01"
        asked += attribute(0x47, b"attributes-charset", b"utf-8")
        asked += attribute(0x48, b"attributes-natural-language", b"en")
        asked += attribute(0x45, b"printer-uri", b"ipp://localhost/")
        asked += attribute(0x42, b"requesting-user-name", b"root")
        asked += attribute(0x44, b"which-jobs", b"all")
        asked += attribute(0x44, b"requested-attributes", b"all") + b"\x03"
        link = http.client.HTTPConnection("localhost", timeout=30)
        link.sock = socket.socket(socket.AF_UNIX)
        link.sock.connect("/run/cups/cups.sock")
        link.request("POST", "/", asked, {"Content-Type": "application/ipp"})
        answer = link.getresponse()
        data = answer.read()
        if answer.status != 200 or len(data) < 9:
            raise SystemExit(f"the print server did not answer: {answer.status}")
        if self.holds(data):
            yield "print job"

    def screen(self) -> Iterator[str]:
        if not os.path.exists("/tmp/.X11-unix/X0"):
            return
        for what, argv in (
            ("root properties", ["xprop", "-root"]),
            ("windows", ["xwininfo", "-root", "-tree"]),
            ("selections", ["/usr/bin/python3", "-c", SELECTIONS]),
        ):
            done = subprocess.run(argv, env=SCREEN, capture_output=True, timeout=60, check=False)
            if done.returncode:
                raise SystemExit(f"the screen does not tell its {what}: {done.stderr!r}")
            if self.holds(done.stdout):
                yield f"screen: {what}"


def pids() -> list[str]:
    """Every process but this one and those it came from."""
    mine, own = os.getpid(), set()
    while mine > 1:
        own.add(str(mine))
        with open(f"/proc/{mine}/stat") as file:
            mine = int(file.read().rpartition(")")[2].split()[1])
    return [name for name in os.listdir("/proc") if name.isdigit() and name not in own]


def on(path: bytes, device: int) -> bool:
    try:
        return os.lstat(path).st_dev == device
    except OSError:
        return False


def main(user: str) -> None:
    """Print what is found."""
    marks = sys.stdin.read().split()
    account = pwd.getpwnam(user) if user else None
    search = Search(marks, account.pw_uid if account else None, account.pw_dir if account else "")
    for line in search.everywhere():
        print(line.encode(errors="backslashreplace").decode())
    for mark in search.hit:
        print(f"mark: {mark}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
