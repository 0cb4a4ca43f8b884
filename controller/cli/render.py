"""What a command prints: the same table in colour and fitted to a terminal, or as plain columns in a pipe.

rich is imported only where a terminal reads it: it costs more than the whole command.
"""

import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from controller.cli.errors import colour_for
from controller.cli.i18n import _, ngettext

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

GAP = 2
"""Blanks between two columns."""


class Cell(NamedTuple):
    """Some text and the rich style it has on a terminal."""

    text: str
    style: str = ""


class Column(NamedTuple):
    """A column's title. `leaves`: 0 stays on a narrow terminal; of the others the highest leaves first."""

    title: str
    right: bool = False
    leaves: int = 0


class Table(NamedTuple):
    """Rows of cells under their columns. The last column gives way where the line is too long."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


def on_terminal() -> bool:
    """Whether a person is looking at the output."""
    return sys.stdout.isatty()


def say(text: str = "") -> None:
    """One line to standard output."""
    click.echo(text)


def warn(text: str) -> None:
    """One line for the person, on standard error, so that it never mixes with what a program reads."""
    click.echo(text, err=True)


def styled(text: str, style: str) -> str:
    """`text` in a colour, where standard output is a terminal that wants colours."""
    return click.style(text, fg=style) if style and colour_for(sys.stdout) else text


def show_json(value: Any) -> None:
    """`value` as JSON: indented for eyes, on one line for a pipe."""
    say(json.dumps(value, ensure_ascii=not _unicode(), indent=2 if on_terminal() else None))


def show(table: Table) -> None:
    """Prints the table for whoever reads."""
    if on_terminal():
        console().print(for_terminal(table, shutil.get_terminal_size().columns))
    else:
        for line in plain(table):
            say(line)


def plain(table: Table) -> list[str]:
    """The table as text: columns padded with blanks, an empty cell as "-", nothing cut off."""
    lines = [[column.title for column in table.columns]]
    lines += [[cell.text or "-" for cell in row] for row in table.rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        (" " * GAP)
        .join(
            text.rjust(width) if column.right else text.ljust(width)
            for text, width, column in zip(line, widths, table.columns, strict=True)
        )
        .rstrip()
        for line in lines
    ]


def fit(table: Table, width: int) -> list[int]:
    """The indexes of the columns to show in `width` characters. The last may be cut down to its title."""
    natural = _natural(table)
    natural[-1] = min(natural[-1], max(len(table.columns[-1].title), 16))
    kept = list(range(len(table.columns)))
    while sum(natural[index] + GAP for index in kept) - GAP > width:
        leaving = max(kept, key=lambda index: table.columns[index].leaves)
        if not table.columns[leaving].leaves:
            break
        kept.remove(leaving)
    return kept


def _natural(table: Table) -> list[int]:
    texts = zip(*(tuple(cell.text for cell in row) for row in table.rows), strict=True) if table.rows else ()
    widths = [max(map(len, column)) for column in texts] or [0] * len(table.columns)
    return [max(width, len(column.title)) for width, column in zip(widths, table.columns, strict=True)]


def for_terminal(table: Table, width: int) -> "RenderableType":
    """The table as rich draws it, one line a row."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(
        box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold", padding=(0, GAP - 1, 0, 0)
    )
    kept = fit(table, width)
    natural = _natural(table)
    last = len(table.columns) - 1
    for index in kept:
        column = table.columns[index]
        drawn.add_column(
            column.title,
            justify="right" if column.right else "left",
            min_width=None if index == last else natural[index],
            no_wrap=True,
            overflow="ellipsis",
        )
    for row in table.rows:
        drawn.add_row(*(Text(row[index].text, style=row[index].style) for index in kept))
    return drawn


def console() -> "Console":
    """rich's console on standard output, with nothing guessed from the text."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


def instant(text: str) -> datetime:
    """The instant in an answer. Raises ValueError for anything but ISO 8601 with a zone."""
    value = datetime.fromisoformat(text)
    if value.tzinfo is None:
        raise ValueError("an instant without a zone")
    return value


def moment(value: datetime | None, now: datetime) -> str:
    """An instant for a person: the local time, with the date if that is not today's; "" for None."""
    if value is None:
        return ""
    local, today = value.astimezone(_rome()), now.astimezone(_rome())
    return local.strftime("%H:%M:%S" if local.date() == today.date() else "%d/%m/%y %H:%M")


def day_and_hour(value: datetime) -> str:
    """An instant for a person who must not take the day for granted."""
    return value.astimezone(_rome()).strftime("%d/%m/%Y %H:%M")


def age(seconds: float) -> str:
    """A duration for a person, in its largest unit."""
    for unit, size in ((_("d"), 86400), (_("h"), 3600), (_("min"), 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(max(seconds, 0))} s"


def size(count: int) -> str:
    """A number of bytes for a person, in GB (10^9) or MB."""
    return f"{count / 1e9:.0f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def pcs(count: int) -> str:
    """ "1 PC", "3 PCs"."""
    return ngettext("{count} PC", "{count} PCs", count).format(count=count)


def listed(names: Iterable[str], limit: int = 12) -> str:
    """Names in a row, the rest as a number."""
    names = list(names)
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (_(" and {count} more").format(count=rest) if rest > 0 else "")


def columns(*titles: str) -> tuple[Column, ...]:
    """Columns that all stay and are aligned left."""
    return tuple(Column(title) for title in titles)


def row(*texts: str) -> tuple[Cell, ...]:
    """Cells without a style."""
    return tuple(Cell(text) for text in texts)


def sign(name: str, otherwise: str) -> str:
    """`name` if the output can carry it, else its plain form."""
    return name if _unicode() else otherwise


def closest(name: str, names: Sequence[str]) -> str | None:
    """The one of `names` that was probably meant by `name`."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(name, names, n=1, cutoff=0.5)), None)


def _unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


@cache
def _rome() -> tzinfo:
    """Italy's time; UTC on a server without the time zone tables."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(os.environ.get("LABCTL_ZONE") or "Europe/Rome")
    except (ZoneInfoNotFoundError, ValueError):
        return UTC
