"""What holds of the station, for the technician: each Condition as it was last said.

What is bad is said once it is, and its end only where it was said before.
"""

from collections.abc import Callable
from datetime import datetime

from agent import room, telling
from agent.core.citizen import call_told
from agent.core.proof import unclean
from agent.core.session import Sitting
from agent.journal import JournalError
from agent.ports import Clock
from agent.telling import Looked
from contract.sentence import Sentence, sentence
from contract.status import Condition, ConditionType

_STARTED = sentence("the last session has started")
_DID_NOT_START = sentence("the last session did not start; on the PC, see journalctl -u lab-session")


class Conditions:
    """`changed` is called whenever one of them says something else."""

    def __init__(self, clock: Clock, *, changed: Callable[[], None], log: Callable[[str], None]) -> None:
        self._clock = clock
        self._changed = changed
        self._log = log
        self._said: dict[ConditionType, Condition] = {}

    @property
    def all(self) -> tuple[Condition, ...]:
        """In the order of their types."""
        return tuple(sorted(self._said.values(), key=lambda found: found.type))

    def has(self, kind: ConditionType, reason: str) -> bool:
        """Whether that is what a condition says now."""
        found = self._said.get(kind)
        return found is not None and found.reason == reason

    def say(self, kind: ConditionType, status: bool, reason: str, message: Sentence) -> None:
        """Say it from now on."""
        old = self._said.get(kind)
        since: datetime = old.since if old is not None and old.status == status else self._clock.now()
        new = Condition(type=kind, status=status, reason=reason, message=message, since=since)
        if new != old:
            self._said[kind] = new
            self._changed()

    def end(self, kind: ConditionType, reason: str, message: Sentence) -> None:
        """It is bad no more; nothing where it never was."""
        if kind in self._said:
            self.say(kind, False, reason, message)

    def forget(self, kind: ConditionType) -> None:
        """As if it had never been said."""
        self._said.pop(kind, None)

    def looked(self, looked: Looked) -> None:
        """The PC was looked at."""
        for change in looked.outcome.done:
            self._log(f"{change.kind}: {change.subject}: {change.why}")
        told = telling.converged(looked, self.has("Converged", "Applied"), self._clock.now())
        if told is not None:
            known = self._said.get("Converged")
            if not told.status and (known is None or known.message != told.message):
                self._log(str(told.message))  # once: it is tried again and again
            self.say("Converged", told.status, told.reason, told.message)
        lacking = telling.lacking(looked.outcome, "Lacking" in self._said)
        if lacking is not None:
            self.say("Lacking", lacking.status, lacking.reason, lacking.message)

    def cannot_write(self, error: JournalError) -> None:
        """The journal did not take something."""
        told = sentence("{why}; make room on the disk", why=error.sentence)
        self.say("JournalFailed", True, "CannotWrite", told)

    def refused(self, message: Sentence) -> None:
        """A desired state was not taken."""
        told = sentence("a desired state was refused: {why}", why=message)
        self.say("DesiredRefused", True, "Refused", told)

    def browser(self, other: Sentence | None) -> None:
        """`other`: how the browser is not the one that the policy was checked with."""
        if other is not None:
            self.say("BrowserUnchecked", True, "OtherVersion", other)
        else:
            self.end("BrowserUnchecked", "Checked", sentence("the browser is the one that was checked"))

    def room(self, *, full: bool) -> None:
        """Whether the session under way has no room left."""
        if full:
            self.say("SessionFull", True, "NoRoom", room.TOLD)
        else:
            self.end("SessionFull", "Room", room.OVER)

    def session(self, sitting: Sitting, *, failed: bool, busy: bool) -> None:
        """How the session stands. `failed`: the last did not begin; `busy`: something of it is under way."""
        if sitting.phase == "out-of-service":
            self.say("Unclean", True, "Left" if sitting.proof else "NoProof", unclean(sitting.proof))
        elif sitting.phase == "available":
            self.end("Unclean", "Wiped", sentence("nothing of the last session is left"))
        if sitting.calls:
            self.say("HelpWanted", True, "Called", call_told(sitting.calls))
        else:
            self.end("HelpWanted", "NobodyCalls", call_told(()))
        if failed:
            self.say("SessionFailed", True, "DidNotStart", _DID_NOT_START)
        elif sitting.phase == "active" and not busy:
            self.end("SessionFailed", "Started", _STARTED)
