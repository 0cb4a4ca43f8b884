"""labctl doctor: the server's own health, and what to do about it."""

from typing import Annotated, Any

import typer

from controller.cli.apps import alone
from controller.cli.client import door, understood
from controller.cli.errors import Code, Failure
from controller.cli.i18n import _, mark
from controller.cli.progress import working
from controller.cli.render import day_and_hour, instant, say, show_json, sign, styled

app = alone()


@app.command(help=_("Check the server: is all there, and healthy."))
def doctor(
    rekey: Annotated[
        bool,
        typer.Option(
            "--rekey",
            help=_("First give the server a new key, as when somebody may have the old one."),
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help=_("For programs."))] = False,
) -> None:
    """The command. A check that fails makes the exit code 1; after --rekey 0 says that there is a new key."""
    checks = _rekeyed() if rekey else _door_check()
    if rekey and not as_json:
        say(_("The server has a new key. Every PC stays paired, and refuses the old key."))
    if as_json:
        show_json({"checks": checks})
    else:
        with understood():
            lines = [line for check in checks for line in _lines(check)]
        for line in lines:
            say(line)
    if not rekey and any(check.get("ok") is False for check in checks):
        raise typer.Exit(Code.FAILED)


def _rekeyed() -> list[dict[str, Any]]:
    with working(_("making a new key")), understood():
        return [dict(found) for found in door().post("/v1/rekey", {})["checks"]]


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
    if check.get("at"):
        lines[0] += " " + _("It says {time}.").format(time=day_and_hour(instant(check["at"])))
    if check["hint"] and not check["ok"]:
        lines.append(f"    {check['hint']}")
    return lines
