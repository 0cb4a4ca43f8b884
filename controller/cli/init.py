"""labctl init: make the lab, once, on its server."""

from typing import Annotated

import typer

from contract.identity import is_label
from controller.cli.apps import alone
from controller.cli.errors import Failure
from controller.cli.here import paths
from controller.cli.i18n import _
from controller.cli.render import say

app = alone()


def lab_id(text: str) -> str:
    """Parser of a lab's id."""
    if text and not is_label(text):
        raise typer.BadParameter(
            _("'{text}' cannot be a lab's id: up to 32 of a-z, 0-9 and hyphens, as in fontana.").format(text=text)
        )
    return text


@app.command(help=_("Make the lab on this server: its certificate authority, database and settings."))
def init(
    lab: Annotated[
        str, typer.Option(metavar="ID", parser=lab_id, help=_("Names the lab in its certificates; for good."))
    ] = "",
    name: Annotated[str, typer.Option(metavar="TEXT", help=_("What people read."))] = "",
    comune: Annotated[str, typer.Option(metavar="TEXT", help=_("The municipality."))] = "",
) -> None:
    """The command."""
    raise NotImplementedError
