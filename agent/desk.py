"""What whoever sits at the PC is told and may ask for: the citizen's side of a session."""

import os
from collections.abc import Callable

from msgspec.structs import replace

from agent.core.citizen import CitizenAsk, CitizenState, call_told, citizen_state
from agent.pages import Pages
from agent.ports import Clock
from agent.room import FULL, Room
from agent.session_runner import Sessions
from agent.sticks import Sticks
from contract.desired import Session
from contract.exchange import CommandResult
from contract.sentence import Sentence, sentence

_SEEN = sentence("the citizen is told that the operator comes")


class Desk:
    """`offer` says how the lab wants sessions here, `well` whether the PC is as it shall be.

    `paying_until_s` says when payment mode closes (monotonic), None while it is closed.
    """

    def __init__(
        self,
        sessions: Sessions,
        clock: Clock,
        *,
        offer: Callable[[], Session | None],
        well: Callable[[], bool],
        paying_until_s: Callable[[], float | None],
        sticks: Sticks,
        pages: Pages,
        room: Room,
    ) -> None:
        self._sessions = sessions
        self._clock = clock
        self._offer = offer
        self._well = well
        self._paying_until_s = paying_until_s
        self._sticks = sticks
        self._pages = pages
        self._room = room
        self._before_full: Sentence | None = None

    def state(self) -> CitizenState:
        """What the session bar shows."""
        offer = self._offer()
        state = citizen_state(
            self._sessions.sitting,
            well=self._well(),
            language="it" if offer is None else offer.language,
            monotonic=self._clock.monotonic(),
        )
        if state.state != "active":
            return state
        return replace(
            state,
            sentence=self._pages.told() or self._said(state.sentence),
            stick=self._sticks.ready,
            paying_until_s=self._paying_until_s(),
        )

    def _said(self, of_sitting: Sentence | None) -> Sentence | None:
        """What goes first: the stick while it is at work, the operator, what became of the stick since."""
        stick = self._sticks.told()
        if self._sticks.busy:
            return stick
        if not self._room.full:
            self._before_full = stick
            return of_sitting or stick
        return of_sitting or (FULL if stick == self._before_full else stick)

    def ask(self, ask: CitizenAsk) -> None:
        """Do what was pressed where that makes sense now; the next state tells. Raises JournalError."""
        sessions = self._sessions
        if ask.value:
            sessions.choose(ask.value)
        match ask.ask:
            case "start" if self._well():
                sessions.start(os.urandom(16).hex())
            case "end" if sessions.sitting.phase in ("reserved", "active"):
                sessions.end()
            case "save" if sessions.sitting.phase == "active":
                self._sticks.save()
            case "help" | "more-time":
                sessions.call(ask.ask)

    def answer(self, command: str) -> CommandResult:
        """The operator has seen the citizen's call. Raises JournalError."""
        if not self._sessions.sitting.calls:
            return CommandResult(command, False, call_told(()))
        result = CommandResult(command, True, _SEEN)
        self._sessions.answer(result)
        return result
