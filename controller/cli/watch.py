"""labctl status --watch: the same screen, redrawn when something changes. q, Esc or Ctrl-C leaves."""

import json
import os
import select
import shutil
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from controller.cli import status
from controller.cli.client import Door, Gone, Lines, understood
from controller.cli.i18n import _
from controller.cli.render import console, for_terminal, on_terminal, say, show

if TYPE_CHECKING:
    from rich.console import RenderableType

TARGET = "/v1/status/watch"
TICK_S = 1.0
"""How often ages are counted on between two answers."""
RETRY_S = 2.0


def follow(door: Door, as_json: bool) -> None:
    """Shows the lab until the person leaves; in a pipe a table, with --json a line for each answer."""
    if on_terminal() and not as_json:
        try:
            _screen(door)
        except KeyboardInterrupt:
            return
        return
    for answer in door.stream(TARGET).wait():
        if as_json:
            say(json.dumps(answer))
        else:
            with understood():
                lab = status.read(answer)
            show(status.plain_table(lab))
            say()
        sys.stdout.flush()


def _screen(door: Door) -> None:
    from rich.live import Live

    lines: Lines | None = door.stream(TARGET)  # the first refusal is an error like any other
    lab, received, trouble = None, time.monotonic(), ""
    with _keys() as keys, Live(console=console(), screen=True, auto_refresh=False) as live:
        while True:
            if lab is not None:
                live.update(_picture(_aged(lab, time.monotonic() - received), trouble), refresh=True)
            waiting = [source for source in (lines, keys) if source is not None]
            ready, _w, _x = select.select(waiting, [], [], TICK_S if lines else RETRY_S)
            if keys in ready and os.read(keys, 1) in (b"q", b"Q", b"\x1b", b"\x03", b""):
                return
            try:
                if lines is None:
                    lines = door.stream(TARGET)
                elif lines in ready:
                    for answer in lines.receive():
                        with understood():
                            lab = status.read(answer)
                        received, trouble = time.monotonic(), ""
            except Gone as gone:
                lines, trouble = None, gone.message


def _aged(lab: status.Lab, seconds: float) -> status.Lab:
    """The lab as it is `seconds` after the answer: clock and ages go on."""
    return lab._replace(
        at=lab.at + timedelta(seconds=seconds),
        stations=tuple(
            station._replace(age_s=None if station.age_s is None else station.age_s + seconds)
            for station in lab.stations
        ),
    )


def _picture(lab: status.Lab, trouble: str) -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    size = shutil.get_terminal_size()
    top = Text(
        trouble or status.headline(lab), style="red" if trouble else "", no_wrap=True, overflow="ellipsis"
    )
    if not lab.stations:
        return Group(top, Text(status.no_pcs()))
    room = max(size.lines - len(lab.stations) - 6, 0)
    notes = status.footer(lab)
    if len(notes) > room:
        notes = notes[: max(room - 1, 0)]
    below = [Text(note, no_wrap=True, overflow="ellipsis") for note in notes]
    leave = Text(_("q leaves"), style="dim")
    return Group(top, Text(), for_terminal(status.table(lab), size.columns), Text(), *below, leave)


@contextmanager
def _keys() -> Iterator[int | None]:
    """Standard input with each key at once and unechoed; None where it is no terminal."""
    if not sys.stdin.isatty():
        yield None
        return
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    tty.setcbreak(keyboard)
    try:
        yield keyboard
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
