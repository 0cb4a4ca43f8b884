"""What comes from a stick, under which name, and what the citizen reads of it."""

import unicodedata
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.stick import (
    BEGINNINGS,
    NAME_BYTES,
    Left,
    Phase,
    Problem,
    Report,
    Way,
    agrees,
    clean_name,
    free_name,
    kind_of,
    rules,
    told,
)
from contract.desired import DocumentKind, Storage

ALL: tuple[DocumentKind, ...] = get_args(DocumentKind)
names = st.text(min_size=1, max_size=300)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("istanza.pdf", "pdf"),
        ("ISTANZA.PDF", "pdf"),
        ("foto.jpeg", "jpg"),
        ("istanza.pdf.p7m", "p7m"),
        ("programma.pdf.exe", None),
        ("pagina.html", None),
        ("posta.desktop", None),
        ("pdf", "pdf"),
        ("macro.docm", None),
        ("", None),
    ],
)
def test_a_name_claims_a_kind_by_its_end(name: str, kind: str | None) -> None:
    assert kind_of(name, ALL) == kind


def test_only_what_the_profile_takes() -> None:
    assert kind_of("dati.zip", rules(Storage()).documents) is None
    assert kind_of("dati.zip", ("zip",)) == "zip"


def test_every_kind_says_how_it_begins() -> None:
    assert set(BEGINNINGS) == set(ALL)


@pytest.mark.parametrize(
    ("kind", "head", "good"),
    [
        ("pdf", b"%PDF-1.7", True),
        ("pdf", b"\x00" * 100 + b"%PDF-1.4", True),
        ("pdf", b"\x7fELF\x02\x01", False),
        ("pdf", b"<html><script>", False),
        ("xml", b'\xef\xbb\xbf<?xml version="1.0"?>', True),
        ("xml", b"<svg onload=", False),
        ("txt", b"una riga\n", True),
        ("txt", b"#!/bin/sh\n", False),
        ("txt", b"<html>", False),
        ("txt", b"MZ\x90\x00", False),
        ("p7m", b"\x30\x82\x0a\x11\x06", True),
        ("p7m", b"MIIKPwYJ", True),
        ("docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", False),
        ("jpg", b"", False),
    ],
)
def test_a_content_agrees_with_the_kind_or_not(kind: DocumentKind, head: bytes, good: bool) -> None:
    assert agrees(kind, head) is good


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("fattura[1].pdf", "fattura(1).pdf"),
        ("../../etc/passwd.pdf", "_.._etc_passwd.pdf"),
        (".nascosto.pdf", "nascosto.pdf"),
        ("due\nrighe.pdf", "due righe.pdf"),
        ("fattura\u202efdp.exe.pdf", "fatturafdp.exe.pdf"),
        ("perché no.pdf", "perché no.pdf"),
        ("perche\u0301.pdf", "perché.pdf"),
        ("..", "_"),
        ("   .pdf", "pdf"),
        ("日本.odt", "日本.odt"),
    ],
)
def test_a_name_is_cleaned(name: str, clean: str) -> None:
    assert clean_name(name) == clean


@given(names)
def test_a_clean_name_is_one_name_on_any_file_system(name: str) -> None:
    clean = clean_name(name)
    assert 0 < len(clean.encode()) <= NAME_BYTES
    assert not set('"*/:<>?\\|[]\0') & set(clean)
    assert not any(unicodedata.category(c).startswith("C") for c in clean)
    assert not clean.startswith((".", " "))
    assert not clean.endswith((".", " "))
    assert clean_name(clean) == clean


@given(st.lists(st.sampled_from(["a.pdf", "A.pdf", "a (2).pdf", "b", "b (2)"]), max_size=8))
def test_no_name_is_given_twice(wished: list[str]) -> None:
    taken: set[str] = set()
    for name in wished:
        own = free_name(name, taken)
        assert own.casefold() not in taken
        taken.add(own.casefold())
    assert len(taken) == len(wished)


@pytest.mark.parametrize("way", get_args(Way))
@pytest.mark.parametrize("phase", get_args(Phase))
@pytest.mark.parametrize("problem", [None, *get_args(Problem)])
@pytest.mark.parametrize("left", [None, *get_args(Left)])
def test_each_report_has_a_sentence_without_open_places(
    way: Way, phase: Phase, problem: Problem | None, left: Left | None
) -> None:
    for done in (0, 3):
        rest = {} if left is None else {left: 2}
        said = str(told(Report(way, phase, "/dev/sda1", done, rest, problem)))
        assert said.endswith(".")
        assert "{" not in said
