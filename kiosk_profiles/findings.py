"""What the checks have to say to a technician, as data.

A finding is one clear sentence about one line of one file and, where there is
an obvious cure, what to write instead. Texts go through gettext (domain
`labctl`) where they are made, so that whoever prints them need not know them.
"""

import gettext
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Literal

Severity = Literal["error", "warning"]


translated: ContextVar[Callable[[str], str] | None] = ContextVar("translated", default=None)
"""Gives a text in the language of whoever will read it; None where that is the process's own."""


def _(text: str, /, **values: object) -> str:
    """`text` in the reader's language, with `values` put in by name."""
    said = (translated.get() or partial(gettext.dgettext, "labctl"))(text)
    return said.format(**values) if values else said


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
