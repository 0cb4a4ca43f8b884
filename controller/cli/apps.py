"""How every noun of labctl is made: a Typer app in the house's style."""

from typing import Any

import click
import typer
import typer.core
from typer.core import TyperGroup

from controller.cli.i18n import _

# Where rich is installed, Typer 0.20.1 imports it for every --help and escapes the help for it,
# even in the plain mode that STYLE asks for ("\\[required]" on the screen). Typer is pinned exactly.
typer.core.HAS_RICH = False


class Group(TyperGroup):
    """A Typer group that guesses in the technician's language what a misspelt command was to be."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """click's, with the suggestion added."""
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            from controller.cli.render import closest

            guess = closest(name, self.list_commands(ctx))
            meant = _(" Did you mean '{guess}'?").format(guess=guess) if guess else ""
            ctx.fail(_("No such command '{name}'.").format(name=name) + meant)
        return super().resolve_command(ctx, args)


STYLE: dict[str, Any] = {
    "rich_markup_mode": None,  # rich would be imported to print an error
    "pretty_exceptions_enable": False,
    "add_completion": False,  # `labctl completion` prints it; Typer's own looks for the shell each time
    "suggest_commands": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}


def noun(help: str) -> typer.Typer:
    """An app for a noun with verbs."""
    app = typer.Typer(cls=Group, help=help, no_args_is_help=True, **STYLE)
    app.callback()(lambda: None)  # so that one verb alone still is a verb
    return app


def alone() -> typer.Typer:
    """An app for a noun that is a command itself."""
    return typer.Typer(**STYLE)
