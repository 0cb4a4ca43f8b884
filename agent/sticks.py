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
    """The stick of whoever sits there."""

    def __init__(self, host: Host, log: Callable[[str], None]) -> None:
        self._host = host
        self._log = log

    def report(self) -> Report | None:
        """What became of the last stick of this session; None where there was none."""
        state = self._host.file(REPORT)
        if state is None or not 0 < len(state.content) <= LONGEST:
            return None
        try:
            return decode(Report, state.content)
        except ContractError as error:
            self._log(f"the stick's helper makes no sense: {error}")
            return None

    def told(self) -> Sentence | None:
        """What the citizen reads of it; None where there is nothing to say."""
        report = self.report()
        return None if report is None else told(report)

    def ready(self) -> bool:
        """Whether there is a stick of this session to save to."""
        return self._stick() is not None

    def save(self) -> Sentence | None:
        """Have the session's documents written to its stick; why not, or None: then the report goes on.

        Only a stick that was read in this session is written to: one that somebody forgot in the PC is not.
        """
        report, link = self.report(), self._stick()
        if link is None:
            return NO_STICK
        if report is not None and report.phase == "working":
            return BUSY
        unit = f"lab-stick-export@dev-{LINKS}-{link}.service"
        try:
            done = self._host.run(("systemctl", "start", "--no-block", unit), timeout_s=10)
        except ActionFailed as error:
            self._log(str(error))
            return NOT_NOW
        return NOT_NOW if done.returncode else None

    def _stick(self) -> str | None:
        report = self.report()
        known = _LINK.fullmatch(report.device) if report is not None else None
        if known is None or known[1] not in (self._host.names(f"/dev/{LINKS}") or ()):
            return None
        return known[1]
