"""labctl status: the lab on one screen."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, NamedTuple

import typer

from controller.cli.apps import alone
from controller.cli.client import door, understood
from controller.cli.i18n import _, mark, ngettext
from controller.cli.render import (
    Cell,
    Column,
    Table,
    age,
    instant,
    moment,
    on_terminal,
    pcs,
    say,
    show,
    show_json,
    sign,
)

app = alone()

PRESENCE = {
    "online": (mark("online"), "green"),
    "stale": (mark("stale"), "yellow"),
    "offline": (mark("offline"), "red"),
}

STATES = {
    "unknown": (mark("unknown"), "dim"),
    "unpaired": (mark("unpaired"), "yellow"),
    "available": (mark("available"), "green"),
    "reserved": (mark("reserved"), "cyan"),
    "active": (mark("in use"), "cyan"),
    "warned": (mark("in use, ending"), "cyan"),
    "ending": (mark("ending"), "cyan"),
    "wiping": (mark("wiping"), "yellow"),
    "out-of-service": (mark("out of service"), "red"),
    "closed": (mark("closed"), "dim"),
    "maintenance": (mark("maintenance"), "yellow"),
}

CONDITIONS = {
    "Converged": mark("not as wanted"),
    "DiskPressure": mark("disk filling up"),
    "DiskSilent": mark("disk does not answer"),
    "MemoryPressure": mark("short of memory"),
    "Overheated": mark("too hot"),
    "ClockSkewed": mark("clock wrong"),
    "JournalFailed": mark("cannot write"),
    "DesiredRefused": mark("refused its settings"),
    "CertificateExpiring": mark("certificate ends"),
    "EnforcerLost": mark("agent broken"),
    "Unclean": mark("not wiped"),
    "SessionFailed": mark("session did not start"),
    "SessionFull": mark("session without room"),
    "HelpWanted": mark("somebody calls"),
    "BrowserUnchecked": mark("browser not checked"),
}
"""What each condition is called while it is bad; Converged is bad when false, the others when true."""


class Station(NamedTuple):
    """A PC's line, taken from the answer."""

    id: str
    presence: str
    age_s: float | None
    state: str
    profile: str
    desired: int
    applied: int
    load: float | None
    memory: float | None
    last_seen: datetime | None
    payment_until: datetime | None
    """The payment mode is open there until then."""
    troubles: tuple[tuple[str, str], ...]
    """(what it is called, sentence) of each bad condition, and of what stands between server and PC."""

    @property
    def well(self) -> bool:
        """Whether there is nothing to do about it."""
        return self.presence == "online" and self.desired == self.applied and not self.troubles


class Lab(NamedTuple):
    """An answer of /v1/status."""

    name: str
    at: datetime
    revision: int
    stations: tuple[Station, ...]


@app.command(help=_("Show every PC: is it there, is it right, what is wrong."))
def status(
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help=_("Keep it on the screen, live; q leaves."))
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help=_("For programs."))] = False,
) -> None:
    """The command."""
    if watch:
        from controller.cli.watch import follow

        follow(door(), as_json)
        return
    answer = door().get("/v1/status")
    if as_json:
        show_json(answer)
        return
    with understood():
        lab = read(answer)
    if not lab.stations:
        say(no_pcs())
    elif on_terminal():
        say(headline(lab))
        say()
        show(table(lab))
        say()
        for line in footer(lab):
            say(line)
    else:
        show(plain_table(lab))


def read(answer: dict[str, Any]) -> Lab:
    """The answer as a Lab. Raises KeyError, TypeError or ValueError where it is none."""
    return Lab(
        name=answer["name"] or answer["lab"],
        at=instant(answer["at"]),
        revision=answer["revision"],
        stations=tuple(_station(item) for item in answer["stations"]),
    )


def _station(item: dict[str, Any]) -> Station:
    seen = item["last_seen"]
    troubles = [
        (_called(condition["type"]), condition["message"])
        for condition in item["conditions"]
        if condition["status"] != (condition["type"] == "Converged")
    ]
    if item["note"]:
        troubles.append((_("see below"), item["note"]))
    return Station(
        id=item["id"],
        presence=item["presence"],
        age_s=item["age_s"],
        state=item["state"],
        profile=item["profile"],
        desired=item["desired"],
        applied=item["applied"],
        load=item["load"],
        memory=item["memory"],
        last_seen=None if seen is None else instant(seen),
        payment_until=None if item["payment_until"] is None else instant(item["payment_until"]),
        troubles=tuple(troubles),
    )


