"""Becomes the citizen's browser, inside the session's unit, as the kiosk user.

First it plants canaries: a text that only this session has, wherever a session
can leave something. The wipe's proof (agent/helpers/wipe.py) looks for it. What
cannot be planted is left out: the proof does not rest on canaries alone, it
looks for whatever belongs to the kiosk user.
"""

import contextlib
import ctypes
import json
import os
from collections.abc import Callable
from pathlib import Path

from agent.core.proof import canary

BROWSER = "/usr/bin/chromium"
PROFILE = "profile"
STICK, DOWNLOADS = "USB", "Downloads"
"""Below the home: what came from a stick, and what may go to one (systemd/lab-session.service)."""

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

_IPC_CREAT = 0o1000
_KEY = 0x6C6162


def main() -> None:
    """Plant, then become the browser."""
    environment = dict(os.environ)
    session = environment.pop("LAB_SESSION")
    start_page = environment.pop("LAB_START_PAGE")
    home, runtime = Path(environment["HOME"]), Path(environment["XDG_RUNTIME_DIR"])
    for plant in plants(canary(session), home, runtime):
        with contextlib.suppress(OSError, AttributeError):
            plant()
    furnish(home)
    register_cards(home)
    os.chdir(home)
    argv = (BROWSER, *FLAGS, f"--user-data-dir={home / PROFILE}", start_page)
    os.execve(BROWSER, argv, environment)  # noqa: S606  # there is no shell to want


def furnish(home: Path) -> None:
    """Have the file chooser open on the stick's folder, and name it and the downloads beside its list.

    Where it opens is a preference of Chromium's; the chooser itself is GTK's, and its places are XDG's.
    """
    settings, browser = home / ".config", home / PROFILE / "Default"
    for folder in (settings, browser):
        folder.mkdir(parents=True, exist_ok=True)
    (settings / "user-dirs.dirs").write_text(
        f'XDG_DESKTOP_DIR="$HOME"\nXDG_DOCUMENTS_DIR="$HOME/{STICK}"\nXDG_DOWNLOAD_DIR="$HOME/{DOWNLOADS}"\n',
        encoding="ascii",
    )
    opens = json.dumps({"selectfile": {"last_directory": str(home / STICK)}})
    (browser / "Preferences").write_text(opens, encoding="ascii")


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
    """One act of planting for each place."""
    downloads = home / DOWNLOADS
    folders = (home, downloads, runtime, *map(Path, ("/tmp", "/var/tmp", "/dev/shm")))  # noqa: S108  # these are the places

    def in_folder(folder: Path) -> Callable[[], object]:
        def plant() -> None:
            folder.mkdir(exist_ok=True)
            (folder / "lab-canary").write_text(text, encoding="ascii")

        return plant

    return (
        *map(in_folder, folders),
        lambda: _in_shared_memory(text.encode()),
        lambda: _on_the_screen(text.encode()),
        lambda: _in_a_detached_process(text.encode()),
    )


def _in_shared_memory(text: bytes) -> None:
    """A segment of System V that nobody is attached to."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p
    segment = libc.shmget(_KEY, len(text), _IPC_CREAT | 0o600)
    if segment < 0:
        raise OSError(ctypes.get_errno(), "shmget")
    where = libc.shmat(segment, None, 0)
    if where == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), "shmat")
    ctypes.memmove(where, text, len(text))
    libc.shmdt(ctypes.c_void_p(where))


def _on_the_screen(text: bytes) -> None:
    """A cut buffer: what the X server itself keeps when the client that put it there has gone."""
    x11 = ctypes.CDLL("libX11.so.6")
    x11.XOpenDisplay.restype = ctypes.c_void_p
    display = ctypes.c_void_p(x11.XOpenDisplay(None))
    if display:
        x11.XStoreBytes(display, text, len(text))
        x11.XCloseDisplay(display)


def _in_a_detached_process(text: bytes) -> None:
    """A process in a session of its own that holds the text in memory without a name."""
    if os.fork():
        return
    os.setsid()
    memory = os.memfd_create("lab-canary", 0)
    os.write(memory, text)
    os.execv("/usr/bin/sleep", (text.decode(), "infinity"))  # noqa: S606  # there is no shell to want


if __name__ == "__main__":
    main()
