"""Citizens' sessions, as an operator begins and ends them by hand, and the proof of the last wipe."""

import logging
from collections.abc import Callable

from contract.exchange import Command, CommandKind, CommandResult
from contract.session import Proof
from controller import door_models as m
from controller.books import Books
from controller.commands import new_command
from controller.failures import Failure, in_words, printable
from controller.live import Live, View
from controller.problems import Problem
from controller.publishing import no_station
from controller.words import _

log = logging.getLogger(__name__)

ENDED = frozenset(("available", "out-of-service", "unpaired", "maintenance"))
"""States in which nobody sits there and nothing is being wiped."""

BEGINNING = frozenset(("available", "reserved"))
"""States between the command to start and the session on the screen."""


class Sessions:
    """Tells stations, and waits until they have done it."""

    def __init__(
        self, books: Books, live: Live, tell: Callable[[str, Command], CommandResult | Failure]
    ) -> None:
        self._books = books
        self._live = live
        self._tell = tell

    def start(self, station: str, who: str, wait_s: float) -> m.SessionOut:
        """Begin a session; waits until it is on the screen."""
        self._command(station, "session-start", who)
        return self._when(station, lambda view: _state(view) not in BEGINNING, wait_s)

    def end(self, station: str, who: str, wait_s: float) -> m.SessionOut:
        """End it; waits until the PC has been wiped, and whether that was proved."""
        self._command(station, "session-end", who)
        return self._when(station, lambda view: _state(view) in ENDED, wait_s)

    def answer(self, station: str, who: str) -> m.CallAnswered:
        """Tell whoever calls there that the operator comes."""
        self._command(station, "call-answer", who)
        return m.CallAnswered(id=station)

    def show(self, station: str) -> m.SessionOut:
        """How it stands."""
        return self._when(station, lambda _view: True, 0)

    def _command(self, station: str, kind: CommandKind, who: str) -> None:
        command = new_command(self._books, station, kind)
        log.info("%s: %s, asked by %s", station, kind, who)
        result = self._tell(station, command)
        if isinstance(result, Failure):
            message = _("{id} cannot be told: {reason}").format(id=station, reason=in_words(result.message))
            raise Problem("away", message, _("See how it is: labctl status"))
        if not result.done:
            message = _("{id} will not: {reason}.").format(id=station, reason=in_words(result.message))
            raise Problem("state", message, _("See how it is: labctl status"))

    def _when(self, station: str, true: Callable[[View], bool], wait_s: float) -> m.SessionOut:
        def done() -> bool:
            view = self._live.one(station)
            return view is None or true(view)

        self._live.wait(done, wait_s)
        view = self._live.one(station)
        if view is None:
            raise no_station(station)
        answer = view.seen.answer
        return m.SessionOut(
            id=station,
            state=_state(view),
            wipe=show_proof(answer.status.wipe) if answer and answer.status.wipe else None,
        )


def show_proof(proof: Proof) -> m.Wipe:
    """As the door gives it; the station's own words are bounded."""
    return m.Wipe(
        at=proof.at,
        seconds=proof.seconds,
        clean=proof.clean,
        looked=[
            m.Looked(place=one.place, found=one.found, left=one.left, where=[printable(w) for w in one.where])
            for one in proof.looked
        ],
        canaries=[m.Canary(spot=one.spot, seen=one.seen, left=one.left) for one in proof.canaries],
    )


def _state(view: View) -> str:
    return view.seen.answer.status.state if view.seen.answer else "unknown"