def _called(kind: str) -> str:
    """What a condition is called; its own name where a newer agent knows one that we do not."""
    words = CONDITIONS.get(kind)
    return kind if words is None else _(words)


def no_pcs() -> str:
    """What an empty lab says."""
    return _(
        "There is no PC in this lab yet. `labctl discover` shows which are there, `labctl pair` takes one in."
    )


def headline(lab: Lab) -> str:
    """The line above the table."""
    return _("{lab}, revision {revision}, {time}").format(
        lab=lab.name, revision=lab.revision, time=moment(lab.at, lab.at)
    )


def footer(lab: Lab) -> list[str]:
    """The lines under the table: how many are well, and what to look at, PC by PC."""
    well = sum(station.well for station in lab.stations)
    there = sum(station.presence == "online" for station in lab.stations)
    lines = [
        _("{pcs}: {there} online, {well} as they shall be.").format(
            pcs=pcs(len(lab.stations)), there=there, well=well
        )
    ]
    lines += [
        _("{pc}: payment mode until {time}.").format(
            pc=station.id, time=moment(station.payment_until, station.payment_until)
        )
        for station in lab.stations
        if station.payment_until is not None
    ]
    lines += [f"{station.id}: {text}" for station in lab.stations for _name, text in station.troubles]
    behind = sum(station.desired != station.applied for station in lab.stations)
    if behind:
        lines.append(
            ngettext(
                "{count} PC has not applied its newest revision yet.",
                "{count} PCs have not applied their newest revision yet.",
                behind,
            ).format(count=behind)
        )
    return lines


def table(lab: Lab) -> Table:
    """The table for a terminal, ten PCs in 80 by 24."""
    return Table(
        columns=(
            Column(_("PC")),
            Column(_("PRESENCE"), leaves=1),
            Column(_("STATE"), leaves=3),
            Column(_("PROFILE"), leaves=6),
            Column(_("REVISION"), leaves=2),
            Column(_("LOAD"), right=True, leaves=5),
            Column(_("MEM"), right=True, leaves=7),
            Column(_("SEEN"), leaves=4),
            Column(_("CONDITIONS")),
        ),
        rows=tuple(
            (
                Cell(station.id, "bold"),
                _presence(station, with_age=True),
                _state(station),
                Cell(station.profile),
                _revision(station),
                _load(station),
                _memory(station),
                Cell(moment(station.last_seen, lab.at), "dim"),
                _conditions(station),
            )
            for station in lab.stations
        ),
    )


def plain_table(lab: Lab) -> Table:
    """The table for a pipe: nothing left out, the age in a column of its own."""
    return Table(
        columns=(
            Column(_("PC")),
            Column(_("PRESENCE")),
            Column(_("AGE")),
            Column(_("STATE")),
            Column(_("PROFILE")),
            Column(_("REVISION")),
            Column(_("LOAD"), right=True),
            Column(_("MEM"), right=True),
            Column(_("SEEN")),
            Column(_("CONDITIONS")),
        ),
        rows=tuple(
            (
                Cell(station.id),
                _presence(station, with_age=False),
                Cell("" if station.age_s is None else age(station.age_s)),
                _state(station),
                Cell(station.profile),
                _revision(station),
                _load(station),
                _memory(station),
                Cell(moment(station.last_seen, lab.at)),
                _conditions(station),
            )
            for station in lab.stations
        ),
    )


def _presence(station: Station, with_age: bool) -> Cell:
    word, style = PRESENCE.get(station.presence, (station.presence, ""))
    late = with_age and station.presence != "online" and station.age_s is not None
    return Cell(f"{_(word)} {age(station.age_s or 0)}" if late else _(word), style)


def _state(station: Station) -> Cell:
    word, style = STATES.get(station.state, (station.state, ""))
    text = _(word) if station.payment_until is None else _("{state}, payment").format(state=_(word))
    return Cell(text, "dim" if station.presence == "offline" else style)


def _revision(station: Station) -> Cell:
    if not station.desired:
        return Cell("")
    if station.desired == station.applied:
        return Cell(str(station.applied), "green")
    return Cell(f"{station.applied or '-'} {sign('→', '->')} {station.desired}", "yellow")


def _load(station: Station) -> Cell:
    return Cell("" if station.load is None else f"{station.load:.2f}")


def _memory(station: Station) -> Cell:
    if station.memory is None:
        return Cell("")
    return Cell(f"{station.memory:.0%}", "yellow" if station.memory > 0.9 else "")


def _conditions(station: Station) -> Cell:
    return Cell(", ".join(_unique(name for name, _text in station.troubles)), "red")


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
