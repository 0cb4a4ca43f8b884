"""labctl payment: for some minutes a citizen's card may be confirmed on its bank's own page."""

from typing import Annotated, Any

import typer

from contract.payment import LEAST_S, MOST_S
from controller.cli.apps import noun
from controller.cli.client import door, understood
from controller.cli.errors import Failure
from controller.cli.i18n import _, mark
from controller.cli.progress import working
from controller.cli.render import Cell, Table, columns, day_and_hour, instant, moment, say, show, show_json
from controller.cli.stations import about_station, complete_station, station

app = noun(_("Payment mode: for some minutes one PC also reaches the pages where banks confirm cards."))

OUTCOMES = {
    "asked": mark("no answer yet"),
    "opened": mark("opened"),
    "refused": mark("the PC refused"),
    "unknown": mark("no answer"),
}
"""What came of an order."""

WHY_MOST = 200


def _reason(text: str) -> str:
    """What for, as it is kept."""
    if not text.strip() or len(text) > WHY_MOST:
        raise typer.BadParameter(
            _('say what for in 1 to {count} characters, as "a fine of the comune"').format(count=WHY_MOST)
        )
    return text.strip()


Pc = Annotated[
    str, typer.Argument(metavar="PC", parser=station, autocompletion=complete_station, help=_("Which."))
]
AnyPc = Annotated[
    str | None,
    typer.Argument(
        metavar="[PC]",
        parser=station,
        autocompletion=complete_station,
        show_default=False,
        help=_("Which; all if none is named."),
    ),
]
Wait = Annotated[float, typer.Option(metavar="SECONDS", min=0, max=600, help=_("Wait so long for the PC."))]
AsJson = Annotated[bool, typer.Option("--json", help=_("For programs."))]


@app.command(
    "open", help=_("Open it for who sits at the PC now. It closes by itself, and with the citizen's session.")
)
def open_payment(
    pc: Pc,
    minutes: Annotated[
        int,
        typer.Option(
            metavar="N", min=LEAST_S // 60, max=MOST_S // 60, help=_("For so many; once more prolongs it.")
        ),
    ],
    why: Annotated[
        str,
        typer.Option(
            metavar="TEXT", parser=_reason, help=_("What for, in a few words that are kept: no names.")
        ),
    ],
    wait: Wait = 15,
    as_json: AsJson = False,
) -> None:
    """The command."""
    body = {"minutes": minutes, "why": why}
    answer = _ask(pc, "open", body, wait, _("opening the payment mode on {pc}").format(pc=pc))
    if as_json:
        show_json(answer)
    with understood():
        until, reason = answer["until"], answer["reason"]
        end = None if until is None else instant(until)
    if end is None:
        raise Failure(
            reason or _("{pc} has not opened its payment mode yet.").format(pc=pc),
            _("See how it is: labctl payment show {pc}").format(pc=pc),
        )
    if not as_json:
        text = _("The payment mode is open on {pc} until {time}. It closes by itself.")
        say(text.format(pc=pc, time=moment(end, end)))


@app.command(help=_("Close it before its time."))
def close(pc: Pc, wait: Wait = 15, as_json: AsJson = False) -> None:
    """The command."""
    answer = _ask(pc, "close", {}, wait, _("closing the payment mode on {pc}").format(pc=pc))
    if as_json:
        show_json(answer)
    with understood():
        until, reason = answer["until"], answer["reason"]
    if until is not None:
        raise Failure(
            reason or _("{pc} has not closed its payment mode yet.").format(pc=pc),
            _("See how it is: labctl payment show {pc}").format(pc=pc),
        )
    if not as_json:
        say(_("The payment mode is closed on {pc}.").format(pc=pc))


@app.command("show", help=_("Show where it is open, and who opened it when, why and for how long."))
def show_payments(pc: AnyPc = None, as_json: AsJson = False) -> None:
    """The command."""
    answer = about_station(door(), "GET", pc, "payment") if pc else door().get("/v1/payments")
    if as_json:
        show_json(answer)
        return
    with understood():
        for one in answer["open"]:
            end = instant(one["until"])
            say(
                _("The payment mode is open on {pc} until {time}.").format(
                    pc=one["id"], time=moment(end, end)
                )
            )
        if not answer["open"]:
            say(_("The payment mode is closed."))
        if answer["record"]:
            heads = columns(_("WHEN"), _("PC"), _("WHO"), _("MINUTES"), _("CAME OF IT"), _("WHY"))
            show(Table(heads, tuple(_entry(one) for one in answer["record"])))


def _entry(one: dict[str, Any]) -> tuple[Cell, ...]:
    word = OUTCOMES.get(one["outcome"])
    outcome = one["outcome"] if word is None else _(word)
    if one["closed_at"] is not None:
        at = instant(one["closed_at"])
        outcome = _("closed at {time} by {who}").format(time=moment(at, at), who=one["closed_by"])
    when = day_and_hour(instant(one["at"]))
    texts = (when, one["station"], one["who"], str(one["minutes"]), outcome, one["why"])
    return tuple(Cell(text) for text in texts)


def _ask(pc: str, verb: str, body: dict[str, Any], wait: float, sentence: str) -> dict[str, Any]:
    with working(sentence):
        return about_station(
            door(), "POST", pc, f"payment/{verb}", {**body, "wait_s": wait}, answer_s=wait + 30
        )
