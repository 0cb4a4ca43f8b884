"""Payment mode: for some minutes, and for who sits there, a PC reaches more hosts than its profile says.

A card's issuer has pages of its own in the middle of a payment (3-D Secure). The
lab orders it, for one citizen's session and one stretch of time; the station
keeps the time and takes it back alone.
"""

from typing import Annotated

import msgspec

from contract.session import SessionId
from contract.wire import Message, Utc

LEAST_S, MOST_S = 60, 3600
"""A payment with its codes by phone takes some minutes; whoever needs longer has it prolonged."""

OrderId = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{32}\Z")]
"""The id of the command that opened it, or last prolonged it."""


class PaymentOrder(Message, frozen=True):
    """Open it for so long, for that session; `session` is None where the PC offers none.

    An order that was held back on its way opens nothing for the citizen who comes next.
    """

    seconds: Annotated[int, msgspec.Meta(ge=LEAST_S, le=MOST_S)]
    session: SessionId | None = None


class PaymentOpen(Message, frozen=True):
    """It is open, and was seen to be; it closes by itself at `until`, by the station's clock as it is now."""

    order: OrderId
    until: Utc
