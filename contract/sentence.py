"""What a program has to say to a person, so that the reader can say it in the person's own language.

A Sentence crosses as what a translator translates (`text`, English with
{places}) and the values in the places. Whoever shows it looks `text` up in a
catalogue; one that has no such text, being older than the speaker, shows the
English one. So the speaker needs no catalogue and no locale, and what is kept
is readable in every language later.

What other people's programs send is not trusted: texts and values are bounded,
and filling a place only ever puts a value there (str.format would do more).
"""

import re
from collections.abc import Callable
from typing import Annotated

import msgspec

from contract.wire import Message

LONGEST = 300
"""Characters of a text, and of a value."""
LONGEST_SAID = 1000
"""Characters of a sentence with its values in it."""
LARGEST = 2**53
"""A number's size: what every JSON reader holds exactly."""
MOST_SENTENCES = 12
"""How many a sentence may have as values, and they in turn, all counted."""

_place = re.compile(r"\{([a-z_]+)\}")

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST)]
Place = Annotated[str, msgspec.Meta(pattern=r"\A[a-z_]{1,20}\Z")]
Word = Annotated[str, msgspec.Meta(max_length=LONGEST)]
Number = Annotated[int, msgspec.Meta(ge=-LARGEST, le=LARGEST)]


class Sentence(Message, frozen=True):
    """`text` with a value for each of its {places}; a value that is a sentence is translated as well.

    Make one with `sentence`, whose first argument the catalogues are made of.
    """

    text: Text
    values: Annotated[dict[Place, "Word | Number | Sentence"], msgspec.Meta(max_length=8)] = msgspec.field(
        default_factory=dict
    )

    def __post_init__(self) -> None:
        """Refuse what is deeper or larger than anything we say. Raises ValueError."""
        if _count(self) > MOST_SENTENCES:
            raise ValueError(f"more than {MOST_SENTENCES} sentences in one")

    def __str__(self) -> str:
        """In English."""
        return self.said(str)

    def said(self, translated: Callable[[str], str]) -> str:
        """The words for a person; `translated` gives a text in the reader's language, or the text itself."""
        # Each value is made once and cut at every level: places may repeat, and a liar's must not multiply.
        words = {
            name: value.said(translated) if isinstance(value, Sentence) else str(value)
            for name, value in self.values.items()
        }
        filled = _place.sub(lambda place: words.get(place[1], place[0]), translated(self.text))
        return filled[:LONGEST_SAID]


class Told(Exception):
    """An expected failure that says why in a Sentence."""

    def __init__(self, why: Sentence) -> None:
        super().__init__(why)
        self.sentence = why


def sentence(text: str, /, **values: str | int | Sentence) -> Sentence:
    """What we say ourselves. `text` is a literal: that is how it comes into the catalogues.

    Values may be anybody's: what is too long is cut, and a sentence that has
    too many in it already is put in as it reads in English.
    """
    bounded: dict[str, str | int | Sentence] = {}
    room = MOST_SENTENCES - 1
    for name, value in values.items():
        if isinstance(value, int):
            bounded[name] = max(-LARGEST, min(value, LARGEST))
        elif isinstance(value, Sentence) and (count := _count(value)) <= room:
            bounded[name] = value
            room -= count
        else:
            bounded[name] = _bounded(str(value))
    return Sentence(text, bounded)


def system_words(error: Exception) -> Sentence:
    """The words of the system or a library for an error; the catalogues have those that can be expected."""
    words = error.strerror if isinstance(error, OSError) else None
    return Sentence(_bounded(words or str(error) or type(error).__name__))


def _bounded(text: str) -> str:
    """Not too long, and without a file name's bytes that are no text, which JSON could not carry."""
    return text[:LONGEST].encode(errors="replace").decode()


def _count(one: Sentence) -> int:
    return 1 + sum(_count(value) for value in one.values.values() if isinstance(value, Sentence))
