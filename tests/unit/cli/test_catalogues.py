"""The catalogues are what the sources say, complete, sound, and compiled."""

import argparse
import gettext
import re
from importlib.resources import files
from pathlib import Path

import click
import pytest
import typer

from agent import argparse_words
from controller.cli import click_words, i18n
from tools import catalogues

EACH = [
    pytest.param(domain, language, id=f"{domain.name}-{language}")
    for domain in catalogues.DOMAINS
    for language in domain.languages
]


@pytest.mark.parametrize(("domain", "language"), EACH)
def test_the_catalogue_is_current(domain: catalogues.Domain, language: str) -> None:
    wanted = catalogues.updated(domain, language, catalogues.extracted(domain))
    say = "run: python -m tools.catalogues"
    assert catalogues.po(domain, language).read_bytes() == catalogues.as_po(wanted), say
    assert catalogues.mo(domain, language).read_bytes() == catalogues.as_mo(wanted), say


@pytest.mark.parametrize(("domain", "language"), EACH)
def test_every_message_has_words_with_the_same_placeholders(domain: catalogues.Domain, language: str) -> None:
    catalogue = catalogues.read(domain, language)
    assert [message.id for message in catalogues.untranslated(catalogue)] == []
    assert catalogues.wrong(catalogue) == []
    assert "fuzzy" not in catalogues.po(domain, language).read_text(encoding="utf-8")


def test_what_is_installed_finds_them() -> None:
    """gettext reads the compiled ones from inside the package, so the wheel must carry them."""
    for language in catalogues.LABCTL.languages:
        assert (files("controller.cli") / f"locale/{language}/LC_MESSAGES/labctl.mo").is_file()
    italian = gettext.translation(i18n.DOMAIN, i18n.LOCALE_DIR, languages=["it"])
    assert italian.gettext("out of service") == "fuori servizio"
    assert italian.ngettext("{count} error", "{count} errors", 2) == "{count} errori"


def test_click_and_typer_still_say_what_we_translate_of_them() -> None:
    packages = (Path(str(package.__file__)).parent for package in (click, typer))
    source = "".join(path.read_text(encoding="utf-8") for place in packages for path in place.glob("*.py"))
    gone = {word for word in click_words.WORDS if not re.search(rf"""_\(\s*["']{re.escape(word)}""", source)}
    plural = {word for word in gone if re.search(rf"""ngettext\(\s*["']{re.escape(word)}""", source)}
    assert gone == plural


def test_argparse_still_says_what_we_translate_of_it() -> None:
    source = Path(argparse.__file__).read_text(encoding="utf-8")
    gone = [word for word in argparse_words.WORDS if repr(word)[1:-1] not in source]
    assert gone == []
