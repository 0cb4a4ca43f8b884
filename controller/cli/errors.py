"""How a command says that it could not: one sentence, and what to do next.

A Failure is an expected one. Anything else that reaches the top is a bug of
ours; `report_bug` keeps its details in a file and spares the technician the traceback.
"""

import os
import sys
import traceback
from enum import IntEnum
from types import TracebackType
from typing import IO, Any

import click

from controller.cli.i18n import _


class Code(IntEnum):
    """Exit codes of labctl; docs/labctl.md promises them."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    SOME_FAILED = 3


class Failure(click.ClickException):
    """What was asked for did not happen: `message` says what is wrong, `hint` what to do."""

    exit_code = Code.FAILED

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def show(self, file: IO[Any] | None = None) -> None:
        """Writes both to standard error (`file` is what click would pass; a test may)."""
        out = file or sys.stderr
        click.echo(
            click.style("labctl: ", fg="red", bold=True) + self.message, file=out, color=colour_for(out)
        )
        if self.hint:
            click.echo("  " + self.hint, file=out)


def sentence(text: str) -> str:
    """`text` with a capital and a full stop, for one that came without."""
    text = text[:1].upper() + text[1:]
    return text if not text or text[-1] in ".!?" else text + "."


def colour_for(stream: IO[Any]) -> bool:
    """Whether to colour what goes to `stream`: a terminal, and NO_COLOR (no-color.org) is not set."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def report_bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """The hook for exceptions nobody expected: one sentence, the details in a file of the caller's own."""
    import tempfile

    details = "".join(traceback.format_exception(kind, error, trace))
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="labctl-", suffix=".txt", delete=False, encoding="utf-8", errors="replace"
        ) as kept:
            kept.write(details)
        where = _("The details are in {path}; please send them to whoever looks after labctl.").format(
            path=kept.name
        )
    except OSError:
        where = _("The details could not be kept: there is no place to write a file.")
    Failure(_("this should not have happened ({kind}).").format(kind=kind.__name__), where).show()
