"""The bar's words in the citizens' languages. Message ids are the English sentences."""

import gettext
from functools import cache
from pathlib import Path

DOMAIN = "lab-bar"

_LOCALES = Path(__file__).parent / "locale"


def say(text: str, language: str) -> str:
    """`text` in a language; as it is where the catalogue does not have it."""
    return _catalogue(language).gettext(text) if text else ""


def word(text: str) -> str:
    """`text` itself: marks for the catalogues what `say` translates where it is shown."""
    return text


@cache
def _catalogue(language: str) -> gettext.NullTranslations:
    return gettext.translation(DOMAIN, str(_LOCALES), languages=[language], fallback=True)
