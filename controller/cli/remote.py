"""labctl --server HOST: the same command, run by labctl on that machine, over ssh.

ssh is the program of the system, so its keys, agent and known hosts are the
technician's own, and labctl never handles a secret.
"""

import shlex
import subprocess
import sys
from collections.abc import Sequence

import typer

from controller.cli.errors import Failure
from controller.cli.i18n import LANGUAGE, _

SSH_FAILED = 255


def run(host: str, arguments: Sequence[str]) -> int:
    """Runs `labctl ARGUMENTS` on `host` and returns its exit code; raises Failure where ssh itself fails."""
    if not host or host.startswith("-"):
        raise typer.BadParameter(
            _("'{host}' cannot be a server's name: write NAME or USER@ADDRESS, as for ssh.").format(host=host)
        )
    terminal = ["-t"] if sys.stdin.isatty() and sys.stdout.isatty() else []
    # sshd takes at most LANG and LC_*, and only where both sides are configured to
    command = shlex.join(["env", f"LANGUAGE={LANGUAGE}", "labctl", *arguments])
    try:
        code = subprocess.run(["ssh", *terminal, "--", host, command], check=False).returncode
    except FileNotFoundError:
        raise Failure(
            _("there is no ssh on this machine."), _("Install it: apt install openssh-client")
        ) from None
    if code == SSH_FAILED:
        raise Failure(
            _("ssh could not reach {host}; its own words are above.").format(host=host),
            _("Try `ssh {host}` alone until that works.").format(host=host),
        )
    if code == 127:
        raise Failure(
            _("there is no labctl on {host}.").format(host=host),
            _("Name the server of the lab, where it is installed."),
        )
    return code
