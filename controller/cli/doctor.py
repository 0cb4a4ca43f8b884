"""labctl doctor: the server's own health, and what to do about it."""

from typing import Annotated, Any

import typer

from controller.cli.apps import alone
from controller.cli.client import door, understood
from controller.cli.errors import Code, Failure
from controller.cli.i18n import _, mark
from controller.cli.render import say, show_json, sign, styled

app = alone()


@app.command(help=_("Check the server: is all there, and healthy."))
def doctor(as_json: Annotated[bool, typer.Option("--json", help=_("For programs."))] = False) -> None:
    """The command. A check that fails makes the exit code 1."""
    checks = _door_check()
    if as_json:
        show_json({"checks": checks})
    else:
        with understood():
            lines = [line for check in checks for line in _lines(check)]
        for line in lines:
            say(line)
    if any(check.get("ok") is False for check in checks):
        raise typer.Exit(Code.FAILED)


def _door_check() -> list[dict[str, Any]]:
    """The controller's checks, after the one only we can make: does it answer."""
    lab = door()
    check = {
        "name": mark("door"),
        "ok": True,
        "message": _("the controller answers at {path}").format(path=lab.path),
        "hint": "",
    }
    try:
        with understood():
            return [check, *(dict(found) for found in lab.get("/v1/doctor")["checks"])]
    except Failure as failure:
        return [check | {"ok": False, "message": failure.message, "hint": failure.hint}]


def _lines(check: dict[str, Any]) -> list[str]:
    shown, style = {
        True: (sign("✓", "ok"), "green"),
        False: (sign("✗", "FAILED"), "red"),
        None: ("?", "yellow"),
    }[check["ok"]]
    lines = [f"{styled(shown, style)} {_(check['name'])}: {check['message']}"]
    if check["hint"] and not check["ok"]:
        lines.append(f"    {check['hint']}")
    return lines
