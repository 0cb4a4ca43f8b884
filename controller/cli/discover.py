"""labctl discover: which PCs with an agent are there."""

from collections import defaultdict
from typing import Annotated, Any

import typer

from controller.cli.apps import alone
from controller.cli.client import ANSWER_S, door, understood
from controller.cli.i18n import _
from controller.cli.progress import working
from controller.cli.render import Cell, Column, Table, say, show, show_json, warn

app = alone()


@app.command(help=_("Look for PCs that run the agent."))
def discover(
    add: Annotated[
        list[str] | None,
        typer.Option(
            "--add",
            metavar="HOST",
            help=_(
                "Ask this host or HOST:PORT too, and remember it: for networks without multicast. Repeatable."
            ),
        ),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(min=0, max=30, metavar="S", help=_("How many seconds to wait for PCs to speak up.")),
    ] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help=_("For programs."))] = False,
) -> None:
    """The command."""
    with working(_("listening for PCs")):
        answer = door().post("/v1/discover", {"timeout_s": timeout, "hosts": add or []}, timeout + ANSWER_S)
    if as_json:
        show_json(answer)
        return
    with understood():
        found = answer["found"]
        drawn = table(found)
        twice = claimed_twice(found)
        fresh = [item["id"] for item in found if item["pairing"] == "open" and item["id"]]
    if not found:
        say(
            _(
                "No PC answered. Is its agent running, and on this network? "
                "On the PC: systemctl status lab-agent"
            )
        )
        say(_("Where the network has no multicast: labctl discover --add ADDRESS"))
        return
    show(drawn)
    for name, addresses in twice.items():
        warn(
            _(
                "{name} is claimed at {addresses}. "
                "Look at the PCs: only the one with the lab's certificate is it."
            ).format(name=name, addresses=", ".join(addresses))
        )
    if fresh and not twice:
        warn(_("To take one in: labctl pair {name} CODE, with the code on its screen.").format(name=fresh[0]))


def claimed_twice(found: list[dict[str, Any]]) -> dict[str, list[str]]:
    """The names that more than one address claims, of those that none has proved to be."""
    places: dict[str, list[str]] = defaultdict(list)
    for item in found:
        if item["id"]:
            places[item["id"]].append(f"{item['address']}:{item['port']}")
    return {name: addresses for name, addresses in places.items() if len(addresses) > 1}


def table(found: list[dict[str, Any]]) -> Table:
    """What was found, and how far it can be believed."""
    return Table(
        columns=(
            Column(_("PC")),
            Column(_("ADDRESS")),
            Column(_("PAIRED")),
            Column(_("VERSION"), leaves=1),
            Column(_("NOTE")),
        ),
        rows=tuple(
            (
                Cell(item["id"], "bold"),
                Cell(f"{item['address']}:{item['port']}"),
                _pairing(item),
                Cell(item["version"]),
                Cell(item["note"], "yellow"),
            )
            for item in found
        ),
    )


def _pairing(item: dict[str, Any]) -> Cell:
    if item["verified"]:
        return Cell(_("with this lab"), "green")
    if item["pairing"] == "open":
        return Cell(_("no, shows a code"), "yellow" if not item["known"] else "red")
    if item["pairing"] == "paired":
        return Cell(_("says so, unproved") if item["known"] else _("with another lab"), "dim")
    return Cell(_("unknown"), "dim")
