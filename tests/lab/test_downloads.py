"""A download that policy refuses is told by the bar: a real Chromium, real pages, in the citizen's language.

The control is the same page where the profile allows downloads: the file is there, and nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab.breakouts.world import INSIDE, Page, known, world
from tests.lab.kiosk import Kiosk, kiosk
from tests.lab.rig import Machine
from tests.lab.rig.host import say, wait_until
from tests.lab.screen import SIZE, WHITE, YELLOW, Screen
from tests.lab.site import Site, wait_for
from tests.lab.test_bar import START, Door, door_of, read_aloud

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]

FOLDER = "/home/kiosk/Downloads"
REFUSALS = {
    "it": "Questo file non si può scaricare qui. Chiama l'operatore.",
    "en": "This file may not be downloaded here. Call the operator.",
    "ro": "Acest fișier nu poate fi descărcat aici. Cheamă operatorul.",
}
_ATTACHMENT = {"Content-Disposition": "attachment"}
_CLICKED = """<!doctype html><html lang="it"><meta charset="utf-8"><title>Modulo</title><body><script>
document.onclick = () => {{ const link = document.createElement("a"); link.href = {0};
  link.download = "modulo.txt"; link.click() }}</script>"""
PAGES: Mapping[str, Page] = {
    "/elenco.bin": ("application/octet-stream", _ATTACHMENT, "x" * 9),
    "/grande.zip": ("application/zip", _ATTACHMENT, "x" * 20_000_000),
    "/programma.sh": ("text/x-sh", _ATTACHMENT, "echo x"),
    "/attributo": ("text/html", {}, _CLICKED.format("'/elenco.bin'")),
    "/data": ("text/html", {}, _CLICKED.format("'data:application/octet-stream,prova'")),
    "/blob": ("text/html", {}, _CLICKED.format("URL.createObjectURL(new Blob(['prova']))")),
}
FILES, CLICKS = ("/elenco.bin", "/grande.zip", "/programma.sh"), ("/attributo", "/data", "/blob")
LAYER = f"allow: [.{INSIDE}]\n"
