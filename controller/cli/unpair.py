"""labctl unpair: let a PC go."""

from typing import Annotated

import typer

from controller.cli.apps import alone
from controller.cli.client import door, understood
from controller.cli.i18n import _
from controller.cli.progress import working
from controller.cli.render import say, show_json
from controller.cli.stations import about_station, complete_station, station

app = alone()


@app.command(help=_("Let a PC go: it forgets the lab, its certificate is void."))
def unpair(
    pc: Annotated[
        str, typer.Argument(metavar="PC", parser=station, autocompletion=complete_station, help=_("Which."))
    ],
    force: Annotated[bool, typer.Option(help=_("Even if the PC is away and cannot be told."))] = False,
    as_json: Annotated[bool, typer.Option("--json", help=_("For programs."))] = False,
) -> None:
    """The command."""
    with working(_("telling {pc}").format(pc=pc)):
        answer = about_station(door(), "POST", pc, "unpair", {"force": force})
    if as_json:
        show_json(answer)
        return
    with understood():
        told = answer["told"]
    if told:
        say(_("{pc} has forgotten the lab and shows a pairing code again.").format(pc=pc))
    else:
        say(_("{pc} is no longer of this lab, and its certificate is revoked.").format(pc=pc))
        say(
            _(
                "The PC itself was away and does not know: "
                "on it, run `lab-agent unpair` before it is used again."
            )
        )
