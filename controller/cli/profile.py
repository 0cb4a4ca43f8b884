"""labctl profile: what the PCs shall be, from the files to the PCs and back."""

from datetime import datetime
from typing import Annotated, Any

import typer

from controller.cli.apps import noun
from controller.cli.check import check
from controller.cli.client import ANSWER_S, Refused, door, understood
from controller.cli.errors import Code, Failure
from controller.cli.i18n import _
from controller.cli.progress import working
from controller.cli.render import (
    Cell,
    Column,
    Table,
    columns,
    instant,
    listed,
    moment,
    on_terminal,
    pcs,
    row,
    say,
    show,
    show_json,
    styled,
)
from controller.cli.stations import (
    about_profile,
    about_station,
    complete_profile,
    complete_station,
    profiles,
    station,
    with_guess,
)

app = noun(_("What the PCs shall be: profiles, and which PC has which."))

Name = Annotated[
    str,
    typer.Argument(metavar="NAME", autocompletion=complete_profile, help=_("The profile, as in citizen.")),
]
Why = Annotated[str, typer.Option(metavar="TEXT", help=_("Why, for the history."))]
Wait = Annotated[
    float,
    typer.Option(
        min=0, max=600, metavar="S", help=_("How many seconds to wait for the PCs; 0 is not at all.")
    ),
]
Json = Annotated[bool, typer.Option("--json", help=_("For programs."))]


@app.command("list", help=_("List the profiles, and who has them."))
def list_profiles(as_json: Json = False) -> None:
    """The command."""
    answer = door().get("/v1/profiles")
    if as_json:
        show_json(answer)
        return
    with understood():
        rows = tuple(
            (
                Cell(item["name"], "bold"),
                Cell(item["title"]),
                _published(item),
                Cell(", ".join(item["assigned"])),
                Cell(item["source"], "dim"),
            )
            for item in answer["profiles"]
        )
    titles = (
        Column(_("PROFILE")),
        Column(_("TITLE"), leaves=1),
        Column(_("PUBLISHED")),
        Column(_("ASSIGNED TO")),
        Column(_("FILE"), leaves=2),
    )
    show(Table(titles, rows))


def _published(item: dict[str, Any]) -> Cell:
    if item["published"] is None:
        return Cell(_("never"), "yellow")
    if item["edited"]:
        return Cell(_("{number}, edited since").format(number=item["published"]), "yellow")
    return Cell(str(item["published"]), "green")


@app.command("show", help=_("Print a profile, as written or with all it builds on."))
def show_profile(
    name: Name,
    resolved: Annotated[bool, typer.Option(help=_("With everything it builds on."))] = False,
    as_json: Json = False,
) -> None:
    """The command."""
    lab = door()
    try:
        answer = lab.get(f"/v1/profiles/{name}")
    except Refused as refused:
        raise with_guess(refused, name, profiles(lab)) from None
    with understood():
        text, whole = answer["yaml"], answer["resolved"]
    if as_json:
        show_json(answer)
    elif resolved:
        import yaml

        say(yaml.safe_dump(whole, allow_unicode=True, sort_keys=False).rstrip())
    else:
        say(text.rstrip("\n"))


app.command("check", help=_("Check the files: what is wrong, where, and what to write."))(check)


@app.command(help=_("Say what a publication would change on which PC."))
def diff(name: Name, as_json: Json = False) -> None:
    """The command."""
    with working(_("comparing")):
        answer = about_profile(door(), name, "diff", {}, ANSWER_S)
    if as_json:
        show_json(answer)
        return
    with understood():
        lines = diff_lines(answer["stations"])
    for line in lines:
        say(line)


