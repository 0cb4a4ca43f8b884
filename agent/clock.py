"""The clock of the enforcer: the system's, but never before the journal's last entry.

A PC with a dead battery wakes up in 1970. Until NTP has answered, whatever the
agent writes down is dated from where it left off.
"""

import time
from datetime import UTC, datetime


class SystemClock:
    """See agent.ports.Clock."""

    def __init__(self, floor: datetime) -> None:
        self._floor = floor

    def now(self) -> datetime:
        """UTC, never before the floor."""
        return max(datetime.now(UTC), self._floor)

    def monotonic(self) -> float:
        """Seconds since some fixed point; suspended time counts."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)
