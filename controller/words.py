"""Texts that technicians read, through gettext (domain `labctl`), where they are made."""

import gettext


def _(text: str) -> str:
    """The text in the language of the process."""
    return gettext.dgettext("labctl", text)


def mark(text: str) -> str:
    """`text` itself: marks for the catalogue what `_` translates where it is said."""
    return text
