"""Texts that technicians read, through gettext (domain `labctl`), where they are made."""

import gettext
import os
from functools import lru_cache

_SAYS_WHICH = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")


def _(text: str) -> str:
    """The text in the language of the process."""
    return _catalogue(tuple(os.environ.get(name) for name in _SAYS_WHICH)).gettext(text)


@lru_cache(maxsize=4)
def _catalogue(_language: tuple[str | None, ...]) -> gettext.NullTranslations:
    """gettext's own dgettext looks for the file at every call, and some calls here are made under a lock."""
    return gettext.translation("labctl", gettext.bindtextdomain("labctl"), fallback=True)


def mark(text: str) -> str:
    """`text` itself: marks for the catalogue what `_` translates where it is said."""
    return text
