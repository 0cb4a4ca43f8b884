"""What is on the screen below the bar where no browser is: a plain ground, how it stands, and the way in.

A window of the kind "desktop", which the window manager keeps below all others.
"""

from collections.abc import Callable
from typing import Any

import gi

gi.require_version("Gtk", "3.0")
gi.require_version("Gdk", "3.0")
from gi.repository import Gdk, GdkX11, Gtk  # noqa: E402  # the versions are said first

from agent.citizen.messages import LANGUAGES  # noqa: E402
from agent.citizen.view import START, Panel  # noqa: E402


class Ground:
    """The window. `press` is told the name of a button (START and a language's code)."""

    def __init__(self, press: Callable[[str], None]) -> None:
        self._window = Gtk.Window(type=Gtk.WindowType.TOPLEVEL, title="lab-ground")
        self._window.set_type_hint(Gdk.WindowTypeHint.DESKTOP)
        self._window.set_decorated(False)
        self._window.get_style_context().add_class("ground")
        self._shown: tuple[Panel, ...] = ()
        self._lines: dict[str, Any] = {}
        self._buttons: dict[str, Any] = {}
        row = Gtk.Box(spacing=24, homogeneous=True, halign=Gtk.Align.CENTER, valign=Gtk.Align.CENTER)
        for language in LANGUAGES:
            row.pack_start(self._panel(language, press), True, True, 0)
        self._window.add(row)

    @property
    def xid(self) -> int:
        """The window's number on the screen."""
        xid: int = GdkX11.X11Window.get_xid(self._window.get_window())
        return xid

    @property
    def has_button(self) -> bool:
        """Whether there is something to press."""
        return any(panel.start for panel in self._shown)

    def place(self, top: int, width: int, height: int) -> None:
        """Fill the screen from `top` pixels on downwards."""
        self._window.realize()
        self._window.set_size_request(width, height - top)
        self._window.move(0, top)
        self._window.show_all()
        self._show_buttons()

    def take_keyboard(self, language: str) -> None:
        """Put the keyboard on a language's button."""
        self._buttons[language].grab_focus()

    def show(self, panels: tuple[Panel, ...]) -> bool:
        """Bring the screen in step; whether there are buttons now that were not there before."""
        before, self._shown = self.has_button, panels
        for panel in panels:
            self._lines[panel.language].set_text(panel.line)
            self._buttons[panel.language].set_label(panel.start)
        self._show_buttons()
        return self.has_button and not before

    def _show_buttons(self) -> None:
        for panel in self._shown:
            self._buttons[panel.language].set_visible(bool(panel.start))

    def _panel(self, language: str, press: Callable[[str], None]) -> Any:
        box = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=18)
        name = Gtk.Label(label=LANGUAGES[language])
        name.get_style_context().add_class("name")
        line = self._lines[language] = Gtk.Label(justify=Gtk.Justification.CENTER)
        line.set_line_wrap(True)
        line.set_max_width_chars(22)
        button = self._buttons[language] = Gtk.Button(label="")
        button.get_style_context().add_class("start")
        button.set_no_show_all(True)
        button.connect("clicked", lambda _button: press(START + language))
        for part in (name, line, button):
            box.pack_start(part, False, False, 0)
        return box