def diff_lines(stations: list[dict[str, Any]]) -> list[str]:
    """The changes, each set of them once with the PCs it is for."""
    if not stations:
        return [_("No PC has this profile. To give it to one: labctl profile assign PROFILE PC")]
    alike: dict[tuple[tuple[str, str, str], ...], list[str]] = {}
    for item in stations:
        changes = tuple(
            (change["path"], _value(change["before"]), _value(change["after"])) for change in item["changes"]
        )
        alike.setdefault(changes, []).append(item["id"])
    lines = []
    for changes, names in alike.items():
        if not changes:
            lines.append(_("{pcs}: nothing changes").format(pcs=listed(names)))
            continue
        lines.append(f"{listed(names)}:")
        for path, before, after in changes:
            lines.append(f"  {path}")
            lines.append(styled(f"    - {before}", "red"))
            lines.append(styled(f"    + {after}", "green"))
    return lines


def _value(value: Any) -> str:
    """A setting's value on one line, in JSON's notation."""
    import json

    if value is None:
        return _("(unmanaged)")
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else text[:200] + " ..."


@app.command(help=_("Send the files as they are to every PC with the profile."))
def publish(name: Name, why: Why = "", wait: Wait = 30, as_json: Json = False) -> None:
    """The command."""
    with working(_("publishing {name} and waiting for the PCs").format(name=name)):
        answer = about_profile(door(), name, "publish", {"why": why, "wait_s": wait}, wait + ANSWER_S)
    _report(answer, as_json)


@app.command(help=_("Go back to an earlier publication of a profile."))
def rollback(
    name: Name,
    to: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help=_("Its number; the one before the current if left out.")),
    ] = None,
    why: Why = "",
    wait: Wait = 30,
    as_json: Json = False,
) -> None:
    """The command."""
    body: dict[str, Any] = {"why": why, "wait_s": wait} | ({} if to is None else {"to": to})
    with working(_("going back and waiting for the PCs")):
        answer = about_profile(door(), name, "rollback", body, wait + ANSWER_S)
    _report(answer, as_json)


@app.command(help=_("List the publications of a profile, newest first."))
def history(name: Name, as_json: Json = False) -> None:
    """The command."""
    lab = door()
    try:
        answer = lab.get(f"/v1/profiles/{name}/publications")
    except Refused as refused:
        raise with_guess(refused, name, profiles(lab)) from None
    if as_json:
        show_json(answer)
        return
    with understood():
        now = datetime.now().astimezone()
        rows = tuple(
            row(
                f"{item['number']}{' *' if item['current'] else ''}",
                moment(instant(item["at"]), now),
                item["who"],
                item["why"]
                or (_("back to {number}").format(number=item["rollback_of"]) if item["rollback_of"] else ""),
            )
            for item in answer["publications"]
        )
    if rows:
        show(Table(columns(_("NUMBER"), _("WHEN"), _("WHO"), _("WHY")), rows))
    else:
        say(_("It was never published. To do so: labctl profile publish {name}").format(name=name))


def target(text: str) -> str:
    """Parser of what a profile is assigned to: the lab, a group, or a PC (with or without "pc:")."""
    if text == "lab":
        return text
    kind, colon, name = text.partition(":")
    if not colon:
        return f"pc:{station(text)}"
    if kind not in ("pc", "group") or not name:
        raise typer.BadParameter(_("'{text}' is none of: lab, group:NAME, or a PC's name.").format(text=text))
    return f"{kind}:{station(name)}"


@app.command(help=_("Give a profile to the lab, a group or a PC. A PC's own wins, then its group's."))
def assign(
    name: Annotated[
        str,
        typer.Argument(
            metavar="PROFILE",
            autocompletion=complete_profile,
            help=_("The profile; none takes the assignment back."),
        ),
    ],
    to: Annotated[
        str,
        typer.Argument(
            metavar="lab|group:NAME|PC",
            parser=target,
            autocompletion=complete_station,
            help=_("Who shall have it."),
        ),
    ],
    wait: Wait = 30,
    as_json: Json = False,
) -> None:
    """The command."""
    body = {"target": to, "profile": None if name == "none" else name, "wait_s": wait}
    lab = door()
    try:
        with working(_("assigning and waiting for the PCs")):
            answer = lab.post("/v1/assignments", body, wait + ANSWER_S)
    except Refused as refused:
        known = profiles(lab)
        if name not in (*known, "none"):
            raise with_guess(refused, name, known) from None
        raise
    _report(answer, as_json)


