"""The session bar on the screen: a GTK dock, as thin as can be; what it says is agent.citizen.view's.

Run by lab-bar.service as the user lab-bar. Whatever goes wrong ends the
process: systemd starts it again within a second, and all state is the enforcer's.
"""

import sys
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import gi

gi.require_version("Gtk", "3.0")
gi.require_version("Gdk", "3.0")
gi.require_version("GdkX11", "3.0")
from gi.repository import Gdk, GdkX11, GLib, Gtk  # noqa: E402  # the versions are said first

from agent.citizen import titles  # noqa: E402
from agent.citizen.downloads import FOLDER, Downloads  # noqa: E402
from agent.citizen.ground import Ground  # noqa: E402
from agent.citizen.link import DOOR, Link  # noqa: E402
from agent.citizen.messages import LANGUAGES  # noqa: E402
from agent.citizen.view import (  # noqa: E402
    DOCUMENTS,
    INTERNET,
    NAMES,
    NO_DOWNLOAD,
    Countdown,
    Model,
    View,
    happened,
    heard,
    pressed,
    seen,
    unsent,
    until_next,
    view,
)
from agent.citizen.words import say, word  # noqa: E402
from agent.citizen.x11 import Screen  # noqa: E402

HEIGHT = 56
"""Pixels, where the window manager keeps no strip of its own."""
KEY = "F9"
"""Leads to the bar from anywhere, and back: no browser and no page of Chromium's uses it."""
RETRY_MS = 250
HOLD_MS = 100
"""How soon the bar is put back where it was moved or covered; also the least time between two times."""
LONG = 40
"""Characters from which on a line is in smaller letters, so that two rows of an old screen hold it."""

_PLACE = ZoneInfo("Europe/Rome")
_NAME = word("Session bar")


