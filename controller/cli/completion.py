"""labctl completion: the script that teaches a shell labctl's commands, PCs and profiles."""

from enum import StrEnum
from typing import Annotated

import typer

from controller.cli.apps import alone
from controller.cli.i18n import _
from controller.cli.render import say

app = alone()


class Shell(StrEnum):
    """The shells there is a script for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


@app.command(
    help=_("Print a shell's completion script. As in: labctl completion bash > /etc/bash_completion.d/labctl")
)
def completion(
    shell: Annotated[Shell, typer.Argument(metavar="bash|zsh|fish", help=_("Which shell."))],
) -> None:
    """The command."""
    # Typer has it for its own --show-completion and exports it nowhere.
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    say(get_completion_script(prog_name="labctl", complete_var="_LABCTL_COMPLETE", shell=shell.value))
