"""labctl group: PCs that are spoken of together, as "reading-room" or "courses"."""

from typing import Annotated

import typer

from contract.identity import is_label
from controller.cli.apps import noun
from controller.cli.client import door, understood
from controller.cli.errors import Failure
from controller.cli.i18n import _
from controller.cli.render import Table, columns, listed, row, say, show, show_json
from controller.cli.stations import complete_station, ids, station

app = noun(_("Groups of PCs, which a profile can be assigned to."))


def name(text: str) -> str:
    """Parser of a group's name."""
    if not is_label(text):
        raise typer.BadParameter(
            _(
                "'{text}' cannot be a group's name: up to 32 of a-z, 0-9 and hyphens, as in reading-room."
            ).format(text=text)
        )
    return text


@app.command("list", help=_("List the groups."))
def list_groups(as_json: Annotated[bool, typer.Option("--json", help=_("For programs."))] = False) -> None:
    """The command."""
    answer = door().get("/v1/groups")
    if as_json:
        show_json(answer)
        return
    with understood():
        rows = tuple(
            row(group["name"], group["profile"], ", ".join(group["stations"])) for group in answer["groups"]
        )
    if rows:
        show(Table(columns(_("GROUP"), _("PROFILE"), _("PCS")), rows))
    else:
        say(_("There is no group yet. To make one: labctl group set NAME PC PC ..."))


@app.command("set", help=_("Say who is in a group from now on; without PCs, remove it."))
def set_group(
    group: Annotated[str, typer.Argument(metavar="GROUP", parser=name, help=_("The group's name."))],
    pcs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PC]...",
            parser=station,
            autocompletion=complete_station,
            help=_("Its PCs, all of them."),
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help=_("For programs."))] = False,
) -> None:
    """The command."""
    lab = door()
    members = list(dict.fromkeys(pcs or []))
    known = ids(lab)
    unknown = [pc for pc in members if known and pc not in known]
    if unknown:
        raise Failure(
            _("not in this lab: {pcs}.").format(pcs=", ".join(unknown)),
            _("There are: {names}.").format(names=listed(sorted(known))),
        )
    answer = lab.put(f"/v1/groups/{group}", {"stations": members})
    if as_json:
        show_json(answer)
        return
    with understood():
        inside, changed = answer["stations"], answer["changed"]
    if inside:
        say(_("{group}: {pcs}").format(group=group, pcs=", ".join(inside)))
    else:
        say(_("{group} is removed.").format(group=group))
    if changed:
        say(_("Gets a new revision by it: {pcs}").format(pcs=", ".join(changed)))