class Bar:
    """The window and what it talks to."""

    def __init__(self, screen: Screen, link: Link, downloads: str) -> None:
        self._screen = screen
        self._link = link
        self._model = Model()
        self._shown: View | None = None
        self._tick = 0
        self._holding = 0
        self._size = (0, 0)
        self._start = 0
        self._downloads = Downloads(downloads, self._on_refused_download)
        self._lists: tuple[float, titles.Lists] = (0.0, titles.Lists())
        self._css = Gtk.CssProvider()
        self._ground = Ground(self._on_press)
        self._window = Gtk.Window(type=Gtk.WindowType.TOPLEVEL, title="lab-bar")
        self._window.set_type_hint(Gdk.WindowTypeHint.DOCK)
        self._window.set_decorated(False)
        self._window.set_resizable(False)
        self._window.stick()
        self._window.set_keep_above(True)
        self._clock, self._left, self._payment, self._line = (Gtk.Label(xalign=0) for _ in range(4))
        self._buttons = {name: self._button(name) for name in (*NAMES, *LANGUAGES)}
        self._build()
        self._place()

    def start(self) -> None:
        """Show it and listen to everything; returns at once, Gtk.main does the rest."""
        self._window.show_all()
        self._screen.grab(Gdk.keyval_from_name(KEY))
        self._watch(self._screen.fileno(), self._on_screen)
        Gdk.Screen.get_default().connect("size-changed", lambda _screen: self._place())
        self._connect()
        self._on_screen()
        self._look_at_title()
        self.show()

    def show(self) -> None:
        """Bring the screen in step with the model."""
        clock, monotonic = datetime.now(_PLACE), _since_boot()
        now = view(self._model, clock, monotonic)
        if now != self._shown:
            self._render(now)
            self._shown = now
            if self._ground.show(now.ground) and not self._start and self._to_start():
                self._start = GLib.timeout_add(RETRY_MS, self._again_to_start)
        if self._tick:
            GLib.source_remove(self._tick)
        self._tick = GLib.timeout_add(
            int(until_next(self._model, clock, monotonic) * 1000) + 5, self._on_tick
        )

    # -- what happens

    def _on_tick(self) -> bool:
        self._tick = 0
        self.show()
        return False

    def _to_start(self) -> bool:
        """Put the keyboard on the button to start; whether that has to be done again.

        Not as F9 does it, which leads away from where the keyboard is already. A window that the window
        manager does not know yet is not given it, so it is asked for until the window has it.
        """
        if not self._ground.has_button:
            return False
        self._ground.take_keyboard(self._model.language)
        if self._screen.active == self._ground.xid:
            return False
        self._screen.activate(self._ground.xid)
        return True

    def _again_to_start(self) -> bool:
        again = self._to_start()
        self._start = self._start if again else 0
        return again

    def _on_refused_download(self) -> None:
        self._model = happened(self._model, NO_DOWNLOAD, _since_boot())
        self.show()

    def _on_press(self, name: str) -> None:
        if name in (INTERNET, DOCUMENTS):
            self._screen.activate(self._screen.ways().get(name, 0))
        self._model, line = pressed(self._model, name)
        if line and not self._link.send(line):
            self._model = unsent(self._model)
        self.show()
        if self._model.asking:
            self._buttons["end-no"].grab_focus()  # the harmless one
        elif line:
            self._screen.activate()

    def _on_screen(self) -> bool:
        for event in self._screen.events():
            if event == "key":
                self._take_keyboard()
            elif event == "gone":  # taken from the screen by another program: systemd brings a new one
                Gtk.main_quit()
            elif event == "moved":
                self._holding = self._holding or GLib.timeout_add(HOLD_MS, self._hold)
            elif event == "area":
                self._place()
            else:
                self._look_at_title()
        return True

    def _hold(self) -> bool:
        """Back to its place where it is not there, and above whatever lies there now."""
        self._holding = 0
        window, (width, height) = self._window.get_window(), self._size
        _, left, top = window.get_origin()
        _, _, wide, high = window.get_geometry()
        if left or top or wide < width or high < height:
            window.move_resize(0, 0, width, height)
        self._screen.lift()
        return False

    def _on_key(self, _window: Any, event: Any) -> bool:
        if event.keyval != Gdk.KEY_Escape:
            return False
        if self._model.asking:
            self._on_press("end-no")
        self._screen.activate()
        return True

    def _on_word(self) -> bool:
        state = self._link.read()
        if state is not None:
            self._model = heard(self._model, state)
            self._downloads.follow()
            self.show()
        if not self._link.up:
            self._model = heard(self._model, None)
            self.show()
            self._connect()
            return False
        return True

    def _knock(self) -> bool:
        """Try the door; whether to try again in a while."""
        if not self._link.connect():
            return True
        self._watch(self._link.fileno(), self._on_word)
        return False

    def _connect(self) -> None:
        """Come to the door, however long it takes."""
        if self._knock():
            GLib.timeout_add(RETRY_MS, self._knock)

    def _look_at_title(self) -> None:
        refused = titles.refused(self._screen.title, self._read_lists())
        self._model = seen(self._model, refused=refused, ways=frozenset(self._screen.ways()))
        self._downloads.follow()  # a browser that starts has a folder of its own, and its window a title
        self.show()

    def _take_keyboard(self) -> None:
        active = self._screen.active
        if self._ground.has_button and active != self._ground.xid:
            self._ground.take_keyboard(self._model.language)
            self._screen.activate(self._ground.xid)
            return
        if active == self._xid():
            self._screen.activate()
            return
        first = next((self._buttons[name] for name, _ in self._shown.buttons), None) if self._shown else None
        (first or self._buttons[self._model.language]).grab_focus()
        self._screen.activate(self._xid())

    # -- how it looks

    def _build(self) -> None:
        box = Gtk.Box(spacing=6, margin_start=10, margin_end=6)
        for label, name in ((self._clock, "clock"), (self._left, "left"), (self._payment, "left")):
            label.get_style_context().add_class(name)
            label.set_valign(Gtk.Align.CENTER)
            box.pack_start(label, False, False, 0)
        self._line.get_style_context().add_class("line")
        self._line.set_line_wrap(True)
        self._line.set_lines(2)
        self._line.set_ellipsize(3)
        box.pack_start(self._line, True, True, 0)
        for name, button in self._buttons.items():
            button.set_no_show_all(name in NAMES)
            button.set_valign(Gtk.Align.CENTER)
            box.pack_start(button, False, False, 0)
        self._window.add(box)
        self._window.connect("key-press-event", self._on_key)
        self._window.connect("delete-event", lambda _window, _event: True)  # nobody closes it
        Gtk.StyleContext.add_provider_for_screen(
            Gdk.Screen.get_default(), self._css, Gtk.STYLE_PROVIDER_PRIORITY_USER
        )

    def _button(self, name: str) -> Any:
        button = Gtk.Button(label="")
        button.get_style_context().add_class("language" if name in LANGUAGES else name)
        if name in LANGUAGES:
            button.set_label(name.upper())
            button.get_accessible().set_name(LANGUAGES[name])
        button.connect("clicked", lambda _button: self._on_press(name))
        return button

    def _render(self, now: View) -> None:
        self._clock.set_text(now.clock)
        _count(self._left, now.left)
        _count(self._payment, now.payment)
        self._line.set_text(now.line)
        self._line.get_accessible().set_name(now.line)
        _mark(self._line, "long", on=len(now.line) > LONG)
        _mark(self._line, "loud", on=now.loud)
        self._window.get_accessible().set_name(say(_NAME, now.language))
        there = dict(now.buttons)
        for name in NAMES:
            button = self._buttons[name]
            if name in there:
                button.set_label(there[name])
                button.get_accessible().set_name(there[name])
            button.set_visible(name in there)
        for name in LANGUAGES:
            _mark(self._buttons[name], "current", on=name == now.language)

    def _place(self) -> None:
        """Fill the strip that the window manager keeps, from edge to edge."""
        self._window.realize()
        width, height = Gdk.Screen.get_default().get_width(), max(self._screen.top, 0) or HEIGHT
        self._css.load_from_data(_style(height).encode())
        self._size = width, height
        self._window.set_size_request(width, height)
        self._window.move(0, 0)
        self._screen.reserve(self._xid(), width, height)
        self._ground.place(height, width, Gdk.Screen.get_default().get_height())

    def _xid(self) -> int:
        xid: int = GdkX11.X11Window.get_xid(self._window.get_window())
        return xid

    # -- the rest

    def _read_lists(self) -> titles.Lists:
        """The browser's lists, read again when their files have changed."""
        files = [Path(titles.ALLOW), Path(titles.DENY)]
        try:
            written = max(file.stat().st_mtime for file in files)
            if written != self._lists[0]:
                self._lists = written, titles.read_lists(*(file.read_text() for file in files))
        except (OSError, UnicodeDecodeError):
            return titles.Lists()
        return self._lists[1]

    def _watch(self, descriptor: int, act: Callable[[], bool]) -> None:
        GLib.io_add_watch(
            descriptor,
            GLib.PRIORITY_DEFAULT,
            GLib.IOCondition.IN | GLib.IOCondition.HUP,
            partial(_ignoring, act),
        )


