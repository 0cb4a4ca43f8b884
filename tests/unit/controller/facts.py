"""A station's answer, for tests that only care about a part of it."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from contract.exchange import Answer
from contract.status import Facts, Footprint, Hardware, StatusReport
from contract.wire import CONTRACT

AT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)

FACTS = Facts(
    at=AT,
    load=(0.5, 0.4, 0.3),
    cpu=0.1,
    memory_total=4 << 30,
    memory_available=3 << 30,
    disks=(),
    nics=(),
    temperatures=(),
    uptime_s=60,
    users=(),
    kiosk=(),
    clock_skew_s=None,
    footprint=Footprint(rss=30 << 20, cpu_s=1),
    hardware=Hardware(
        vendor="", model="", serial="", cpu="", cores=2, memory=4 << 30, os="", kernel="", python=""
    ),
)


def report(station: str = "pc-01", **changes: Any) -> StatusReport:
    """A healthy station's report."""
    plain = StatusReport(
        station=station,
        version="0.1.0",
        state="available",
        profile="citizen",
        desired_revision=0,
        applied_revision=0,
        conditions=(),
        facts=FACTS,
    )
    return msgspec.structs.replace(plain, **changes)


def answer(station: str = "pc-01", *, status: StatusReport | None = None, **changes: Any) -> Answer:
    """A healthy station's answer."""
    plain = Answer(
        contract=CONTRACT, station=station, epoch="e1", news="n1", status=status or report(station)
    )
    return msgspec.structs.replace(plain, **changes)
