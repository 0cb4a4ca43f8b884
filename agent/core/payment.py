"""Payment mode, decided: for minutes and for one citizen a PC reaches more hosts than its profile says. Pure.

The law, whatever restarts, power cuts, steps of the clock and citizens come in
between: it is open only between an order and its end, in the boot and in the
session that the order was for. So nothing has to happen for it to be over; what
happens at its end only makes the PC agree.
"""

from agent.core.session import Sitting
from contract.payment import MOST_S, OrderId, PaymentOrder
from contract.session import SessionId
from contract.wire import Message


class Opening(Message, frozen=True):
    """An order that was taken, as it is journalled. `until_s`: seconds since that boot, which nobody sets."""

    order: OrderId
    boot: str
    until_s: float
    session: SessionId | None = None


class Moment(Message, frozen=True):
    """What decides whether it is open: which boot this is, how old it is, and who sits there."""

    boot: str
    boot_s: float
    occupied: bool
    """Whether there is anybody to open it for: a session under way, or a PC that offers none."""
    session: SessionId | None = None


def moment(sitting: Sitting, boot_s: float) -> Moment:
    """The moment at which a PC is `boot_s` seconds old."""
    active = sitting.phase == "active"
    return Moment(
        boot=sitting.boot,
        boot_s=boot_s,
        occupied=active or sitting.phase == "none",
        session=sitting.session if active else None,
    )


def is_open(opening: Opening | None, now: Moment) -> bool:
    """Whether an order still holds."""
    return (
        opening is not None
        and now.occupied
        and (opening.boot, opening.session) == (now.boot, now.session)
        and 0 < opening.until_s - now.boot_s <= MOST_S
    )


def opened(held: Opening | None, order: OrderId, wanted: PaymentOrder, now: Moment) -> Opening:
    """What an order makes of what is held: the later end counts, so a second order only prolongs.

    Sooner is said by closing.
    """
    until_s = now.boot_s + wanted.seconds
    if held is not None and is_open(held, now):
        until_s = max(until_s, held.until_s)
    return Opening(order=order, boot=now.boot, until_s=until_s, session=now.session)
