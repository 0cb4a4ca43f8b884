"""What the commands that name a PC share: a check of the name, and a guess where it is not known."""

from typing import Any

import typer

from contract.identity import is_label
from controller.cli.client import ANSWER_S, Door, Refused, door
from controller.cli.errors import Failure
from controller.cli.i18n import _
from controller.cli.render import closest, listed


def ids(lab: Door) -> list[str]:
    """The PCs of the lab by id; empty where the controller does not say."""
    try:
        return [str(station["id"]) for station in lab.get("/v1/status")["stations"]]
    except (Failure, KeyError, TypeError):
        return []


def profiles(lab: Door) -> list[str]:
    """The profiles by name; empty where the controller does not say."""
    try:
        return [str(profile["name"]) for profile in lab.get("/v1/profiles")["profiles"]]
    except (Failure, KeyError, TypeError):
        return []


def station(text: str) -> str:
    """Parser of an argument that names a PC. PCs have lower-case names; a capital is forgiven."""
    name = text.lower()
    if not is_label(name):
        raise typer.BadParameter(
            _("'{text}' cannot be a PC's name: up to 32 of a-z, 0-9 and hyphens, as in pc-03.").format(
                text=text
            )
        )
    return name


def with_guess(refused: Refused, name: str, names: list[str]) -> Failure:
    """The refusal, with what was probably meant if `name` is not one of `names`."""
    if refused.status != 404 or not names or name in names:
        return refused
    guess = closest(name, names)
    hint = (
        _("Did you mean {guess}?").format(guess=guess)
        if guess
        else _("There are: {names}.").format(names=listed(sorted(names)))
    )
    return Failure(refused.message, hint)


def complete_station(ctx: typer.Context, incomplete: str) -> list[str]:
    """For the shell's completion: PCs that begin so."""
    return [name for name in ids(door(ctx)) if name.startswith(incomplete)]


def complete_profile(ctx: typer.Context, incomplete: str) -> list[str]:
    """For the shell's completion: profiles that begin so."""
    return [name for name in profiles(door(ctx)) if name.startswith(incomplete)]


def about_station(
    lab: Door,
    method: str,
    name: str,
    action: str,
    body: dict[str, Any] | None = None,
    *,
    answer_s: float = ANSWER_S,
) -> dict[str, Any]:
    """GET or POST /v1/stations/NAME/ACTION, with a guess where there is no such PC."""
    target = f"/v1/stations/{name}/{action}"
    try:
        return lab.get(target) if method == "GET" else lab.post(target, body or {}, answer_s)
    except Refused as refused:
        raise with_guess(refused, name, ids(lab)) from None


def about_profile(lab: Door, name: str, action: str, body: dict[str, Any], answer_s: float) -> dict[str, Any]:
    """POST /v1/profiles/NAME/ACTION, with a guess where there is no such profile."""
    try:
        return lab.post(f"/v1/profiles/{name}/{action}", body, answer_s)
    except Refused as refused:
        raise with_guess(refused, name, profiles(lab)) from None
