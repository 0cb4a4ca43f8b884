"""How a contract struct becomes bytes and back, and how large it may be.

One codec for the LAN, the Unix socket and the journal, so that a message which
was accepted once is accepted everywhere.
"""

from datetime import datetime
from typing import Annotated, Any, TypeVar

import msgspec

CONTRACT = 1
"""The version of everything in this package; it grows when a meaning changes."""

MAX_MESSAGE_BYTES = 1 << 20
"""Longest message either side reads (1 MiB): a full allow-list of 1,000 hosts
and the load-bearing policies come to about 60 kB."""

Utc = Annotated[datetime, msgspec.Meta(tz=True)]
"""An instant. It always carries a zone; we write UTC."""

T = TypeVar("T")


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of every struct of the contract: immutable and strict."""


class ContractError(ValueError):
    """Bytes that are not the message that was due; the text says why."""


_encoder = msgspec.json.Encoder(order="deterministic")


def encode(message: Any) -> bytes:
    """The JSON bytes of a contract struct; equal structs give equal bytes."""
    return _encoder.encode(message)


def decode(kind: type[T], data: bytes | bytearray | memoryview) -> T:
    """The struct of type `kind` in `data`.

    Raises ContractError for anything else: too long, not JSON, an unknown or
    missing field, a wrong type.
    """
    if len(data) > MAX_MESSAGE_BYTES:
        raise ContractError(f"message of {len(data)} bytes; the limit is {MAX_MESSAGE_BYTES}")
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ContractError(str(error)) from None
