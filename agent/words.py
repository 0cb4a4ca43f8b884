"""The words a technician at the PC reads, in the language of the terminal: Italian or English.

Only `lab-agent`'s commands load this; the running agent says what it says in
English to the system's journal, and to the lab as Sentences. Message ids are
the English sentences.
"""

import gettext
from pathlib import Path

import contract

_catalogue = gettext.translation("lab-agent", str(Path(__file__).parent / "locale"), fallback=True)
_catalogue.add_fallback(
    gettext.translation("sentences", str(Path(contract.__file__).parent / "locale"), fallback=True)
)
_ = _catalogue.gettext


def mark(text: str) -> str:
    """`text` itself: marks for the catalogue what `_` translates where it is shown."""
    return text
