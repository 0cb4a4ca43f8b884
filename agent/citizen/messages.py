"""The bar's side of the citizen's door (agent/core/citizen.py is the enforcer's): lines of JSON."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

LANGUAGES = {"it": "Italiano", "en": "English", "ro": "Română"}
"""The citizens' languages, each by the name it has for itself."""

STATES = ("available", "starting", "active", "ending", "wiping", "out-of-service")
MAX_LINE = 4096

_place = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True)
class Said:
    """Words to translate, with values for their {places}; empty is nothing to say."""

    text: str = ""
    values: tuple[tuple[str, "str | int | Said"], ...] = ()

    def said(self, translated: Callable[[str], str]) -> str:
        """The words in the language that `translated` gives."""
        words = {
            name: value.said(translated) if isinstance(value, Said) else str(value)
            for name, value in self.values
        }
        return _place.sub(lambda place: words.get(place[1], place[0]), translated(self.text))


@dataclass(frozen=True)
class State:
    """What the enforcer says: see CitizenState there. Times in seconds; `at`, `paying_until_s`: monotonic."""

    state: str
    language: str
    at: float
    ends_in_s: float | None = None
    sentence: Said = Said()
    stick: bool = False
    paying_until_s: float | None = None


def read_state(line: bytes) -> State | None:
    """The state in a line; None for a line that is none, which a newer enforcer might send."""
    try:
        told = json.loads(line)
        state, language = told["state"], told["language"]
        at, ends, paying = float(told["at_monotonic"]), told.get("ends_in_s"), told.get("paying_until_s")
        if state not in STATES or language not in LANGUAGES:
            return None
        return State(
            state,
            language,
            at,
            None if ends is None else float(ends),
            _sentence(told.get("sentence")),
            told.get("stick") is True,
            None if paying is None else float(paying),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def ask_line(ask: str, value: str = "") -> bytes:
    """What a press of a button sends."""
    return json.dumps({"ask": ask, "value": value} if value else {"ask": ask}).encode() + b"\n"


def _sentence(told: Any) -> Said:
    if not told:
        return Said()
    values = told.get("values", {}).items()
    return Said(
        str(told["text"]),
        tuple((name, _sentence(value) if isinstance(value, dict) else value) for name, value in values),
    )
