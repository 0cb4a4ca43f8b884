"""What changes on a station between two desired states, in a technician's words. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from contract.desired import DesiredState, Resources

_WORDS = {"browser_policy": "browser", "swallowed_keys": "swallow", "screen_blank_s": "blank_after_s"}
"""Names of the contract that the language calls otherwise."""


@dataclass(frozen=True)
class Change:
    """One difference: `before` None is new, `after` None is gone. Lists differ by item."""

    path: str
    before: Any
    after: Any


def diff(before: DesiredState | None, after: DesiredState) -> tuple[Change, ...]:
    """What `after` would change on a station that holds `before` (None: nothing yet).

    Revision and time of issue do not count: two states with no difference ask
    the same of the station.
    """
    changes: list[Change] = []
    old_profile = before.profile if before is not None else None
    if old_profile != after.profile:
        changes.append(Change("profile", old_profile, after.profile))
    old = before.resources if before is not None else Resources()
    changes.extend(_walk("", msgspec.to_builtins(old), msgspec.to_builtins(after.resources)))
    return tuple(changes)


def _walk(path: str, before: Any, after: Any) -> Iterator[Change]:
    if before == after:
        return
    if isinstance(before, dict | None) and isinstance(after, dict | None) and (before or after):
        lower, upper = before or {}, after or {}
        for key in sorted(lower.keys() | upper.keys()):
            name = _WORDS.get(key, key)
            yield from _walk(f"{path}.{name}" if path else name, lower.get(key), upper.get(key))
    elif _flat(before) and _flat(after):
        yield from (Change(path, item, None) for item in before or () if item not in (after or ()))
        yield from (Change(path, None, item) for item in after or () if item not in (before or ()))
        if before and after and sorted(before) == sorted(after):
            yield Change(path, before, after)
    else:
        yield Change(path, before, after)


def _flat(value: Any) -> bool:
    """Whether this is a list of texts, or nothing."""
    return value is None or (isinstance(value, list | tuple) and all(isinstance(item, str) for item in value))
