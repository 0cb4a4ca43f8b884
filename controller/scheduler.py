"""What must happen at a time. A job only wakes the reconciling of what is due: it may fire twice or late."""

import logging
from collections.abc import Callable
from datetime import UTC

from apscheduler.schedulers.background import BackgroundScheduler

log = logging.getLogger(__name__)

NIGHT = "03:17"
"""When labs are closed; not on the hour, when everybody's jobs run. UTC."""
SAVE_EVERY_S = 60


class Scheduler:
    """The jobs of this process, kept in memory: each is made again at start."""

    def __init__(self, nightly: Callable[[], object], save: Callable[[], object]) -> None:
        self._scheduler = BackgroundScheduler(timezone=UTC)
        hour, _colon, minute = NIGHT.partition(":")
        self._scheduler.add_job(
            nightly,
            "cron",
            hour=int(hour),
            minute=int(minute),
            id="nightly",
            coalesce=True,
            misfire_grace_time=None,
        )
        self._scheduler.add_job(
            save, "interval", seconds=SAVE_EVERY_S, id="save", coalesce=True, misfire_grace_time=None
        )

    def start(self) -> None:
        """Begin."""
        self._scheduler.start()

    def stop(self) -> None:
        """End; a job that runs is not waited for."""
        self._scheduler.shutdown(wait=False)
