"""Whether the session under way has room left, as its attendant says.

Its files are in memory that only its own processes see. Who writes in the
session's folder may be anybody who sits there, so the mark is worth a word to
the citizen and to the technician, and nothing is decided by it. It is not
watched either, but looked for when the PC is looked at, twice a minute at least:
nobody who sits there is to wake the enforcer as often as he likes.
"""

from agent.core.citizen import citizens
from agent.core.room import MARK
from agent.host import Host
from contract.sentence import sentence

FULL = citizens(
    "There is no room left in this session. Save or print what you need, then end it, or ask the operator."
)
TOLD = sentence(
    "the session has used up its memory for files: what the citizen opens or downloads may fail until it ends"
)
OVER = sentence("the session has room again, or has ended")


class Room:
    """The room of whoever sits there, as it was at the last look."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.full = False

    def look(self, *, active: bool) -> None:
        """Look again; `active`: whether somebody sits there."""
        self.full = active and self._host.file(MARK) is not None
