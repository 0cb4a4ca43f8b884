"""labctl inventory: the PCs as things a municipality owns."""

from typing import Annotated, Any

import typer

from controller.cli.apps import alone
from controller.cli.client import door, understood
from controller.cli.i18n import _
from controller.cli.render import Cell, Column, Table, say, show, show_json, size
from controller.cli.status import no_pcs

app = alone()


@app.command(help=_("List the PCs: model, serial number, memory, disk, address."))
def inventory(
    as_json: Annotated[bool, typer.Option("--json", help=_("For programs."))] = False,
) -> None:
    """The command."""
    answer = door().get("/v1/inventory")
    if as_json:
        show_json(answer)
        return
    with understood():
        drawn = table(answer["stations"])
    if drawn.rows:
        show(drawn)
    else:
        say(no_pcs())


def table(stations: list[dict[str, Any]]) -> Table:
    """A line a PC; empty where the firmware does not say or the PC never answered."""
    return Table(
        columns=(
            Column(_("PC")),
            Column(_("MODEL")),
            Column(_("SERIAL"), leaves=2),
            Column(_("CPU"), leaves=6),
            Column(_("MEMORY"), right=True, leaves=1),
            Column(_("DISK"), right=True, leaves=1),
            Column(_("SYSTEM"), leaves=5),
            Column(_("AGENT"), leaves=4),
            Column(_("MAC"), leaves=3),
            Column(_("ADDRESS")),
        ),
        rows=tuple(_row(item) for item in stations),
    )


def _row(item: dict[str, Any]) -> tuple[Cell, ...]:
    hardware = item["hardware"] or {}
    largest = max((disk["total"] for disk in item["disks"]), default=0)
    cores = f" ({hardware['cores']})" if hardware.get("cores") else ""
    return (
        Cell(item["id"], "bold"),
        Cell(" ".join(part for part in (hardware.get("vendor"), hardware.get("model")) if part)),
        Cell(hardware.get("serial", "")),
        Cell(hardware.get("cpu", "") + cores),
        Cell(size(hardware["memory"]) if hardware else ""),
        Cell(size(largest) if largest else ""),
        Cell(hardware.get("os", "")),
        Cell(item["version"]),
        Cell(", ".join(item["mac"])),
        Cell(item["address"]),
    )
