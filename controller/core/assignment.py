"""Which profile a station has: its own, else a group's, else the lab's. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Assigned:
    """The profile of a station, the target that gave it, and the groups whose layers apply, in order."""

    profile: str
    target: str
    groups: tuple[str, ...]


def groups_of(station: str, groups: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """The groups a station is in, by name: later layers win, so the order must not depend on chance."""
    return tuple(sorted(name for name, members in groups.items() if station in members))


def assigned(
    station: str, groups: Mapping[str, Iterable[str]], assignments: Mapping[str, str]
) -> Assigned | None:
    """The profile of `station`; None where nothing is assigned to it, to its groups or to the lab.

    Of several groups with a profile the first by name counts; `conflicts` names the rest.
    """
    own = groups_of(station, groups)
    for target in (f"pc:{station}", *(f"group:{name}" for name in own), "lab"):
        if target in assignments:
            return Assigned(assignments[target], target, own)
    return None


def conflicts(
    station: str, groups: Mapping[str, Iterable[str]], assignments: Mapping[str, str]
) -> tuple[str, ...]:
    """The groups of `station` that ask for different profiles; empty where they agree or its own decides."""
    if f"pc:{station}" in assignments:
        return ()
    asking = [name for name in groups_of(station, groups) if f"group:{name}" in assignments]
    different = {assignments[f"group:{name}"] for name in asking}
    return tuple(asking) if len(different) > 1 else ()