def _ignoring(act: Callable[[], bool], *_arguments: object) -> bool:
    return act()


def _since_boot() -> float:
    """As the enforcer counts: a PC that slept has slept for both."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _count(label: Any, now: Countdown | None) -> None:
    label.set_visible(now is not None)
    if now is not None:
        label.set_markup(f"<small>{GLib.markup_escape_text(now.name)}</small>\n<b>{now.left}</b>")
        label.get_accessible().set_name(f"{now.name}: {now.left}")
        _mark(label, "urgent", on=now.urgent)


def _mark(widget: Any, name: str, *, on: bool) -> None:
    context = widget.get_style_context()
    (context.add_class if on else context.remove_class)(name)


def _style(height: int) -> str:
    """Everything is in proportion to the bar: a lab whose citizens want larger letters makes it higher.

    Contrasts: white on the dark blue 15.9, yellow on it 11.2, ink on yellow 13.4,
    white on red 8.1 (WCAG 2.1 AAA asks for 7).
    """
    text, small, big = max(13, height * 3 // 10), max(11, height * 27 // 100), max(20, height * 6 // 10)
    return f"""
    window {{ background: #10233a; }}
    label {{ color: #ffffff; font: {text}px "Noto Sans", "DejaVu Sans", sans-serif; }}
    .clock {{ font-weight: bold; font-size: {height * 45 // 100}px; }}
    .left {{ font-size: {small}px; padding: 0 8px; }}
    .left.urgent {{ background: #ffd54a; color: #111111; border-radius: 6px; }}
    .line {{ font-size: {height * 36 // 100}px; }}
    .line.long {{ font-size: {small}px; }}
    .loud {{ color: #ffd54a; font-weight: bold; }}
    button {{ background: #ffffff; border: 3px solid #ffffff; border-radius: 6px; box-shadow: none;
              text-shadow: none; padding: 0 8px; min-height: {height - 18}px; }}
    button label {{ color: #10233a; font-weight: bold; }}
    button.end, button.end-yes {{ background: #9c1c1c; border-color: #ffffff; }}
    button.end label, button.end-yes label {{ color: #ffffff; }}
    button.language {{ background: #10233a; border-color: #8fa3ba; padding: 0 4px;
                       min-width: {height - 18}px; }}
    button.language label {{ color: #ffffff; }}
    button.language.current {{ background: #ffffff; border-color: #ffffff; }}
    button.language.current label {{ color: #10233a; }}
    button.start {{ min-height: {height * 2}px; min-width: {height * 4}px; }}
    button.start label {{ font-size: {big}px; }}
    .ground label {{ font-size: {height * 4 // 10}px; }}
    .ground .name {{ font-weight: bold; }}
    button:hover {{ border-color: #ffd54a; }}
    button:focus {{ background: #ffd54a; border-color: #111111;
                    outline: 2px solid #ffffff; outline-offset: -2px; }}
    button:focus label {{ color: #111111; }}
    """


def main(door: str = DOOR, downloads: str = FOLDER) -> int:
    """Run the bar until its screen goes; the exit code."""
    try:
        screen = Screen()
    except OSError as error:
        sys.stderr.write(f"lab-bar: {error}\n")
        return 1
    Bar(screen, Link(door), downloads).start()
    Gtk.main()
    return 0
