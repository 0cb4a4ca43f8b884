"""labctl payment: what an operator says, and is told."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from controller import payment_models as pm
from tests.unit.cli.lab import NOW, Reciting, labctl, station


def test_the_payment_mode_opens_and_says_until_when(services: Reciting, door: Path) -> None:
    until = datetime(2026, 11, 24, 9, 41, 7, tzinfo=UTC)
    services.answers["open_payment"] = pm.PaymentOut(id="pc-03", until=until, reason="")
    asked = ("payment", "open", "PC-03", "--minutes", "20", "--why", "multa")
    done = labctl(*asked, door=door)
    assert (done.returncode, done.stdout) == (
        0,
        "The payment mode is open on pc-03 until 10:41:07. It closes by itself.\n",
    )
    assert services.calls == [("open_payment", "pc-03", 20, "multa", 15.0)]
    services.answers["open_payment"] = pm.PaymentOut(id="pc-03", until=None, reason="The disk is full.")
    done = labctl(*asked, door=door)
    assert done.returncode == 1
    assert "The disk is full." in done.stderr
    assert "labctl payment show pc-03" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--minutes", "0", "--why", "multa"),
        ("--minutes", "61", "--why", "multa"),
        ("--minutes", "20"),
        ("--why", "multa"),
        ("--minutes", "20", "--why", " "),
    ],
)
def test_a_payment_mode_without_end_or_reason_is_not_opened(
    services: Reciting, door: Path, arguments: tuple[str, ...]
) -> None:
    done = labctl("payment", "open", "pc-03", *arguments, door=door)
    assert done.returncode == 2
    assert services.calls == []
    assert "Traceback" not in done.stderr


def test_the_payment_mode_is_closed_only_when_the_pc_has_closed_it(services: Reciting, door: Path) -> None:
    services.answers["close_payment"] = pm.PaymentOut(id="pc-03", until=None, reason="")
    done = labctl("payment", "close", "pc-03", door=door)
    assert (done.returncode, done.stdout) == (0, "The payment mode is closed on pc-03.\n")
    services.answers["close_payment"] = pm.PaymentOut(id="pc-03", until=NOW, reason="")
    done = labctl("payment", "close", "pc-03", door=door)
    assert done.returncode == 1
    assert "has not closed" in done.stderr


def test_the_record_says_who_when_why_and_how_long(services: Reciting, door: Path) -> None:
    entry: dict[str, Any] = {"station": "pc-03", "who": "anna", "why": "multa", "minutes": 20}
    services.answers["payments"] = pm.Payments(
        open=[pm.PaymentOut(id="pc-03", until=NOW + timedelta(minutes=20), reason="")],
        record=[
            pm.PaymentEntry(**entry, at=NOW, outcome="opened", closed_at=None, closed_by=None),
            pm.PaymentEntry(
                **entry, at=NOW, outcome="opened", closed_at=NOW + timedelta(minutes=3), closed_by="bruno"
            ),
            pm.PaymentEntry(**entry, at=NOW, outcome="unknown", closed_at=None, closed_by=None),
        ],
    )
    done = labctl("payment", "show", door=door, LANG="it_IT.UTF-8", LANGUAGE="it")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "La modalità pagamento è aperta su pc-03 fino alle 10:41:07."
    assert [line.split()[3:6] for line in lines[2:]] == [["anna", "20", "aperta"]] + [
        ["anna", "20", word] for word in ("chiusa", "nessuna")
    ]
    assert "bruno" in lines[3]
    labctl("payment", "show", "pc-03", door=door)
    assert services.calls == [("payments", None), ("payments", "pc-03")]


def test_the_status_shows_where_somebody_pays(services: Reciting, door: Path) -> None:
    services.stations = [station(3, state="active", payment_until=NOW + timedelta(minutes=20))]
    done = labctl("status", door=door)
    assert "in use, payment" in done.stdout
    assert json.loads(labctl("status", "--json", door=door).stdout)["stations"][0]["payment_until"]
