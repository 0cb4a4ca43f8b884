"""The clock of the enforcer: the system's, but never before the journal's last entry.

A PC with a dead battery wakes up in 1970. Until NTP has answered, whatever the
agent writes down is dated from where it left off. Once the kernel says that its
clock is synchronised, that counts more than the journal: a journal that was
written while the clock was ahead (a wrong battery clock, somebody who lied about
the time) must not hold the PC in the future for ever, where every certificate
has ended.
"""

import ctypes
import time
from collections.abc import Callable
from datetime import UTC, datetime

RELEASED = datetime(2026, 11, 1, tzinfo=UTC)
"""No true clock is before this release."""

_TIMEX_BYTES = 512
"""More than struct timex of adjtimex(2) has anywhere."""
_TIME_ERROR = 5
"""What adjtimex(2) returns while the clock is not synchronised."""


class SystemClock:
    """See agent.ports.Clock. `synchronised` says whether the system's clock is known to be right."""

    def __init__(self, floor: datetime, synchronised: Callable[[], bool] = lambda: False) -> None:
        self._floor = floor
        self._synchronised = synchronised

    def now(self) -> datetime:
        """UTC, never before the floor."""
        return max(datetime.now(UTC), self._floor)

    def monotonic(self) -> float:
        """Seconds since some fixed point; suspended time counts."""
        return since_boot()

    def right(self) -> datetime | None:
        """The system's time where it is known to be right, whatever the floor says; else None."""
        now = datetime.now(UTC)
        return now if now >= RELEASED and self._synchronised() else None

    def lower(self, floor: datetime) -> None:
        """The floor was in the future: this is the new one."""
        self._floor = floor


def since_boot() -> float:
    """Seconds since the PC was started, the same for all its processes; suspended time counts."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def kernel_synchronised() -> bool:
    """Whether the kernel's clock is kept by NTP (adjtimex(2), reading only)."""
    state: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return 0 <= state != _TIME_ERROR
