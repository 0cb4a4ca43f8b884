"""Becomes the citizen's browser, inside the session's unit, as the kiosk user.

Where the profile has office programs it stays, and keeps the browser beside them
(agent/helpers/programs.py).

First it plants the canaries (contract.session.SPOTS): a text that only this
session has, wherever a session can leave something. What cannot be planted is
left out, and the wipe (agent/helpers/witness.py) sees that it was not there.
"""

import contextlib
import ctypes
import json
import locale
import os
import shutil
import socket
import sqlite3
import sys
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from pathlib import Path

from agent.core.proof import CANARY, CANARY_KEY, COOKIES, LOCAL_STORAGE, canary
from agent.helpers.programs import keep
from agent.host import Host

BROWSER = "/usr/bin/chromium"
PROFILE = "profile"
STICK, DOWNLOADS = "USB", "Downloads"
"""Below the home: what came from a stick, and what may go to one (systemd/lab-session.service)."""

PLAIN = Path("/usr/lib/locale/C.utf8")
"""The one locale that every Debian has (libc-bin)."""
LOCALES = ".locales"
"""Below the home: where libc looks for the session's locale where the PC has not made it."""

MODUTIL = Path("/usr/bin/modutil")
READERS = Path("/run/pcscd/pcscd.comm")
LIBRARIES = Path("/usr/lib")
CARDS = (
    ("CIE", "libcie-pkcs11.so"),
    ("OpenSC", "*-linux-gnu/opensc-pkcs11.so"),
    ("bit4id", "bit4id/libbit4xpki.so"),
)
"""PKCS#11 modules by the names citizens know: the identity card, what OpenSC reads, regional health cards."""

FLAGS = (
    "--start-maximized",
    "--no-first-run",
    "--no-default-browser-check",
    "--password-store=basic",
    "--disable-breakpad",
    "--hide-crash-restore-bubble",
    # Silent at rest: no updates of components, no background fetches.
    "--disable-background-networking",
    "--disable-component-update",
    "--component-updater=url-source=http://127.0.0.1:9/",
)
GTK = """[Settings]
gtk-print-backends=cups
gtk-decoration-layout=:
gtk-recent-files-enabled=false
"""
"""No printing into a file, which would ask where to among all folders; no buttons of windows."""

_IPC_CREAT = 0o1000
_MINE = 0o600

_COOKIES = """
CREATE TABLE meta(key LONGVARCHAR NOT NULL UNIQUE PRIMARY KEY, value LONGVARCHAR);
INSERT INTO meta VALUES ('version', '24'), ('last_compatible_version', '24');
CREATE TABLE cookies(creation_utc INTEGER NOT NULL, host_key TEXT NOT NULL, top_frame_site_key TEXT NOT NULL,
    name TEXT NOT NULL, value TEXT NOT NULL, encrypted_value BLOB NOT NULL, path TEXT NOT NULL,
    expires_utc INTEGER NOT NULL, is_secure INTEGER NOT NULL, is_httponly INTEGER NOT NULL,
    last_access_utc INTEGER NOT NULL, has_expires INTEGER NOT NULL, is_persistent INTEGER NOT NULL,
    priority INTEGER NOT NULL, samesite INTEGER NOT NULL, source_scheme INTEGER NOT NULL,
    source_port INTEGER NOT NULL, last_update_utc INTEGER NOT NULL, source_type INTEGER NOT NULL,
    has_cross_site_ancestor INTEGER NOT NULL);
CREATE UNIQUE INDEX cookies_unique_index
    ON cookies(host_key, top_frame_site_key, has_cross_site_ancestor, name, path, source_scheme, source_port);
"""
"""Chromium's own format (net/extensions/sqlite/sqlite_persistent_cookie_store.cc), which it reads and goes on
with. One that knows only newer formats throws the file away: then the proof says that no canary was there."""

_FAR_OFF = 15_778_800_000_000_000
"""An end for the cookie, in microseconds since 1601, Chromium's time: the year 2101."""


