"""Citizens' sticks as the enforcer sees them: what the helper tells, and having documents saved.

The helper (lab-stick-import@.service, lab-stick-export@.service) reads what anybody may have
written, so nothing it says is more than words for the citizen: which devices are
sticks the enforcer sees for itself, by the links that udev makes.
"""

import re
from collections.abc import Callable

from agent.core.citizen import citizens
from agent.core.stick import LINKS, REPORT, Report, told
from agent.host import Host
from agent.ports import ActionFailed
from contract.sentence import Sentence
from contract.wire import ContractError, decode

LONGEST = 4096
"""Bytes of a report: numbers and a device's name."""

_LINK = re.compile(rf"/dev/{LINKS}/([a-z0-9]{{1,32}})", re.ASCII)

NO_STICK = citizens("Please put your stick in first.")
BUSY = citizens("Your stick is in use. One moment, please.")
NOT_NOW = citizens("Nothing can be saved at the moment. Please call the operator.")


class Sticks:
    """The stick of whoever sits there, as it was at the last look."""

    def __init__(self, host: Host, log: Callable[[str], None]) -> None:
        self._host = host
        self._log = log
        self._report: Report | None = None
        self._link: str | None = None
        self._refused: Sentence | None = None

    def look(self) -> None:
        """Read again what the helper says, and whether the stick that it names is there."""
        report = self._read()
        if report != self._report:
            self._report, self._refused = report, None
        known = _LINK.fullmatch(report.device) if report is not None else None
        there = known is not None and known[1] in (self._host.names(f"/dev/{LINKS}") or ())
        self._link = known[1] if known is not None and there else None

    @property
    def busy(self) -> bool:
        """Whether the helper is at work: what is said of that goes before all else."""
        return self._refused is not None or (self._report is not None and self._report.phase == "working")

    @property
    def ready(self) -> bool:
        """Whether there is a stick of this session to save to."""
        return self._link is not None

    def told(self) -> Sentence | None:
        """What the citizen reads of it; None where there is nothing to say."""
        if self._refused is not None:
            return self._refused
        return None if self._report is None else told(self._report)

    def save(self) -> None:
        """Have the session's documents written to its stick. Then, or instead, `told` says something.

        Only a stick that was read in this session is written to: one that somebody forgot in the PC is not.
        """
        self.look()
        self._refused = self._begin()

    def _begin(self) -> Sentence | None:
        """Why not; None where the helper is at it."""
        if self._link is None:
            return NO_STICK
        if self._report is not None and self._report.phase == "working":
            return BUSY
        unit = f"lab-stick-export@dev-{LINKS}-{self._link}.service"
        try:
            done = self._host.run(("systemctl", "start", "--no-block", unit), timeout_s=10)
        except ActionFailed as error:
            self._log(str(error))
            return NOT_NOW
        return NOT_NOW if done.returncode else None

    def _read(self) -> Report | None:
        state = self._host.file(REPORT)
        if state is None or not 0 < len(state.content) <= LONGEST:
            return None
        try:
            return decode(Report, state.content)
        except ContractError as error:
            self._log(f"the stick's helper makes no sense: {error}")
            return None
