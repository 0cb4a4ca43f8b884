"""Keeps the count of what a session prints: asked by the gate, journalled, told to the bar."""

from collections.abc import Callable

import msgspec

from agent.core.pages import SAID_S, PrintAsk, verdict
from agent.journal import JournalError
from agent.ports import Clock
from agent.session_runner import Sessions
from contract.sentence import Sentence


class Grant(msgspec.Struct, frozen=True):
    """Pages that were let go to the printer, on a session's account; nobody's where `session` is empty."""

    session: str = ""
    pages: int = 0


class _Said(msgspec.Struct, frozen=True):
    sentence: Sentence
    session: str
    until_s: float


class Pages:
    """`limit` is how many pages a session may print; None is no limit, 0 is none at all."""

    def __init__(
        self,
        sessions: Sessions,
        clock: Clock,
        *,
        limit: Callable[[], int | None],
        log: Callable[[str], None],
    ) -> None:
        self._sessions = sessions
        self._clock = clock
        self._limit = limit
        self._log = log
        self._said: _Said | None = None

    def ask(self, ask: PrintAsk) -> Grant | None:
        """What is let go to the printer, already journalled; None where nothing is."""
        sitting = self._sessions.sitting
        decided = verdict(sitting, self._limit(), ask)
        if decided.counted:
            try:
                self._sessions.printed(decided.counted, sitting.session)
            except JournalError as error:
                self._log(f"nothing is printed: {error}")
                return None
        if decided.sentence is not None:
            until_s = self._clock.monotonic() + SAID_S
            self._said = _Said(decided.sentence, sitting.session, until_s)
        if not decided.go:
            return None
        return Grant(sitting.session, decided.counted) if decided.counted else Grant()

    def unsent(self, grant: Grant) -> None:
        """Nothing of what was granted went to the printer."""
        if not grant.pages:
            return
        try:
            self._sessions.printed(-grant.pages, grant.session)
        except JournalError as error:
            self._log(f"pages that were not printed stay counted: {error}")
            return
        self._said = None  # it named how many are left

    def told(self) -> Sentence | None:
        """What the citizen reads of the last print, for a while."""
        said = self._said
        if said is None or said.session != self._sessions.sitting.session:
            return None
        return said.sentence if self._clock.monotonic() < said.until_s else None
