"""labctl pair: make a PC a station of this lab."""

import re
from typing import Annotated

import typer

from controller.cli.apps import alone
from controller.cli.client import door, understood
from controller.cli.i18n import _
from controller.cli.progress import working
from controller.cli.render import say, show_json
from controller.cli.stations import station

app = alone()


def code(text: str) -> str:
    """Parser of a pairing code: six digits, as on the screen; a blank or hyphen between is forgiven."""
    digits = re.sub(r"[\s-]", "", text)
    if not re.fullmatch(r"[0-9]{6}", digits):
        raise typer.BadParameter(
            _(
                "'{text}' is not a pairing code: it is the six digits on the PC's screen, as in 493027."
            ).format(text=text)
        )
    return digits


@app.command(help=_("Take a PC into the lab, by the code on its screen."))
def pair(
    pc: Annotated[str, typer.Argument(metavar="PC", parser=station, help=_("The PC's name, as in pc-03."))],
    digits: Annotated[str, typer.Argument(metavar="CODE", parser=code, help=_("The six digits it shows."))],
    address: Annotated[
        str | None,
        typer.Option(metavar="HOST", help=_("Where it is, if discovery does not find it (or finds two).")),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help=_("For programs."))] = False,
) -> None:
    """The command."""
    with working(_("pairing {pc}").format(pc=pc)):
        answer = door().post(f"/v1/stations/{pc}/pair", {"code": digits, "address": address})
    if as_json:
        show_json(answer)
        return
    with understood():
        sentence = _("{pc} at {address} is of this lab now.").format(
            pc=answer["id"], address=answer["address"]
        )
        fingerprint = _("Its certificate: {fingerprint}").format(fingerprint=answer["fingerprint"])
    say(sentence)
    say(fingerprint)