def _report(answer: dict[str, Any], as_json: bool) -> None:
    """What came of it, PC by PC. Exit code 3 where a PC that is there has not done it."""
    with understood():
        lines = outcome(answer)
        code = outcome_code(answer)
    if as_json:
        show_json(answer)
    else:
        for line in lines:
            say(line)
    if code:
        raise typer.Exit(code)


def outcome(answer: dict[str, Any]) -> list[str]:
    """The sentences about a publication, a rollback or an assignment."""
    lines = [
        _("Publication {number}, revision {revision}.").format(
            number=answer["publication"], revision=answer["revision"]
        )
    ]
    if not answer["changed"]:
        lines.append(_("No PC has anything to change."))
    if answer["applied"]:
        names = listed(answer["applied"])
        lines.append(
            styled(_("Applied on {pcs}:").format(pcs=pcs(len(answer["applied"]))), "green") + f" {names}"
        )
    if answer["unchanged"]:
        names = listed(answer["unchanged"])
        lines.append(
            _("Nothing new for {pcs}: {names}").format(pcs=pcs(len(answer["unchanged"])), names=names)
        )
    for item in answer["waiting"]:
        if item["presence"] == "offline":
            sentence = _("{pc} is away: it gets it as soon as it is back.").format(pc=item["id"])
        else:
            sentence = _("{pc} has not applied it yet: {reason}").format(pc=item["id"], reason=item["reason"])
        lines.append(styled(sentence, "yellow"))
    for item in answer["failed"]:
        lines.append(
            styled(_("{pc} could not: {reason}").format(pc=item["id"], reason=item["reason"]), "red")
        )
    return lines


def outcome_code(answer: dict[str, Any]) -> Code:
    """3 where a PC failed or, being there, was late. One that is away is no failure: it gets it later."""
    late = any(item["presence"] != "offline" for item in answer["waiting"])
    return Code.SOME_FAILED if answer["failed"] or late else Code.DONE


@app.command(help=_("Say where each setting of a PC came from."))
def explain(
    pc: Annotated[
        str,
        typer.Argument(metavar="PC", parser=station, autocompletion=complete_station, help=_("Which PC.")),
    ],
    only: Annotated[
        str, typer.Argument(metavar="[TEXT]", help=_("Only settings that have this in path, value or layer."))
    ] = "",
    as_json: Json = False,
) -> None:
    """The command."""
    answer = about_station(door(), "GET", pc, "explain")
    with understood():
        settings = [item for item in answer["settings"] if _mentions(item, only.lower())]
        heading = _("{pc} has profile {profile}, revision {revision}.").format(
            pc=answer["id"], profile=answer["profile"], revision=answer["revision"]
        )
        rows = [(item["path"], _value(item["value"]), item["layer"], _place(item)) for item in settings]
    if as_json:
        show_json(answer | {"settings": settings})
        return
    if not rows:
        raise Failure(
            _("no setting of {pc} has '{text}' in it.").format(pc=pc, text=only),
            _("`labctl profile explain {pc}` lists them all.").format(pc=pc),
        )
    say(heading)
    if on_terminal():
        for path, value, layer, place in rows:  # a table of these is wider than any terminal
            say(f"{styled(path, 'cyan')} = {value}")
            say(f"    {layer}: {place}")
    else:
        titles = columns(_("SETTING"), _("FROM"), _("VALUE"), _("FILE"))
        show(Table(titles, tuple(row(path, layer, value, place) for path, value, layer, place in rows)))


def _place(item: dict[str, Any]) -> str:
    return f"{item['file']}:{item['line']}" if item["line"] else str(item["file"])


def _mentions(item: dict[str, Any], text: str) -> bool:
    return any(text in word.lower() for word in (item["path"], item["layer"], _value(item["value"])))
