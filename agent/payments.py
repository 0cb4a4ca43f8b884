"""Keeps the payment mode of one PC: takes the lab's orders, journals them, and lets go of what is over.

Journal first; the effect is the enforcer's next look, which makes the PC what it shall be
while it is `paying`, or not. Only what a look has found in force is told to the lab.
"""

from collections.abc import Callable

from agent.core.messages import OpenUntil
from agent.core.payment import Moment, Opening, is_open, moment, opened
from agent.core.session import Sitting
from agent.journal import Journal
from agent.ports import Clock
from contract.desired import Resources
from contract.exchange import Command, CommandResult
from contract.sentence import Sentence, sentence
from contract.wire import ContractError, decode, encode

_NONE = sentence("its profile has no payment mode")
_NOBODY = sentence("no session is under way, and payment mode is for who sits there")
_GONE = sentence("the session it was meant for has ended")
_UNSAID = sentence("the order does not say for how long")
_OPENS = sentence("payment mode opens")
_CLOSES = sentence("payment mode closes")
_CLOSED = sentence("payment mode was not open")


class Payments:
    """The payment mode of one PC. `sitting` says who is there. Methods that journal raise JournalError."""

    def __init__(
        self, *, journal: Journal, clock: Clock, sitting: Callable[[], Sitting], log: Callable[[str], None]
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._sitting = sitting
        self._log = log
        self._held = _read(journal.payment, log)
        self._seen: Opening | None = None

    @property
    def now(self) -> Opening | None:
        """The order that holds now; None while the mode is closed."""
        return self._held if is_open(self._held, self._moment()) else None

    @property
    def ends_s(self) -> float | None:
        """When it closes by itself, on the monotonic clock."""
        held = self.now
        return None if held is None else held.until_s

    @property
    def seen_until_s(self) -> float | None:
        """When it closes by itself, for the citizen: only while it holds and was found in force."""
        return None if self.now is None or self._seen is None else self._seen.until_s

    @property
    def state(self) -> OpenUntil | None:
        """What the lab may be told: what was found in force."""
        return None if self._seen is None else OpenUntil(order=self._seen.order, until_s=self._seen.until_s)

    def perform(self, command: Command, resources: Resources) -> CommandResult:
        """Carry out an order of the lab, for a PC that shall be `resources`."""
        if command.kind == "payment-close":
            return self._close(command)
        now, wanted = self._moment(), command.payment
        refused: Sentence | None = None
        if resources.payment is None:
            refused = _NONE
        elif wanted is None:
            refused = _UNSAID
        elif not now.occupied:
            refused = _NOBODY
        elif wanted.session != now.session:
            refused = _GONE
        if refused is not None or wanted is None:
            return CommandResult(command.id, False, refused or _UNSAID)
        opening = opened(self._held, command.id, wanted, now)
        result = CommandResult(command.id, True, _OPENS)
        self._to(opening, result)
        self._log(f"payment mode: open for {opening.until_s - now.boot_s:.0f} s")
        return result

    def _close(self, command: Command) -> CommandResult:
        result = CommandResult(command.id, True, _CLOSED if self.now is None else _CLOSES)
        self._to(None, result)
        return result

    def found(self, opening: Opening | None) -> bool:
        """The PC was found to be as `opening` makes it; whether that is news. Lets go of what is over."""
        news = opening != self._seen
        self._seen = opening
        if news and opening is None:
            self._log("payment mode: closed")
        if self._held is not None and opening is None:
            self._to(None, None)
        return news

    def _to(self, opening: Opening | None, result: CommandResult | None) -> None:
        self._journal.set_payment(b"" if opening is None else encode(opening), result, self._clock.now())
        self._held = opening

    def _moment(self) -> Moment:
        return moment(self._sitting(), self._clock.monotonic())


def _read(journalled: bytes, log: Callable[[str], None]) -> Opening | None:
    try:
        return decode(Opening, journalled) if journalled else None
    except ContractError as error:
        log(f"payment mode: what the journal says of it cannot be read, so it is closed: {error}")
        return None
