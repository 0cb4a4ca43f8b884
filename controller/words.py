"""Texts that technicians read, through gettext (domain `labctl`), where they are made."""

import gettext


def _(text: str) -> str:
    """The text in the language of the process."""
    return gettext.dgettext("labctl", text)