def main() -> None:
    """Plant, then become the browser."""
    environment = dict(os.environ)
    session = environment.pop("LAB_SESSION")
    start_page = environment.pop("LAB_START_PAGE")
    programs = environment.pop("LAB_PROGRAMS", "").split()
    home, runtime = Path(environment["HOME"]), Path(environment["XDG_RUNTIME_DIR"])
    text = canary(session)
    _plant(plants(text, home, runtime))
    furnish(home)
    environment |= speaking(home, environment.get("LANG", ""))
    register_cards(home)
    os.chdir(home)
    argv = (BROWSER, *FLAGS, f"--user-data-dir={home / PROFILE}", start_page)
    if programs:
        sys.exit(keep(argv, environment, programs, refresh=lambda: _refresh(home, text)))
    os.execve(BROWSER, argv, environment)  # noqa: S606  # there is no shell to want


def _plant(acts: Iterable[Callable[[], object]]) -> None:
    """What cannot be planted is left out."""
    for act in acts:
        with contextlib.suppress(OSError, AttributeError, sqlite3.Error):
            act()


def _refresh(home: Path, text: str) -> None:
    """Nothing of what a browser that ended knew is there for the next one: who closes it is signed out."""
    shutil.rmtree(home / PROFILE, ignore_errors=True)
    _plant(plants_in_browser(text, home))
    furnish(home)


def furnish(home: Path) -> None:
    """Have the file chooser open on the stick's folder, and name it and the downloads beside its list.

    Where it opens is a preference of Chromium's; the chooser itself is GTK's, and its places are XDG's.
    GTK's own print dialogue, which the print preview has a link to, knows printers only.
    Another preference leaves the window's frame to the window manager, who draws none: so there are no
    buttons beside the tabs that make the window an icon, which nothing on the screen would bring back.
    """
    settings, browser = home / ".config", home / PROFILE / "Default"
    for folder in (settings, browser):
        folder.mkdir(parents=True, exist_ok=True)
    (settings / "user-dirs.dirs").write_text(
        f'XDG_DESKTOP_DIR="$HOME"\nXDG_DOCUMENTS_DIR="$HOME/{STICK}"\nXDG_DOWNLOAD_DIR="$HOME/{DOWNLOADS}"\n',
        encoding="ascii",
    )
    for version in ("3.0", "4.0"):
        kept = settings / f"gtk-{version}"
        kept.mkdir(exist_ok=True)
        (kept / "settings.ini").write_text(GTK, encoding="ascii")
    preferred = {
        "selectfile": {"last_directory": str(home / STICK)},
        "browser": {"custom_chrome_frame": False},
    }
    (browser / "Preferences").write_text(json.dumps(preferred), encoding="ascii")


def speaking(home: Path, wanted: str) -> dict[str, str]:
    """What the environment needs for programs to speak the language of the locale `wanted`.

    Chromium has its own words; the file chooser is GTK's, whose translations libc looks for only in a locale
    that there is. A PC has few made. So the session has one by that name, with the letters of C.UTF-8.
    """
    try:
        locale.setlocale(locale.LC_ALL, wanted)
    except locale.Error:
        folder = home / LOCALES
        folder.mkdir(exist_ok=True)
        with contextlib.suppress(FileExistsError):
            (folder / wanted).symlink_to(PLAIN)
        return {"LOCPATH": str(folder)}
    return {}


def register_cards(home: Path) -> None:
    """Tell NSS, which is what Chromium asks for certificates, of the smart cards' modules that this PC has.

    Cards are let in or not by the profile (agent/resources/storage.py); here they are only named.
    """
    found = [(name, path) for name, pattern in CARDS for path in sorted(LIBRARIES.glob(pattern))[:1]]
    if not found or not READERS.exists() or not MODUTIL.exists():
        return
    database = home / ".pki/nssdb"
    database.mkdir(0o700, parents=True, exist_ok=True)
    for name, path in found:
        argv = (MODUTIL, "-force", "-dbdir", f"sql:{database}", "-add", name, "-libfile", path)
        os.waitpid(os.posix_spawn(MODUTIL, tuple(map(str, argv)), os.environ), 0)


def plants(text: str, home: Path, runtime: Path) -> tuple[Callable[[], object], ...]:
    """One act of planting for each spot."""
    shared = map(Path, ("/tmp", "/var/tmp", "/dev/shm"))  # noqa: S108  # these are the places
    return (
        *(partial(_in_folder, folder, text) for folder in (home, home / DOWNLOADS, runtime, *shared)),
        *plants_in_browser(text, home),
        lambda: _in_shared_memory(text.encode()),
        _in_semaphores,
        lambda: _in_a_message(text.encode()),
        lambda: _in_a_queue(text.encode()),
        lambda: _beside(lambda: _in_a_detached_process(text)),
        lambda: _beside(lambda: _be(sys.executable, "-I", "-m", "agent.helpers.attendant", text)),
        lambda: _beside(lambda: _on_paper(text)),
    )


