"""The words a technician reads, in the language of the terminal: Italian or English.

Message ids are the English sentences. The catalogues are locale/*/LC_MESSAGES/labctl.po;
click's own sentences ("Missing argument ...") are in them too, and click is pointed at
the same catalogue, so that one screen never speaks two languages.
"""

import gettext
from pathlib import Path

DOMAIN = "labctl"
LOCALE_DIR = str(Path(__file__).parent / "locale")

_catalogue = gettext.translation(DOMAIN, LOCALE_DIR, fallback=True)
_ = _catalogue.gettext
ngettext = _catalogue.ngettext
LANGUAGE = _catalogue.info().get("language", "en")
"""What the terminal's locale comes to; the controller is asked to say what it says in this one too."""

gettext.bindtextdomain(DOMAIN, LOCALE_DIR)
gettext.textdomain(DOMAIN)


def mark(text: str) -> str:
    """`text` itself: marks for the catalogue what `_` translates where it is shown."""
    return text
