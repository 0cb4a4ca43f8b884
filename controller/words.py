"""Texts that technicians read, in the language of whoever asked, or of the lab where nobody did.

What is said within a request is translated where it is made. What is made
before anybody asks, by a PC or by the threads that talk to PCs, is a Sentence
(contract.sentence), which `_` translates when it is shown.
"""

import gettext
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import contract
from kiosk_profiles.findings import translated

LANGUAGES = ("en", "it")
_LABCTL = str(Path(__file__).parent / "cli/locale")
_SENTENCES = str(Path(contract.__file__).parent / "locale")
_SAYS_WHICH = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")


def _(text: str) -> str:
    """The text in the reader's language."""
    asked = translated.get()
    return asked(text) if asked else _of_the_process().gettext(text)


@contextmanager
def speaking(accept_language: str) -> Iterator[None]:
    """Speak the language of a request (RFC 9110, Accept-Language) while the context lasts.

    Where it asks for none of ours, the lab's is spoken.
    """
    language = preferred(accept_language)
    token = translated.set(_catalogue((language,)).gettext if language else None)
    try:
        yield
    finally:
        translated.reset(token)


def preferred(accept_language: str) -> str | None:
    """The one of our languages that the header likes best; None where it names none of them."""
    ranked: list[tuple[float, str]] = []
    for part in accept_language.lower().split(","):
        tag, _semicolon, weight = part.partition(";")
        try:
            liking = float(weight.replace(" ", "").removeprefix("q=") or 1)
        except ValueError:
            continue
        ranked.append((liking, tag.strip().partition("-")[0]))
    for liking, language in sorted(ranked, key=lambda one: -one[0]):
        if language in LANGUAGES and liking > 0:
            return language
    return None


def mark(text: str) -> str:
    """`text` itself: marks for the catalogue what `_` translates where it is said."""
    return text


def _of_the_process() -> gettext.NullTranslations:
    said = next(filter(None, (os.environ.get(name) for name in _SAYS_WHICH)), "")
    return _catalogue(tuple(said.split(":")))


@lru_cache(maxsize=8)
def _catalogue(languages: tuple[str, ...]) -> gettext.NullTranslations:
    """Read once: some calls here are made under a lock."""
    ours = gettext.translation("labctl", _LABCTL, languages=list(languages), fallback=True)
    ours.add_fallback(gettext.translation("sentences", _SENTENCES, languages=list(languages), fallback=True))
    return ours
