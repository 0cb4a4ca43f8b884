"""labctl call: citizens who pressed "help" on their screen, and the word that somebody comes."""

from typing import Annotated, Any

import typer

from controller.cli.apps import noun
from controller.cli.client import door, understood
from controller.cli.i18n import _
from controller.cli.render import Cell, Table, columns, instant, moment, say, show, show_json
from controller.cli.stations import about_station, complete_station, station

app = noun(_("Citizens who call the operator from their screen."))

Pc = Annotated[
    str, typer.Argument(metavar="PC", parser=station, autocompletion=complete_station, help=_("Which."))
]
AsJson = Annotated[bool, typer.Option("--json", help=_("For programs."))]


@app.command("list", help=_("Show who calls, and since when."))
def list_calls(as_json: AsJson = False) -> None:
    """The command."""
    answer = door().get("/v1/status")
    with understood():
        now = instant(answer["at"])
        calls = [
            {"id": one["id"], "since": condition["since"], "message": condition["message"]}
            for one in answer["stations"]
            for condition in one["conditions"]
            if condition["type"] == "HelpWanted" and condition["status"]
        ]
        calls.sort(key=lambda call: str(call["since"]))
        if as_json:
            show_json({"calls": calls})
        elif not calls:
            say(_("Nobody calls."))
        else:
            rows = tuple(
                (Cell(call["id"], "bold"), Cell(moment(instant(call["since"]), now)), Cell(call["message"]))
                for call in calls
            )
            show(Table(columns(_("PC"), _("SINCE"), _("WHAT")), rows))


@app.command(help=_("Tell the citizen at a PC that the operator comes."))
def answer(pc: Pc, as_json: AsJson = False) -> None:
    """The command."""
    told: dict[str, Any] = about_station(door(), "POST", pc, "call/answer")
    if as_json:
        show_json(told)
        return
    say(_("The screen of {pc} says that you are coming.").format(pc=pc))
