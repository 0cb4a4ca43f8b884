"""Presence: what is said of a station from the times it was heard. Pure.

A healthy station is heard at least once in each hold. Times are seconds on one
clock that never goes back; the caller has it. Getting worse shows at once.
Getting better shows at once too, but for a station whose link comes and goes:
after a few returns it must first have been steady, longer each time, so that
the display stays calm at any rhythm of failures.
"""

from dataclasses import dataclass, replace
from enum import IntEnum

STALE_HOLDS = 1.5
OFFLINE_HOLDS = 7 / 3
"""In holds. At the longest hold of 12 s: stale after 18 s, offline after 28 s of silence, which
leaves 2 s of the 30 s in which a cut cable must show."""

FREE_RETURNS = 5
STEADY_S = 30.0
STEADY_MAX_S = 240.0
CALM_S = 600.0
"""Five returns show at once (a PC is restarted, and again); the sixth after 30 s of steady
answers, then 60, 120 and 240 s. Ten minutes online without a gap start the count anew."""


class Presence(IntEnum):
    """How much of a station there is; larger is worse."""

    ONLINE = 0
    STALE = 1
    OFFLINE = 2

    @property
    def word(self) -> str:
        """As the door and the screen spell it."""
        return self.name.lower()


@dataclass(frozen=True)
class Timings:
    """Seconds of silence after which a station is stale, and offline."""

    stale_s: float
    offline_s: float

    @classmethod
    def of_hold(cls, hold_s: float) -> "Timings":
        """What follows from the longest time a healthy station is silent, at least 2 s of slack."""
        return cls(
            stale_s=max(hold_s * STALE_HOLDS, hold_s + 2), offline_s=max(hold_s * OFFLINE_HOLDS, hold_s + 4)
        )


@dataclass(frozen=True)
class Hearing:
    """What is remembered of the times a station was heard.

    `floor`: it is shown at least as bad as this. `steady_since`: the answers
    come without a gap since then. `returns`: how often it came back since it
    was last calm.
    """

    heard_at: float | None = None
    floor: Presence = Presence.OFFLINE
    steady_since: float = 0.0
    returns: int = 0


def presence(hearing: Hearing, now: float, timings: Timings) -> Presence:
    """What to show at `now`."""
    return max(hearing.floor, _by_silence(hearing, now, timings))


def _by_silence(hearing: Hearing, now: float, timings: Timings) -> Presence:
    if hearing.heard_at is None:
        return Presence.OFFLINE
    silent = now - hearing.heard_at
    if silent >= timings.offline_s:
        return Presence.OFFLINE
    return Presence.STALE if silent >= timings.stale_s else Presence.ONLINE


def heard(hearing: Hearing, at: float, timings: Timings) -> Hearing:
    """The station answered at `at`."""
    shown = presence(hearing, at, timings)
    gap = _by_silence(hearing, at, timings) is not Presence.ONLINE
    steady_since = at if gap else hearing.steady_since
    steady = at - steady_since
    if shown is Presence.ONLINE:
        returns = 0 if steady >= CALM_S else hearing.returns
        return Hearing(at, Presence.ONLINE, steady_since, returns)
    if steady >= steady_needed(hearing.returns):
        return Hearing(at, Presence.ONLINE, steady_since, hearing.returns + 1)
    return Hearing(at, shown, steady_since, hearing.returns)


def steady_needed(returns: int) -> float:
    """Seconds without a gap that the next return needs, after so many."""
    if returns < FREE_RETURNS:
        return 0.0
    return float(min(STEADY_S * 2 ** min(returns - FREE_RETURNS, 10), STEADY_MAX_S))


def remembered(heard_at: float | None) -> Hearing:
    """A station the controller knew before it was started."""
    return replace(
        Hearing(), heard_at=heard_at, floor=Presence.ONLINE if heard_at is not None else Presence.OFFLINE
    )


def unsteady(hearing: Hearing, now: float, timings: Timings) -> float | None:
    """Seconds of steady answers still missing where a link comes and goes; None where none does."""
    if hearing.floor is Presence.ONLINE or _by_silence(hearing, now, timings) is not Presence.ONLINE:
        return None
    return max(0.0, steady_needed(hearing.returns) - (now - hearing.steady_since))
