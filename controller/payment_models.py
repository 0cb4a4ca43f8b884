"""What goes through labctl's door about the payment mode; see door_models."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from contract.payment import LEAST_S, MOST_S
from controller.door_models import Model, WaitSeconds


class PaymentIn(Model):
    """Open the payment mode on a PC for so many minutes. `why` is kept: no names, no addresses."""

    minutes: Annotated[int, Field(ge=LEAST_S // 60, le=MOST_S // 60)]
    why: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
    wait_s: WaitSeconds = 0


class PaymentOut(Model):
    """A PC's payment mode as it last said. `until` null: closed; `reason`: why it is not as it shall be."""

    id: str
    until: datetime | None
    reason: str


class PaymentEntry(Model):
    """An order to open it. `outcome` unknown: the PC did not answer, and may have opened it."""

    station: str
    at: datetime
    who: str
    minutes: int
    why: str
    outcome: Literal["asked", "opened", "refused", "unknown"]
    closed_at: datetime | None = Field(description="When somebody closed it before its minutes were over.")
    closed_by: str | None


class Payments(Model):
    """Where the payment mode is open, and the record of it, newest first."""

    open: list[PaymentOut]
    record: list[PaymentEntry]