def plants_in_browser(text: str, home: Path) -> tuple[Callable[[], object], ...]:
    """The same for the two spots in the browser's profile."""
    return (
        partial(_in_folder, home / PROFILE / LOCAL_STORAGE, text),
        partial(_in_a_cookie, home / PROFILE / COOKIES, text),
    )


def _in_folder(folder: Path, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CANARY).write_text(text, encoding="ascii")


def _in_a_cookie(file: Path, text: str) -> None:
    """A cookie of a host that is nobody's (RFC 2606), as the browser keeps its own."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(file)) as jar:
        jar.executescript(_COOKIES)
        whose = (1, f"{CANARY}.invalid", "", CANARY, text, b"", "/", _FAR_OFF)
        row = (*whose, 0, 0, 1, 1, 1, 1, -1, 1, 80, 1, 0, 0)
        jar.execute(f"INSERT INTO cookies VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608  # question marks
        jar.commit()


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _worked(result: int, what: str) -> int:
    """What a call of libc gave. Raises OSError where that is -1."""
    if result < 0:
        raise OSError(ctypes.get_errno(), what)
    return result


def _in_shared_memory(text: bytes) -> None:
    """A segment of System V that nobody is attached to."""
    libc = _libc()
    libc.shmat.restype = ctypes.c_void_p
    segment = _worked(libc.shmget(CANARY_KEY, len(text), _IPC_CREAT | _MINE), "shmget")
    where = libc.shmat(segment, None, 0)
    if where == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), "shmat")
    ctypes.memmove(where, text, len(text))
    libc.shmdt(ctypes.c_void_p(where))


def _in_semaphores() -> None:
    """They hold no words, and their number is said by whoever made them."""
    _worked(_libc().semget(CANARY_KEY, 1, _IPC_CREAT | _MINE), "semget")


def _in_a_message(text: bytes) -> None:
    """A message in a queue of System V: its type, a long, and the words."""
    libc = _libc()
    queue = _worked(libc.msgget(CANARY_KEY, _IPC_CREAT | _MINE), "msgget")
    message = (1).to_bytes(ctypes.sizeof(ctypes.c_long), sys.byteorder) + text
    _worked(libc.msgsnd(queue, message, ctypes.c_size_t(len(text)), 0), "msgsnd")


def _in_a_queue(text: bytes) -> None:
    """A message in a queue of POSIX's, which has a name."""
    libc = _libc()
    flags = os.O_RDWR | os.O_CREAT
    queue = _worked(libc.mq_open(f"/{CANARY}".encode(), flags, _MINE, None), "mq_open")
    _worked(libc.mq_send(queue, text, ctypes.c_size_t(len(text)), 0), "mq_send")


def _beside(act: Callable[[], object]) -> None:
    """Do something in a process that has left its session and its parent, and that ends with it."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        os.setsid()
        if os.fork() == 0:
            act()
    finally:
        os._exit(0)


def _be(*argv: str, program: str = "") -> None:
    os.execv(program or argv[0], argv)  # noqa: S606  # there is no shell to want


def _in_a_detached_process(text: str) -> None:
    """One that has the text for a name, holds it in memory, and listens at a door of that name."""
    memory = os.memfd_create(CANARY, 0)
    os.write(memory, text.encode())
    os.set_inheritable(memory, True)
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    door.bind(f"\0{text}")
    door.listen()
    door.set_inheritable(True)
    _be(text, "infinity", program="/usr/bin/sleep")


def _on_paper(text: str) -> None:
    """A print job that waits until somebody lets it go, which nobody does: its title, its words, no paper.

    On the default printer, and not again where the browser starts once more: nobody else's are there.
    """
    waiting = Host().run(("lpstat", "-o"), timeout_s=30)
    if waiting.returncode == 0 and not waiting.stdout:
        _be("/usr/bin/lp", "-H", "indefinite", "-t", text, "--", str(Path.home() / CANARY))


if __name__ == "__main__":
    main()
