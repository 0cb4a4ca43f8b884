"""Each reader is answered in the reader's own language, at the same time as others in theirs."""

import os
import subprocess
import sys
import threading

import pytest

from contract.sentence import sentence
from contract.status import Condition
from controller.core.asking import Refused
from controller.core.fleet import Hearing, Presence
from controller.failures import Address
from controller.live import Seen, View
from controller.views import show_status, standing
from controller.words import _, preferred, speaking
from tests.unit.controller.facts import AT, answer, report

WHY = sentence("cannot write {path}: {why}", path="/etc/x", why=sentence("No space left on device"))
BROKEN = Condition("Converged", False, "ActionFailed", WHY, AT)
VIEW = View(
    "pc-01",
    Presence.ONLINE,
    Seen(
        Hearing(),
        Address("10.0.0.3"),
        AT,
        answer(status=report(conditions=(BROKEN,), desired_revision=6)),
        refused=Refused(7, sentence("the lab's signature is not under it")),
    ),
    1.0,
    sentence("Nothing listens at {address}.", address="10.0.0.3:7443"),
)


@pytest.mark.parametrize(
    ("header", "due"),
    [
        ("it", "it"),
        ("en", "en"),
        ("it-IT, en;q=0.8", "it"),
        ("de, en;q=0.3, it;q=0.7", "it"),
        ("EN-gb", "en"),
        ("it;q=0, en;q=0.1", "en"),
        ("de", None),
        ("*", None),
        ("", None),
        ("it;q=many", None),
        (",;,;;q=,\x1b[2J", None),
    ],
)
def test_which_language_a_header_likes_best(header: str, due: str | None) -> None:
    assert preferred(header) == due


def test_what_a_pc_said_is_shown_in_the_reader_s_language() -> None:
    with speaking("it"):
        shown = show_status(VIEW, "citizen", 7)
        assert shown.conditions[0].message == "non si può scrivere /etc/x: spazio esaurito sul disco"
        assert shown.note == "A 10.0.0.3:7443 non ascolta nessuno."
        assert standing(VIEW, 7, None).reason == "non porta la firma del laboratorio"
    with speaking("en"):
        assert show_status(VIEW, "citizen", 7).conditions[0].message == str(WHY)


def test_two_readers_at_once() -> None:
    said: dict[str, str] = {}
    both = threading.Barrier(2)

    def read(language: str) -> None:
        with speaking(language):
            both.wait(30)
            said[language] = _("It is applying it.")
            both.wait(30)

    threads = [threading.Thread(target=read, args=(language,)) for language in ("it", "en")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert said["en"] == "It is applying it."
    assert said["it"] != said["en"]


@pytest.mark.parametrize(("language", "word"), [("it", "disco"), ("en", "device"), ("", "device")])
def test_where_nobody_asks_it_is_the_lab_s(language: str, word: str) -> None:
    """As in the log; the controller sets LANGUAGE to what its settings say."""
    told = "from controller.words import _; print(_('No space left on device'))"
    done = subprocess.run(
        [sys.executable, "-c", told],
        env={"PATH": os.environ["PATH"], "LANGUAGE": language, "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert word in done.stdout
