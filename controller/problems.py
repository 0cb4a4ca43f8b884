"""What a use case says when it will not or cannot do what was asked."""

from typing import Literal

Kind = Literal["input", "forbidden", "missing", "state", "refused", "away", "failed"]

HTTP_STATUS: dict[Kind, int] = {
    "input": 400,
    "forbidden": 403,
    "missing": 404,
    "state": 409,
    "failed": 500,
    "refused": 502,
    "away": 504,
}


class Problem(Exception):
    """An expected refusal: one sentence for the technician and what to do next.

    `kind` says whose turn it is: "input" (what was asked is wrong), "forbidden"
    (not your group), "missing" (no such thing), "state" (not now), "refused"
    (the PC said no), "away" (the PC is not there), "failed" (the server itself).
    """

    def __init__(self, kind: Kind, error: str, hint: str = "") -> None:
        super().__init__(error)
        self.kind: Kind = kind
        self.error = error
        self.hint = hint
