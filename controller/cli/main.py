"""labctl: what a technician says to the lab. One module for each noun, imported when it is called."""

import contextlib
import io
import os
import sys
from importlib import import_module
from typing import Annotated

import click
import typer

# Typer has it for apps that bring its own --show-completion, and exports it nowhere.
from typer.completion import completion_init  # type: ignore[attr-defined]

from controller.cli.apps import STYLE, Group
from controller.cli.client import DEFAULT_DOOR
from controller.cli.errors import report_bug
from controller.cli.i18n import _

NOUNS = {
    "init": "init",
    "discover": "discover",
    "pair": "pair",
    "unpair": "unpair",
    "status": "status",
    "session": "session",
    "call": "call",
    "payment": "payment",
    "inventory": "inventory",
    "profile": "profile",
    "services": "services",
    "group": "group",
    "boot": "boot",
    "doctor": "doctor",
    "completion": "completion",
}
"""Each noun and the module of this package that has its `app`, in the order of the help."""


class Nouns(Group):
    """The root group: knows every noun by name, and imports the module of the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The nouns."""
        return list(NOUNS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The noun's command, from its module."""
        if cmd_name not in NOUNS:
            return None
        module = import_module(f"controller.cli.{NOUNS[cmd_name]}")
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Hands the whole command to labctl on another machine where --server names one."""
        if ctx.params["server"]:
            from controller.cli.remote import run

            ctx.exit(run(ctx.params["server"], args))
        return super().resolve_command(ctx, args)


def _version(wanted: bool) -> None:
    if wanted:
        from contract.version import VERSION

        click.echo(f"labctl {VERSION}")
        raise typer.Exit


app = typer.Typer(cls=Nouns, no_args_is_help=True, **STYLE)


@app.callback(help=_("Looks after a public computer lab: its PCs, and what they shall be."))
def _root(
    door: Annotated[
        str, typer.Option(metavar="SOCKET", envvar="LABCTL_DOOR", help=_("The controller's door."))
    ] = DEFAULT_DOOR,
    server: Annotated[
        str,
        typer.Option(metavar="HOST", help=_("Run the command over ssh on the lab's server instead of here.")),
    ] = "",
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help=_("Print the version and stop.")),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Entry point of `labctl`."""
    sys.excepthook = report_bug
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal of another alphabet gets "?", never a traceback
    if "_LABCTL_COMPLETE" in os.environ:  # set by the shell's script that `labctl completion` printed
        completion_init()
    try:
        typer.main.get_command(app).main(prog_name="labctl")
    finally:
        _flush()


def _flush() -> None:
    """Writes what is left while there is still somebody to blame; a reader that left is none."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
