"""What the checks have to say to a technician, as data.

A finding is one clear sentence about one line of one file and, where there is
an obvious cure, what to write instead. Texts go through gettext (domain
`labctl`) where they are made, so that whoever prints them need not know them.
"""

import gettext
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache, partial, wraps
from typing import Literal, TypeVar, TypeVarTuple

Severity = Literal["error", "warning"]
Given = TypeVarTuple("Given")
Result = TypeVar("Result")


translated: ContextVar[Callable[[str], str] | None] = ContextVar("translated", default=None)
"""Gives a text in the language of whoever will read it; None where that is the process's own."""


def _(text: str, /, **values: object) -> str:
    """`text` in the reader's language, with `values` put in by name."""
    said = (translated.get() or partial(gettext.dgettext, "labctl"))(text)
    return said.format(**values) if values else said


def remembered(size: int) -> Callable[[Callable[[*Given], Result]], Callable[[*Given], Result]]:
    """lru_cache for what may hold texts: what one reader was told is not in the language of the next."""

    def decorate(function: Callable[[*Given], Result]) -> Callable[[*Given], Result]:
        @lru_cache(maxsize=size)
        def said(_reader: Callable[[str], str] | None, given: tuple[*Given]) -> Result:
            return function(*given)

        @wraps(function)
        def recall(*given: *Given) -> Result:
            return said(translated.get(), given)

        return recall

    return decorate


@dataclass(frozen=True, order=True)
class Finding:
    """Something wrong (`error`: nothing is published) or doubtful (`warning`) in a file.

    `line` counts from 1; 0 is the file as a whole. `hint` may be empty.
    """

    file: str
    line: int
    severity: Severity
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.message}; {self.hint}" if self.hint else f"{place}: {self.message}"


class ProfileError(ValueError):
    """What was asked for cannot be made of these files; `findings` says why, line by line."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(str(finding) for finding in self.findings))


def only_errors(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings that stand in the way of publishing."""
    return tuple(finding for finding in findings if finding.severity == "error")
