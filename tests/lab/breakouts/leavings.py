"""Attempts to outlive the session: what a citizen's programs leave for the next one, of every kind there is.

Each leaves something that carries a mark of its own. Afterwards the PC is
searched as root for the mark: names of files, words in spools and units, and
each process's arguments, environment, open files, sockets and memory's names.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from tests.lab.breakouts.desk import Desk
from tests.lab.breakouts.table import Attempt, Escape, Seat

LEFT = r"""
import glob, os, sys
mark = sys.argv[1].encode()
mine = {str(os.getpid()), str(os.getppid())}
def found(where):
    print(where)
    sys.exit(3)
def has(path):
    try:
        return mark in open(path, "rb").read()
    except OSError:
        return False
def links(pattern):
    for path in glob.glob(pattern):
        try:
            yield os.readlink(path)
        except OSError:
            pass
# More than once: some are always another process.
for pid in (one for _ in range(10) for one in os.listdir("/proc") if one.isdigit()):
    if pid not in mine and (
        any(has(f"/proc/{pid}/{part}") for part in ("cmdline", "environ", "maps", "comm"))
        or any(sys.argv[1] in link for link in links(f"/proc/{pid}/fd/*"))
    ):
        found(f"process {pid}")
if has("/proc/net/unix"):
    found("a socket")
for top, folders, files in os.walk("/"):
    folders[:] = [one for one in folders if os.path.join(top, one) not in ("/proc", "/sys")]
    if any(sys.argv[1] in name for name in (*folders, *files)):
        found(f"a file in {top}")
    if top.startswith(("/var/spool", "/var/lib/systemd", "/home", "/etc/systemd", "/etc/cron")):
        if any(has(os.path.join(top, name)) for name in files if os.path.isfile(os.path.join(top, name))):
            found(f"words in {top}")
for kind in ("shm", "msg", "sem"):
    rows = open(f"/proc/sysvipc/{kind}").read().splitlines()
    if any(row.split()[0] == str(int(sys.argv[2], 16)) for row in rows[1:]):
        found(kind)
"""
"""Ends with status 3, and says where, if anything has the mark or the key."""
KEY = "1ab0b0"

_DAEMON = """
import os, signal, sys, time
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
for number in range(1, 32):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
for end in (0, 1, 2): os.close(end)
{act}
while True: time.sleep(60)
"""
_PLACES = "/tmp /var/tmp /dev/shm /run/lock /home/kiosk /home/kiosk/Downloads /dev/mqueue"


def attempts() -> Iterator[Attempt]:
    """All of them."""
    for name, text in PROGRAMS.items():
        yield _attempt(name, "python3", "-c", text)
    for name, text in SHELL.items():
        yield _attempt(name, "sh", "-c", text)


PROGRAMS = {
    "a daemon of a session of its own": _DAEMON.format(act=""),
    "a program that is in memory only": _DAEMON.format(
        act="memory = os.memfd_create(sys.argv[1])\n"
        "os.write(memory, open('/usr/bin/sleep', 'rb').read())\n"
        "os.execv(f'/proc/self/fd/{memory}', [sys.argv[1], 'infinity'])"
    ),
    "a file that was deleted and is held open": _DAEMON.format(
        act="held = open('/var/tmp/' + sys.argv[1], 'w')\nos.unlink(held.name)"
    ),
    "a socket that has no file": _DAEMON.format(
        act="import socket\nheld = socket.socket(socket.AF_UNIX)\n"
        "held.bind('\\0' + sys.argv[1])\nheld.listen()"
    ),
    "a port on loopback": _DAEMON.format(
        act="import socket\nheld = socket.create_server(('127.0.0.1', 31337))"
    ),
    "one that is always another process": _DAEMON.format(
        act="while True:\n    if os.fork(): os._exit(0)\n    time.sleep(0.05)"
    ),
    "a user of its own by a namespace": _DAEMON.format(
        act="os.execvp('unshare', ['unshare', '--user', '--map-root-user', '--pid', '--fork', "
        "'sh', '-c', 'sleep infinity; :', sys.argv[1]])"
    ),
    "another control group": _DAEMON.format(
        act="import glob\n"
        "for group in glob.glob('/sys/fs/cgroup/**/cgroup.procs', recursive=True):\n"
        "    try: open(group, 'w').write(str(os.getpid()))\n"
        "    except OSError: pass"
    ),
    "shared memory of System V": f"import ctypes, sys\nctypes.CDLL(None).shmget(0x{KEY}, 4096, 0o1666)",
    "a queue of messages of System V": f"import ctypes\nctypes.CDLL(None).msgget(0x{KEY}, 0o1666)",
}
SHELL = {
    "files in every folder that takes them": f'for place in {_PLACES}; do echo x > "$place/$0"; done',
    "a program at each log-in (autostart)": "mkdir -p ~/.config/autostart; "
    'printf "[Desktop Entry]\\nType=Application\\nExec=sleep 9\\n" > ~/.config/autostart/$0.desktop',
    "the shell's start files": "for file in .profile .bashrc .xsessionrc; do "
    'echo "sleep infinity & # $0" >> ~/$file; done',
    "a table for cron": 'echo "* * * * * sleep 9 # $0" | crontab -',
    "a job for at": 'echo "sleep 9 # $0" | at now + 1 hour',
    "a unit of its own (systemd --user)": "d=~/.config/systemd/user; mkdir -p $d/default.target.wants; "
    'printf "[Service]\\nExecStart=/bin/sleep infinity\\n" > $d/$0.service; '
    "ln -sf $d/$0.service $d/default.target.wants/; "
    "systemctl --user daemon-reload; systemctl --user start $0; loginctl enable-linger",
    "a unit of its own in passing (systemd-run)": "systemd-run --user --unit=$0 sleep infinity; "
    "mkdir -p ~/.local/share/$0",
    "a service that the bus starts": "d=~/.local/share/dbus-1/services; mkdir -p $d; "
    'printf "[D-BUS Service]\\nName=it.$0\\nExec=/bin/sleep 9\\n" > $d/it.$0.service',
    "a program for addresses of mail": "d=~/.local/share/applications; mkdir -p $d; "
    'printf "[Desktop Entry]\\nExec=sleep 9\\nMimeType=x-scheme-handler/mailto;\\n" > $d/$0.desktop',
    "a library for every program": "mkdir -p ~/.config/environment.d; "
    'echo "LD_PRELOAD=/tmp/$0.so" > ~/.config/environment.d/$0.conf; : > /tmp/$0.so',
}
"""`$0` is the mark."""


def _attempt(name: str, *argv: str) -> Attempt:
    return Attempt(
        "user-level persistence", name, "the next citizen's session", _stays(*argv), True, desk=True
    )


def _stays(*argv: str) -> Escape:
    def escapes(seat: Seat) -> bool:
        assert isinstance(seat, Desk)
        mark = f"resto-{secrets.token_hex(6)}"
        seat.plant(*argv, mark)
        seat.leave()
        left = seat.machine.run(["python3", "-c", LEFT, mark, KEY], check=False, timeout=120)
        seat.clean(mark)
        if left.returncode not in (0, 3):
            raise AssertionError(left.stderr)
        print(left.stdout)
        return left.returncode == 3

    return escapes
