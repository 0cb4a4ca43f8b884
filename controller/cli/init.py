"""labctl init: make the lab, once, on its server."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import click
import typer

from contract.identity import is_label
from controller.cli.apps import alone
from controller.cli.errors import Failure
from controller.cli.i18n import _
from controller.cli.progress import working
from controller.cli.render import say
from controller.paths import Paths

app = alone()


def lab_id(text: str) -> str:
    """Parser of a lab's id."""
    if not is_label(text):
        raise typer.BadParameter(
            _("'{text}' cannot be a lab's id: up to 32 of a-z, 0-9 and hyphens, as in fontana.").format(
                text=text
            )
        )
    return text


@app.command(help=_("Make the lab on this server: its keys, database, settings."))
def init(
    lab: Annotated[
        str | None,
        typer.Option(metavar="ID", parser=lab_id, help=_("Names the lab in its certificates; for good.")),
    ] = None,
    name: Annotated[str, typer.Option(metavar="TEXT", help=_("What people read."))] = "",
    comune: Annotated[str, typer.Option(metavar="TEXT", help=_("The municipality."))] = "",
    root: Annotated[
        Path, typer.Option(metavar="PREFIX", help=_("Make it below this folder, for a rehearsal."))
    ] = Path("/"),
) -> None:
    """The command. Again, it makes what is missing and leaves the rest."""
    from controller.init import InitError, init_lab

    paths = Paths(root.absolute())
    if not lab and not paths.settings.exists():
        lab = _ask_id()
    try:
        with working(_("making the keys")):
            made = init_lab(paths, lab or "", name, comune, datetime.now(UTC))
    except InitError as error:
        raise Failure(
            _("the lab cannot be made: {reason}").format(reason=str(error)),
            _("Put that right and run it again: what was made so far stays, the rest follows."),
        ) from None
    for place in made.made:
        say(_("made {path}").format(path=place))
    if not made.made:
        say(_("The lab {lab} is made already; nothing was changed.").format(lab=made.settings.lab.id))
        return
    say(
        _("This is the lab {lab}. Its settings: {path}").format(lab=made.settings.lab.id, path=paths.settings)
    )
    say(_("Next: systemctl enable --now lab-controller, then labctl discover"))


def _ask_id() -> str:
    """The id from a person; there is none to guess it from."""
    if not sys.stdin.isatty():
        raise click.UsageError(_("a new lab needs an id: labctl init --lab ID --comune NAME"))
    return str(typer.prompt(_("A short id for the lab, as in fontana"), value_proc=lab_id))
