"""What the lab tells one station to do, before it is sealed."""

import secrets

from contract.exchange import Command, CommandKind
from contract.payment import PaymentOrder
from contract.wire import CONTRACT
from controller.books import Books
from controller.publishing import no_station


def new_command(
    books: Books, station: str, kind: CommandKind, payment: PaymentOrder | None = None
) -> Command:
    """A command with an id of its own, for the pairing the station is in now.

    Raises Problem for a station that the lab has not.
    """
    with books.database.read() as tx:
        row = books.store.station(tx, station)
    if row is None:
        raise no_station(station)
    return Command(
        contract=CONTRACT,
        id=secrets.token_hex(16),
        lab=books.lab,
        station=station,
        pairing=row.pairing,
        issued_at=books.clock.now(),
        kind=kind,
        payment=payment,
    )
