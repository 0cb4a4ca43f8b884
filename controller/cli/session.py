"""labctl session: a citizen sits down, and gets up again."""

from typing import Annotated, Any

import typer

from controller.cli.apps import noun
from controller.cli.client import door, understood
from controller.cli.errors import Failure
from controller.cli.i18n import _, mark
from controller.cli.progress import working
from controller.cli.render import Cell, Table, columns, instant, moment, say, show, show_json
from controller.cli.stations import about_station, complete_station, station
from controller.cli.status import STATES

app = noun(_("Citizens' sessions: begin one, end one, see that nothing of it is left."))

PLACES = {
    "processes": mark("processes"),
    "files": mark("files of the citizen's account"),
    "changed-files": mark("files with the session's mark"),
    "shared-memory": mark("shared memory"),
    "screen": mark("screen and clipboard"),
    "print-jobs": mark("print jobs"),
}
"""What each place of a proof is called."""

SPOTS = {
    "home": mark("home"),
    "downloads": mark("downloads"),
    "tmp": mark("temporary files (/tmp)"),
    "var-tmp": mark("temporary files (/var/tmp)"),
    "runtime": mark("the session's folder in /run"),
    "shared-files": mark("shared files (/dev/shm)"),
    "shared-memory": mark("shared memory"),
    "semaphores": mark("semaphores"),
    "messages": mark("message queue (System V)"),
    "queue": mark("message queue (POSIX)"),
    "process": mark("a detached process"),
    "socket": mark("a socket"),
    "cookie": mark("the browser's cookies"),
    "local-storage": mark("the browser's local storage"),
    "clipboard": mark("clipboard"),
    "selection": mark("marked text"),
    "cut-buffer": mark("cut buffer"),
    "print-title": mark("title of a print job"),
}
"""Where a canary was planted."""

Pc = Annotated[
    str, typer.Argument(metavar="PC", parser=station, autocompletion=complete_station, help=_("Which."))
]
Wait = Annotated[float, typer.Option(metavar="SECONDS", min=0, max=600, help=_("Wait so long for the PC."))]
AsJson = Annotated[bool, typer.Option("--json", help=_("For programs."))]


@app.command(help=_("Begin a session: the browser opens on the start page."))
def start(pc: Pc, wait: Wait = 15, as_json: AsJson = False) -> None:
    """The command."""
    answer = _ask(pc, "start", wait, _("starting a session on {pc}").format(pc=pc))
    if as_json:
        show_json(answer)
    with understood():
        state = answer["state"]
    if state != "active":
        raise Failure(
            _("the session on {pc} has not started: the PC is {state}.").format(pc=pc, state=_word(state)),
            _("See how it is: labctl status"),
        )
    if not as_json:
        say(_("A session has begun on {pc}.").format(pc=pc))


@app.command(help=_("End a session: the PC is wiped, and proves it, before anybody else gets it."))
def end(pc: Pc, wait: Wait = 60, as_json: AsJson = False) -> None:
    """The command."""
    answer = _ask(pc, "end", wait, _("ending the session on {pc}, wiping").format(pc=pc))
    if as_json:
        show_json(answer)
    with understood():
        state, wipe = answer["state"], answer["wipe"]
        clean = state == "available" and wipe is not None and wipe["clean"] is True
    if not clean:
        raise Failure(
            _("{pc} is not proved clean: it is {state}.").format(pc=pc, state=_word(state)),
            _("What is left: labctl session show {pc}").format(pc=pc),
        )
    if not as_json:
        say(
            _("The session on {pc} has ended. Wiped and proved in {seconds:.1f} s.").format(
                pc=pc, seconds=wipe["seconds"]
            )
        )


@app.command("show", help=_("Show a PC's state, and the proof of its last wipe."))
def show_session(pc: Pc, as_json: AsJson = False) -> None:
    """The command."""
    answer = about_station(door(), "GET", pc, "session")
    if as_json:
        show_json(answer)
        return
    with understood():
        say(f"{pc}: {_word(answer['state'])}")
        if answer["wipe"] is None:
            say(_("There is no proof of a wipe."))
            return
        _show_proof(answer["wipe"])


def _show_proof(wipe: dict[str, Any]) -> None:
    at = instant(wipe["at"])
    text = _("Clean: proved at {time}, in {seconds:.1f} s.") if wipe["clean"] else _("NOT CLEAN at {time}.")
    say(text.format(time=moment(at, at), seconds=wipe["seconds"]))
    rows = tuple(_looked(one) for one in wipe["looked"])
    show(Table(columns(_("LOOKED AT"), _("FOUND"), _("LEFT"), _("WHERE")), rows))
    if wipe["canaries"]:
        rows = tuple(_canary(one) for one in wipe["canaries"])
        show(Table(columns(_("CANARY IN"), _("AT THE END"), _("AFTER THE WIPE")), rows))
        if not all(one["seen"] for one in wipe["canaries"]):
            say(_("A canary that was not there proves nothing of its place; everything else was looked at."))


def _looked(one: dict[str, Any]) -> tuple[Cell, ...]:
    name = PLACES.get(one["place"], one["place"])
    left = Cell(str(one["left"]), "red" if one["left"] else "green")
    return (Cell(_(name)), Cell(str(one["found"])), left, Cell(", ".join(one["where"])))


def _canary(one: dict[str, Any]) -> tuple[Cell, ...]:
    name = SPOTS.get(one["spot"], one["spot"])
    seen = Cell(_("there"), "green") if one["seen"] else Cell(_("not there"), "yellow")
    left = Cell(_("STILL THERE"), "red") if one["left"] else Cell(_("gone") if one["seen"] else "-")
    return (Cell(_(name)), seen, left)


def _ask(pc: str, verb: str, wait: float, sentence: str) -> dict[str, Any]:
    with working(sentence):
        return about_station(door(), "POST", pc, f"session/{verb}", {"wait_s": wait}, answer_s=wait + 30)


def _word(state: str) -> str:
    return _(STATES[state][0]) if state in STATES else state
