"""Attempts to get more than a page: devices, other programs on the PC, extensions."""

from __future__ import annotations

from collections.abc import Iterator

from tests.lab.breakouts.pages import BROKEN, CAPABILITIES, PROTOCOLS, slug
from tests.lab.breakouts.table import SECURE, Attempt, Escape, Seat
from tests.lab.breakouts.world import INSIDE
from tests.lab.kiosk import DISPLAY
from tests.lab.rig import Machine
from tests.lab.rig.host import wait_until

EXTENSION, HANDLER, LAUNCHED = "/usr/share/breakouts", "/usr/local/bin/breakouts-program", "/tmp/launched"
_FILES = {
    f"{EXTENSION}/manifest.json": '{"manifest_version": 3, "name": "Rotto", "version": "1", '
    f'"host_permissions": ["http://{INSIDE}/*"], "background": {{"service_worker": "worker.js"}}}}',
    f"{EXTENSION}/worker.js": f"fetch('http://{INSIDE}/extension')",
    HANDLER: f'#!/bin/sh\necho "$1" >> {LAUNCHED}\n',
    "/usr/share/applications/breakouts.desktop": f"[Desktop Entry]\nType=Application\nName=Breakouts\n"
    f"Exec={HANDLER} %u\nMimeType=x-scheme-handler/mailto;x-scheme-handler/tel;\n",
    "/etc/chromium/policies/recommended/breakouts.json": '{"DefaultPopupsSetting": 1}',
    "/usr/share/applications/mimeapps.list": "[Default Applications]\n"
    + "".join(f"x-scheme-handler/{scheme}=breakouts.desktop\n" for scheme in ("mailto", "tel")),
}
"""On both PCs: an extension that calls the allowed site, a program for two kinds of address, and a browser
whose last user has let pages open windows (Chromium's own default does not)."""

_BY_PIPE = """
import fcntl, json, os, subprocess, sys
ends = (*os.pipe(), *os.pipe())
theirs, ours, read, write = (fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in ends)
os.dup2(theirs, 3); os.dup2(write, 4)
os.set_inheritable(3, True); os.set_inheritable(4, True)
browser = subprocess.Popen(["chromium", *sys.argv[2:]], pass_fds=(3, 4))
asked = {"id": 1, "method": "Extensions.loadUnpacked", "params": {"path": sys.argv[1]}}
os.write(ours, json.dumps(asked).encode() + b"\\0")
browser.wait()
"""


def attempts() -> Iterator[Attempt]:
    """All of them."""
    for name in CAPABILITIES:
        yield Attempt(
            "devices", name, "more than a page", _gets(f"ask/{slug(name)}"), fresh=True, flags=SECURE
        )
    for name in PROTOCOLS:
        yield Attempt(
            "external protocols", name, "another program", _launches(f"protocol/{slug(name)}"), fresh=True
        )
    for scheme in ("mailto:a@b.test", "tel:+390000000"):
        yield Attempt("external protocols", f"typed, {scheme}", "another program", _typed(scheme), fresh=True)
    yield from _extensions()


def install(machine: Machine) -> None:
    """What the attempts need on a PC; the layers of a test lab go with it."""
    for path, text in _FILES.items():
        mode = "755" if path == HANDLER else "644"
        machine.run(["install", "-D", "-m", mode, "/dev/stdin", path], input=text)


def remove(machine: Machine) -> None:
    """Take it away again."""
    machine.run(["rm", "-rf", EXTENSION, *_FILES, LAUNCHED])


def _gets(page: str) -> Escape:
    def escapes(seat: Seat) -> bool:
        seat.clicked(page)
        return seat.shows(BROKEN)

    return escapes


def _launches(page: str) -> Escape:
    def escapes(seat: Seat) -> bool:
        seat.machine.run(["rm", "-f", LAUNCHED])
        seat.clicked(page)
        return _confirmed(seat)

    return escapes


def _typed(address: str) -> Escape:
    def escapes(seat: Seat) -> bool:
        seat.machine.run(["rm", "-f", LAUNCHED])
        seat.open("start")
        seat.screen.go(address)
        return _confirmed(seat)

    return escapes


def _confirmed(seat: Seat) -> bool:
    """Whether the program has been started, with Chromium's question answered where it asks."""
    launched = seat.machine.root / LAUNCHED.lstrip("/")

    def comes() -> bool:
        if wait_until(launched.exists, timeout=1, every=0.2):
            return True
        seat.screen.key("shift+Tab", "Return")
        return launched.exists()

    return seat.wait(comes)


def _extensions() -> Iterator[Attempt]:
    load = f"--load-extension={EXTENSION}"
    unlocked = "--disable-features=DisableLoadExtensionCommandLineSwitch"
    base = ("--user-data-dir=/tmp/altro", "--no-first-run", f"http://{INSIDE}/start")
    pipe = ("--remote-debugging-pipe", "--enable-unsafe-extension-debugging")
    for name, argv in (
        ("from the command line", ("chromium", load, unlocked, *base)),
        (
            "from the command line, as the only one",
            ("chromium", f"--disable-extensions-except={EXTENSION}", load, unlocked, *base),
        ),
        ("by the debugging pipe", ("python3", "-c", _BY_PIPE, EXTENSION, *pipe, *base)),
        ("headless", ("chromium", "--headless", load, unlocked, *base)),
        (
            "headless, by the debugging pipe",
            ("python3", "-c", _BY_PIPE, EXTENSION, "--headless", *pipe, *base),
        ),
    ):
        yield Attempt("extensions", name, "a program inside the browser", _calls(*argv), fresh=True)


def _calls(*argv: str) -> Escape:
    def escapes(seat: Seat) -> bool:
        assert seat.screen
        seat.machine.run(["rm", "-rf", "/tmp/altro"])
        with seat.machine.popen(argv, user="kiosk", env={"DISPLAY": DISPLAY, "HOME": "/home/kiosk"}):
            return seat.reached("/extension", site=INSIDE)

    return escapes
