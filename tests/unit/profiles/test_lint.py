"""What is well written and still wrong, by table; and the limits that are too long for one."""

import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kiosk_profiles.findings import Finding
from kiosk_profiles.hosts import allowed, parse_pattern
from kiosk_profiles.services import Bundle, bundle_yaml
from tests.unit.profiles.lab import HALL, library

CASES: list[dict[str, Any]] = tomllib.loads(
    (Path(__file__).parents[2] / "cases/profiles/lint.toml").read_text(encoding="utf-8")
)["case"]


def said(finding: Finding) -> str:
    tail = f"; {finding.hint}" if finding.hint else ""
    return f"{finding.file}:{finding.line}: {finding.severity}: {finding.message}{tail}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_what_is_wrong_together(case: dict[str, Any]) -> None:
    lab = library({"profiles/hall.yaml": HALL, "layers/lab.yaml": case["lab"], **case.get("files", {})})
    assert [said(finding) for finding in lab.check(["hall"])] == case["says"]


def many(count: int) -> str:
    return "allow:\n" + "".join(f"  - .host-{number}.example.it\n" for number in range(count))


def test_a_thousand_addresses_are_the_limit() -> None:
    """`.portale.test` and the two print pages are in the list as well."""
    fits = library({"profiles/hall.yaml": HALL, "layers/lab.yaml": many(997)})
    assert fits.check(["hall"]) == ()
    over = library({"profiles/hall.yaml": HALL, "layers/lab.yaml": many(998)})
    (finding,) = over.check(["hall"])
    assert finding.severity == "error"
    assert finding.message.startswith("1001 addresses are allowed; Chromium reads 1000")


def test_a_profile_without_a_start_page() -> None:
    text = HALL.replace("start_page: http://portale.test/\n", "")
    messages = [finding.message for finding in library({"profiles/hall.yaml": text}).check(["hall"])]
    assert messages == ["no start page: the browser would open on a blocked page"]


def shipped_spid() -> Bundle:
    return library({}).bundle("spid").bundle


def spid_findings(bundle: Bundle) -> list[str]:
    lab = library({"services/spid.yaml": bundle_yaml(bundle)})
    return [finding.message for finding in lab.check(["citizen"])]


def test_an_older_list_that_lacks_a_provider() -> None:
    ours = shipped_spid()
    older = ours.model_copy(
        update={"providers": [provider for provider in ours.providers if provider.name != "Lepida"]}
    )
    assert spid_findings(older) == ["SPID: Lepida is missing, its users cannot sign in"]


def test_an_older_list_with_one_that_left_the_federation() -> None:
    ours = shipped_spid()
    gone = ours.providers[0].model_copy(
        update={
            "entity": "https://spid.intesa.it",
            "name": "Intesa",
            "hosts": [".spid.intesa.it"],
            "also": [],
        }
    )
    found = spid_findings(ours.model_copy(update={"providers": [*ours.providers, gone]}))
    assert sorted(found) == [
        ".spid.intesa.it must not be listed: Intesa left SPID on 23 April 2023",
        "SPID: Intesa is not in the federation",
    ]


def test_an_older_list_with_a_provider_at_the_wrong_host() -> None:
    ours = shipped_spid()
    moved = [
        provider.model_copy(update={"hosts": [".old.example.it"]}) if provider.name == "Lepida" else provider
        for provider in ours.providers
    ]
    found = spid_findings(ours.model_copy(update={"providers": moved}))
    assert found == ["SPID: Lepida signs in at .id.lepida.it, which is not listed"]


def test_a_newer_list_is_the_federations_word() -> None:
    ours = shipped_spid()
    assert ours.published is not None
    newer = ours.model_copy(
        update={"providers": ours.providers[:-1], "published": ours.published + timedelta(days=1)}
    )
    assert spid_findings(newer) == []


@pytest.mark.parametrize(
    ("url", "allow", "deny", "open_"),
    [
        ("https://www.example.it/", ["example.it"], [], True),
        ("https://www.example.it/", [".example.it"], [], False),
        ("https://example.it/", [".example.it"], [], True),
        ("https://notexample.it/", ["example.it"], [], False),
        ("https://example.it.evil.com/", ["example.it"], [], False),
        ("http://portale.test/", ["https://portale.test"], [], False),
        ("http://portale.test/", ["http://portale.test"], [], True),
        ("http://portale.test:8080/x", [".portale.test"], [], True),
        ("http://portale.test:8080/x", [".portale.test:80"], [], False),
        ("https://www.google.com/recaptcha/api2", ["www.google.com/recaptcha"], [], True),
        ("https://www.google.com/search", ["www.google.com/recaptcha"], [], False),
        ("https://a.example.it/", ["example.it"], ["a.example.it"], False),
        ("https://a.example.it/", ["example.it"], [".a.example.it"], False),
        ("https://a.example.it/x", ["example.it"], ["example.it/x"], False),
        ("https://a.example.it/", [".a.example.it"], ["example.it"], True),
        ("https://example.it/", ["example.it"], ["example.it"], True),
        ("https://10.0.0.1/", ["10.0.0.1"], [], True),
        ("http://[fd00::1]/", ["[fd00::1]"], [], True),
    ],
)
def test_which_entry_decides(url: str, allow: list[str], deny: list[str], open_: bool) -> None:
    patterns = [parse_pattern(text) for text in allow]
    assert allowed(url, patterns, [parse_pattern(text) for text in deny]) is open_
