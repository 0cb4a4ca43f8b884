"""A citizen's whole session on a PC: begun and ended by the lab, with the session bar and programs in it.

On the free PC in its place: an ordinary desktop with an ordinary panel, and an
ordinary log-in by PAM. So a row's control shows what a PC does that nobody looks after.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.breakouts.table import BACK_S, FREE_RC, Seat
from tests.lab.breakouts.world import INSIDE
from tests.lab.kiosk import BAR_HEIGHT, SIZE, Kiosk, kiosk
from tests.lab.rig import Machine, RigError
from tests.lab.rig.host import wait_until
from tests.lab.site import Site, wait_for

OFFERED = f"session: {{offered: true}}\nstart_page: http://{INSIDE}/start\nallow: [.{INSIDE}]\n"
SESSION, BAR = "lab-session.service", "lab-bar.service"
SCREEN = {"DISPLAY": ":0", "XAUTHORITY": "/run/lab-kiosk/Xauthority"}
BACKGROUND = (16, 35, 58)
"""The bar's, where nothing is written."""
PLACES = ((SIZE[0] // 2 - 60, 4), (SIZE[0] // 2 - 60, BAR_HEIGHT - 4), (2, 2), (SIZE[0] - 3, 2))
"""Where nothing is ever written on the bar: in the middle and at its corners."""

_IMPLANT = Path(__file__).with_name("implant.py").read_text()
_IMPLANT_AT, _HOOK = "/etc/breakouts.py", "/etc/chromium.d/breakouts"
_DOOR = "home/kiosk/door"
_PANEL = f"""
import gi
gi.require_version("Gtk", "3.0")
from gi.repository import Gdk, Gtk
panel = Gtk.Window(title="lab-bar", decorated=False, type_hint=Gdk.WindowTypeHint.DOCK)
panel.override_background_color(0, Gdk.RGBA(*[part / 255 for part in {BACKGROUND}]))
panel.set_size_request({SIZE[0]}, {BAR_HEIGHT})
panel.connect("destroy", Gtk.main_quit)
panel.show_all()
panel.move(0, 0)
Gtk.main()
"""
_SWEEP = r"""
pkill -KILL -u kiosk
crontab -r -u kiosk; rm -f /var/spool/cron/atjobs/a*; loginctl disable-linger kiosk
find / -xdev \( -path /proc -o -path /sys \) -prune -o -name "*$0*" -exec rm -rf {} +
rm -rf /home/kiosk/.config /home/kiosk/.local /home/kiosk/.cache /dev/shm/*$0* /tmp/*$0*
ipcrm --all
"""


@dataclass
class Desk(Seat):
    """A seat whose screen, programs and end are a session's."""

    site: Site | None = None

    def _sit(self) -> Kiosk:
        if not self.locked:
            return self._stack.enter_context(self._desktop())
        self.start_session()
        screen = Kiosk(self.machine, user=None, environment=SCREEN)
        wait_for(lambda: screen.shows("Dentro start", 1), 60, "the session's start page")
        self.machine.run(["systemctl", "start", BAR])
        wait_for(lambda: self._is_bar_on(screen), 30, "the session bar")
        return screen

    @contextmanager
    def _desktop(self) -> Iterator[Kiosk]:
        with kiosk(self.machine, f"http://{INSIDE}/start", rc=FREE_RC, flags=self.flags) as screen:
            panel = ["python3", "-c", _PANEL]
            with self.machine.popen(panel, user="kiosk", env=screen.environment):
                wait_for(lambda: self._is_bar_on(screen), 30, "the panel")
                yield screen

    def start_session(self) -> None:
        """A citizen sits down; nothing where somebody does already."""
        if self.locked and not self._has_session():
            self._labctl("start")
            wait_for(self._has_session, 60, "programs in the session")

    def leave(self) -> None:
        """The citizen's time is over: on a locked PC the lab ends the session and wipes."""
        if self.locked and self._has_session():
            self._labctl("end")
        super().close()

    def close(self) -> None:
        """As the end of the time: a session lasts as long as its screen."""
        self.leave()

    def clean(self, mark: str) -> None:
        """Take what a control has left off the free PC."""
        if not self.locked:
            self.machine.run(["sh", "-c", _SWEEP, mark], check=False)

    def run(self, *argv: str) -> bool:
        """Run a program in the session (on the free PC as root) to its end; whether it ended well."""
        if not self.locked:
            return super().run(*argv)
        self.start_session()
        return self._implanted(argv, wait=True) == 0

    def start(self, *argv: str) -> None:
        """Start a citizen's program on the screen and leave it running."""
        if self.locked:
            self._implanted(argv, wait=False)
        else:
            env = self.screen.environment
            self._stack.enter_context(self.machine.popen(argv, user="kiosk", env=env))

    def plant(self, *argv: str) -> None:
        """A citizen sits down, where nobody does yet, and runs a program that is to outlive the session."""
        if self.locked:
            self.run(*argv)
            return
        log_in = ("systemd-run", "--quiet", "--wait", "--collect", "--uid=kiosk", "--property=PAMName=login")
        self.machine.run([*log_in, *argv], check=False)

    def has_bar(self) -> bool:
        """Whether the bar is drawn from edge to edge with nothing over it."""
        return self._is_bar_on(self.screen)

    def loses_bar(self) -> bool:
        """Whether the bar goes within the patience and does not come back."""
        return self.wait(lambda: not self.has_bar()) and not wait_until(
            self.has_bar, timeout=BACK_S if self.locked else 2.0, every=0.2
        )

    def loses_hand(self) -> bool:
        """Whether the mouse over the bar is another window's within the patience, and stays so."""
        return self.wait(lambda: not self._has_hand()) and not wait_until(
            self._has_hand, timeout=BACK_S if self.locked else 2.0, every=0.2
        )

    def _has_hand(self) -> bool:
        x, y = map(str, PLACES[0])
        hit = ("xdotool", "mousemove", x, y, "getmouselocation", "--shell")
        said = dict(line.split("=") for line in self.screen.run(*hit, check=False).split())
        # The window itself or, inside what a window manager put around it, its child.
        told = self.screen.run("xwininfo", "-children", "-id", said.get("WINDOW", "0"), check=False)
        return '"lab-bar"' in told and "the root window" not in told.partition("\n\n")[0]

    def _is_bar_on(self, screen: Kiosk) -> bool:
        return all(pixel == BACKGROUND for pixel in screen.pixels(*PLACES))

    def _labctl(self, verb: str) -> None:
        assert self.site is not None
        self.site.labctl("session", verb, self.machine.name)

    def _has_session(self) -> bool:
        try:
            return self._implanted(["true"], wait=True) == 0
        except (OSError, RigError):
            return False

    def _implanted(self, argv: tuple[str, ...] | list[str], *, wait: bool) -> int:
        """What the implant answers, 1 where it is cut off. OSError or RigError where there is no session."""
        door = Path(f"/proc/{self.machine.pid_of(SESSION)}/root") / _DOOR
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(60)
            link.connect(str(door))
            link.sendall(json.dumps({"argv": argv, "wait": wait}).encode() + b"\n")
            return int(link.makefile().readline() or 1)


@contextmanager
def implanted(machine: Machine) -> Iterator[None]:
    """Each browser of a session on this PC brings the implant along."""
    machine.run(["install", "-m", "644", "/dev/stdin", _IMPLANT_AT], input=_IMPLANT)
    hook = f'case "$XDG_RUNTIME_DIR" in /run/lab-session) python3 {_IMPLANT_AT} /{_DOOR} & ;; esac\n'
    machine.run(["install", "-m", "644", "/dev/stdin", _HOOK], input=hook)
    try:
        yield
    finally:
        machine.run(["rm", _IMPLANT_AT, _HOOK])
