"""`lab-agent`: the programs of one PC behind one name.

On a PC systemd runs `enforcer` (root) and `front` (user lab-agent) as two
units. `run --root PREFIX` runs both as the caller, with every file below the
prefix, which is how the agent is tried without a PC.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from agent.settings import Paths, Settings, SettingsError, load
from contract.version import VERSION

if TYPE_CHECKING:
    import argparse


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit code: 0 done, 1 failed, 2 wrong usage."""
    match sys.argv[1:] if argv is None else argv:
        case ["enforcer" | "front" as half]:  # as systemd starts them: each with half a megabyte less
            return _half(half, Paths(root=Path("/")))
        case words:
            arguments = _parser().parse_args(words)
    paths = Paths(root=arguments.root.resolve())
    match arguments.command:
        case "enforcer" | "front":
            return _half(arguments.command, paths)
        case "run":
            return _run(paths)
        case _:
            from agent import console  # noqa: PLC0415

            settings = _settings(paths)
            return 2 if settings is None else console.main(arguments, settings, paths)


def _half(name: str, paths: Paths) -> int:
    """One of the two, which brings what it needs: the front must not carry SQLite, nor the enforcer TLS."""
    settings = _settings(paths)
    if settings is None:
        return 2
    if name == "enforcer":
        from agent import enforcer  # noqa: PLC0415

        return enforcer.main(settings, paths)
    from agent import front  # noqa: PLC0415

    return front.main(settings, paths)


def _settings(paths: Paths) -> Settings | None:
    """The settings; None where they are wrong, which has been said."""
    try:
        return load(paths)
    except SettingsError as error:
        for problem in error.problems:
            sys.stderr.write(f"lab-agent: {problem}\n")
        return None


def _parser() -> "argparse.ArgumentParser":
    import argparse  # noqa: PLC0415

    from agent.words import _  # noqa: PLC0415  # only a person at the PC is spoken to

    parser = argparse.ArgumentParser(prog="lab-agent", description=_("The agent on a PC of the lab."))
    parser.add_argument("--version", action="version", version=f"lab-agent {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    told = {
        "enforcer": _("the root half: journal, plan, host (run by systemd)"),
        "front": _("the half with the network, without rights (run by systemd)"),
        "run": _("both halves as the caller, for a prefix"),
        "code": _("show the pairing code of this PC"),
        "plan": _("show what would be changed on this PC, and why; change nothing"),
        "unpair": _("forget the lab and put the PC back as it was"),
    }
    for name, text in told.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument(
            "--root", type=Path, default=Path("/"), metavar="PREFIX", help=_("keep all files below PREFIX")
        )
        if name == "plan":
            command.add_argument(
                "--desired", type=Path, metavar="FILE", help=_("plan for this document (JSON) instead")
            )
            command.add_argument("--json", action="store_true", help=_("print the plan for programs"))
    return parser


def _run(paths: Paths) -> int:
    """Both halves until one ends or a signal comes; then neither is left."""
    if paths.root == Path("/"):
        sys.stderr.write("lab-agent: run needs --root PREFIX; on a PC systemd runs the two halves\n")
        return 2
    import signal  # noqa: PLC0415
    import subprocess  # noqa: PLC0415

    halves = [
        subprocess.Popen((sys.executable, "-m", "agent.main", half, "--root", str(paths.root)))
        for half in ("enforcer", "front")
    ]

    def stop(_number: int, _frame: object) -> None:
        for half in halves:
            half.terminate()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    ended, status = os.wait()
    for half in halves:
        if half.pid != ended:
            half.terminate()
            half.wait()
    return 0 if os.waitstatus_to_exitcode(status) in (0, -signal.SIGTERM, -signal.SIGINT) else 1


if __name__ == "__main__":
    sys.exit(main())
