"""The translators' tool: brings the catalogues in step with the sources, and compiles them.

    python -m tools.catalogues           extract, update, compile; lists what still wants translating
    python -m tools.catalogues --check   changes nothing; fails where that would

The compiled .mo files are committed: a wheel built without Babel has them, and
tests/unit/cli/test_catalogues.py fails where they are not current. English has
a catalogue of its own, message for message, because without one a technician
who reads "en, then it" (LANGUAGE=en:it) would be shown Italian.
"""

import io
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from string import Formatter
from typing import NamedTuple

from babel.messages import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).parents[1]
LANGUAGES = ("it", "en")


Keywords = dict[str, tuple[int, int] | None]


class Domain(NamedTuple):
    """One program's words: its gettext domain, the packages that speak through it, its catalogues."""

    name: str
    sources: tuple[str, ...]
    locales: Path
    keywords: Keywords
    languages: tuple[str, ...] = LANGUAGES


OWN: Keywords = {"_": None, "mark": None, "gettext": None, "ngettext": (1, 2)}
"""What is translated where it is made."""
SENTENCES: Keywords = {"sentence": None}
"""What is translated where it is read (contract.sentence)."""

LABCTL = Domain(
    "labctl", ("controller", "kiosk_profiles"), ROOT / "controller/cli/locale", {**OWN, **SENTENCES}
)
LAB_AGENT = Domain("lab-agent", ("agent",), ROOT / "agent/locale", OWN)
AGENTS = Domain("sentences", ("agent",), ROOT / "contract/locale", SENTENCES)
LAB_BAR = Domain(
    "lab-bar", ("agent",), ROOT / "agent/citizen/locale", {"citizens": None, "word": None}, ("it", "en", "ro")
)
"""What citizens read: the session bar's own words, and the sentences that the enforcer has it show."""
DOMAINS = (LABCTL, LAB_AGENT, AGENTS, LAB_BAR)

UNREVIEWED = {"ro"}
"""Languages whose words no native speaker has read yet; their catalogues say so."""


def extracted(domain: Domain) -> Catalog:
    """Every message in the sources, in the order of files and lines."""
    template = Catalog(project=domain.name, charset="utf-8")
    for source in domain.sources:
        for _file, _line, text, comments, context in extract_from_dir(
            ROOT / source,
            method_map=[("**.py", "python")],
            options_map={},
            keywords=domain.keywords,
            comment_tags=("Translators:",),
            strip_comment_tags=True,
        ):
            if text not in ("", ("", "")):
                template.add(text, auto_comments=comments, context=context)
    return template


def updated(domain: Domain, language: str, template: Catalog) -> Catalog:
    """The committed catalogue of `language` with the messages of `template`: none guessed, none left over."""
    old = read(domain, language)
    new = Catalog(
        locale=language,
        domain=domain.name,
        project=domain.name,
        header_comment=f"# Words of {domain.name}. Written by `python -m tools.catalogues`; translate below."
        + ("\n# NOT REVIEWED by a native speaker yet." if language in UNREVIEWED else ""),
        creation_date=datetime(2026, 1, 1, tzinfo=UTC),  # a real one would differ in every run
        revision_date=datetime(2026, 1, 1, tzinfo=UTC),
        last_translator="the project",
        language_team="the project",
        copyright_holder="the project",
        msgid_bugs_address="see README.md",
        charset="utf-8",
        fuzzy=False,
    )
    for message in _messages(template):
        known = old.get(message.id[0] if isinstance(message.id, tuple) else message.id)
        words = message.id if language == "en" else _words(known, message)
        new.add(message.id, words, flags=message.flags, auto_comments=message.auto_comments)
    return new


def untranslated(catalogue: Catalog) -> list[Message]:
    """Messages without words, or with words somebody was not sure of."""
    return [
        message
        for message in _messages(catalogue)
        if message.fuzzy
        or not message.string
        or (isinstance(message.string, tuple) and not all(message.string))
    ]


def wrong(catalogue: Catalog) -> list[tuple[Message, str]]:
    """Translations whose placeholders are not those of the message."""
    return [(message, str(error)) for message in _messages(catalogue) for error in _errors(message)]


def read(domain: Domain, language: str) -> Catalog:
    """The committed catalogue; an empty one where there is none yet."""
    path = po(domain, language)
    if not path.exists():
        return Catalog(locale=language, domain=domain.name)
    with path.open("rb") as file:
        return read_po(file, locale=language, domain=domain.name, charset="utf-8")


def po(domain: Domain, language: str) -> Path:
    """Where the words of a language are."""
    return domain.locales / language / "LC_MESSAGES" / f"{domain.name}.po"


def mo(domain: Domain, language: str) -> Path:
    """Where gettext reads them."""
    return po(domain, language).with_suffix(".mo")


def as_po(catalogue: Catalog) -> bytes:
    """The text of the .po file, without places in the sources: they would change with every line."""
    written = io.BytesIO()
    write_po(written, catalogue, width=110, no_location=True)
    return written.getvalue()


def as_mo(catalogue: Catalog) -> bytes:
    """The bytes of the .mo file."""
    written = io.BytesIO()
    write_mo(written, catalogue)
    return written.getvalue()


def _messages(catalogue: Catalog) -> Iterator[Message]:
    return (message for message in catalogue if message.id)


def _words(known: Message | None, message: Message) -> str | tuple[str, ...]:
    """What was written for the message before; nothing where its plural came or went."""
    if known is None or isinstance(known.id, tuple) != isinstance(message.id, tuple):
        return ("", "") if isinstance(message.id, tuple) else ""
    return _texts(known.string) if isinstance(message.id, tuple) else _texts(known.string)[0]


def _errors(message: Message) -> list[str]:
    ids = _texts(message.id)
    allowed = set().union(*map(_fields, ids))
    needed = set.intersection(*map(_fields, ids))
    try:
        return [
            f"{text!r} has other placeholders than {ids[0]!r}"
            for text in _texts(message.string)
            if text and not needed <= _fields(text) <= allowed
        ]
    except ValueError as error:
        return [f"{ids[0]!r}: {error}"]


def _fields(text: str) -> set[str]:
    return {name for _text, name, _spec, _conversion in Formatter().parse(text) if name}


def _texts(value: str | Sequence[str] | None) -> tuple[str, ...]:
    """The one text of a message, or all of one with a plural."""
    return (value or "",) if isinstance(value, str | None) else tuple(value)


def main() -> int:
    """Entry point."""
    check = "--check" in sys.argv[1:]
    failed = False
    for domain in DOMAINS:
        template = extracted(domain)
        for language in domain.languages:
            failed |= _bring_in_step(domain, language, template, check)
    return int(failed)


def _bring_in_step(domain: Domain, language: str, template: Catalog, check: bool) -> bool:
    """One catalogue; whether anything is wrong with it."""
    catalogue = updated(domain, language, template)
    files = {po(domain, language): as_po(catalogue), mo(domain, language): as_mo(catalogue)}
    stale = [path for path, content in files.items() if not path.exists() or path.read_bytes() != content]
    for path in stale:
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(files[path])
        sys.stdout.write(f"{'stale' if check else 'written'}: {path.relative_to(ROOT)}\n")
    missing, errors = untranslated(catalogue), wrong(catalogue)
    for message in missing:
        sys.stdout.write(f"{language}: to translate: {message.id!r}\n")
    for _message, error in errors:
        sys.stdout.write(f"{language}: {error}\n")
    return bool(missing or errors or (check and stale))


if __name__ == "__main__":
    sys.exit(main())
