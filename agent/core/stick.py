"""What may come from a citizen's stick and go to it, under which name, and what the citizen is told: pure.

A document is taken by two marks that have to agree: the end of its name, and how
its content begins. Neither says that it is harmless; both keep out programs, web
pages and links, and what only pretends to be a document.
"""

import unicodedata
from typing import Annotated, Literal

import msgspec

from agent.core.citizen import citizens
from contract.desired import DocumentKind, Storage
from contract.sentence import Sentence
from contract.wire import Message

REPORT = "/run/lab-stick/report.json"
"""Where the helper says how it stands."""
GROUP = "lab-stick"
"""The helper's, and of every stick's device."""
LINKS = "labstick"
"""Below /dev: a link to each stick, by which units and the enforcer name it."""

_OLD_OFFICE = (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",)
_ZIP = (b"PK\x03\x04",)
_SIGNED = (b"\x30\x80", b"\x30\x81", b"\x30\x82", b"\x30\x83", b"\x30\x84", b"-----BEGIN ", b"MI")
"""A signed envelope (CMS, RFC 5652): DER or BER of a SEQUENCE, PEM, or base64 of the former."""
_TEXT: tuple[bytes, ...] = ()

BEGINNINGS: dict[DocumentKind, tuple[bytes, ...]] = {
    "csv": _TEXT,
    "doc": _OLD_OFFICE,
    "docx": _ZIP,
    "eml": _TEXT,
    "jpg": (b"\xff\xd8\xff",),
    "ods": _ZIP,
    "odt": _ZIP,
    "p7m": _SIGNED,
    "p7s": _SIGNED,
    "pdf": (b"%PDF-",),
    "png": (b"\x89PNG\r\n\x1a\n",),
    "rtf": (b"{\\rtf",),
    "tif": (b"II*\0", b"MM\0*"),
    "txt": _TEXT,
    "xls": _OLD_OFFICE,
    "xlsx": _ZIP,
    "xml": (b"<?xml",),
    "zip": _ZIP,
}
"""How the content of each kind begins; plain text has no mark but that it holds no zero byte."""

_ALSO = {"jpeg": "jpg", "tiff": "tif"}

HEAD_BYTES = 1024
"""So much of a document is looked at. A PDF may have other bytes before its mark, within the first 1024
(ISO 32000-1, annex H.3.4.1)."""

NAME_BYTES = 120
"""Longest name in UTF-8: FAT and NTFS take 255 units, Linux 255 bytes; a number may still be added."""
DEPTH = 6
"""Folders within folders that are looked into."""
FOLDERS = 200
"""How many folders of a stick are looked into, so that one that leads back to itself has an end."""
ENTRIES = 10_000
"""How many names are looked at."""

_OTHERS = str.maketrans({**dict.fromkeys('"*/:<>?\\|', "_"), "[": "(", "]": ")"})
"""What some file system forbids in a name, or some program takes for a pattern."""

Left = Literal["kind", "false", "large", "many", "full", "unreadable"]
"""Why a file was left: of no kind that is taken, not what its name says, too large, one too many, no room for
it, not readable."""

Problem = Literal[
    "format", "encrypted", "exfat", "broken", "tools", "gone", "time", "read-only", "unclean", "nothing"
]
"""Why there was nothing to do: no format we know, a closed one, one without a reader here; a file system
that makes no sense; no programs to read it; the stick or the session gone; it took too long; it cannot be
written to; it was pulled out of another PC too early; there is nothing to save."""


Way = Literal["import", "export"]
Phase = Literal["working", "ended"]


class Rules(Message, frozen=True):
    """What the profile lets through, as the helper reads it from /etc/lab-agent/stick.json."""

    documents: tuple[DocumentKind, ...]
    max_documents: int
    max_document_bytes: int
    export: bool


class Report(Message, frozen=True):
    """What became of a stick, for the session bar; it holds no name of the citizen's.

    `device` is the stick it is about, `done` the number of documents copied, `left` why others were not.
    """

    way: Way
    phase: Phase
    device: Annotated[str, msgspec.Meta(max_length=200)]
    done: int = 0
    left: dict[Left, int] = msgspec.field(default_factory=dict)
    problem: Problem | None = None


def rules(storage: Storage) -> Rules:
    """The helper's part of a profile's section."""
    return Rules(
        documents=storage.documents,
        max_documents=storage.max_documents,
        max_document_bytes=storage.max_document_mb << 20,
        export=storage.removable == "full",
    )


def kind_of(name: str, taken: tuple[DocumentKind, ...]) -> DocumentKind | None:
    """The kind that a file's name claims; None where it is none that is taken."""
    ending = name.rpartition(".")[2].lower()
    ending = _ALSO.get(ending, ending)
    return next((kind for kind in taken if kind == ending), None)


def agrees(kind: DocumentKind, head: bytes) -> bool:
    """Whether a content that begins with `head` (HEAD_BYTES of it) can be of that kind."""
    beginnings = BEGINNINGS[kind]
    if kind == "pdf":
        return beginnings[0] in head
    if beginnings:
        return head.removeprefix(b"\xef\xbb\xbf").startswith(beginnings)
    return b"\0" not in head and not head.startswith((b"#!", b"<"))


def clean_name(name: str) -> str:
    """A name without path, control characters, invisible ones, leading dots and what a file system forbids.

    Not empty, at most NAME_BYTES of UTF-8; the ending stays. Invisible characters can turn the writing
    around, so that `exe.pdf` is read for what is none.
    """
    text = unicodedata.normalize("NFC", name).translate(_OTHERS)
    shown = "".join(
        " " if c.isspace() else c for c in text if c.isspace() or unicodedata.category(c)[0] != "C"
    )
    stem, dot, ending = " ".join(shown.split()).strip(". ").rpartition(".")
    stem, ending = (
        (stem.strip(". "), ending) if dot and len(ending.encode()) <= 8 else (stem + dot + ending, "")
    )
    if not stem:
        stem, ending = ending or "_", ""
    room = NAME_BYTES - (len(ending.encode()) + 1 if ending else 0)
    stem = stem.encode()[:room].decode(errors="ignore").strip(". ") or "_"
    return f"{stem}.{ending}" if ending else stem


def free_name(name: str, taken: set[str]) -> str:
    """`name`, or the first "name (2).pdf" that is not among `taken`, which holds names in `casefold`."""
    stem, dot, ending = name.rpartition(".")
    if not dot:
        stem, ending = name, ""
    candidate, number = name, 2
    while candidate.casefold() in taken:
        candidate = f"{stem} ({number}){dot}{ending}"
        number += 1
    return candidate


def is_passed_over(name: str) -> bool:
    """Names that systems leave on sticks for themselves: nobody misses them."""
    return name.startswith((".", "$")) or name in ("System Volume Information", "LOST.DIR", "FOUND.000")


def told(report: Report) -> Sentence:
    """What the citizen reads."""
    if report.problem is not None:
        return _but(report, _PROBLEMS[report.problem])
    if report.phase == "working":
        if report.way == "import":
            return citizens("Your stick is being read. Please do not take it out yet.")
        return citizens("Your documents are being saved to the stick. Please do not take it out yet.")
    count, left = report.done, sum(report.left.values())
    if not left and report.way == "import":
        return citizens("Documents read from your stick: {count}. You can take the stick out.", count=count)
    if not left:
        return citizens("Documents saved to your stick: {count}. You can take the stick out.", count=count)
    why = _LEFT[_foremost(report.left)]
    if report.way == "import":
        return citizens(
            "Documents read from your stick: {count}. Left out: {left} ({why}). You can take the stick out.",
            count=count,
            left=left,
            why=why,
        )
    return citizens(
        "Documents saved to your stick: {count}. Not saved: {left} ({why}). You can take the stick out.",
        count=count,
        left=left,
        why=why,
    )


def _but(report: Report, why: Sentence) -> Sentence:
    """A problem, and what was done before it."""
    if not report.done:
        return why
    if report.way == "import":
        return citizens("Not everything was read. Documents read: {count}. {why}", count=report.done, why=why)
    return citizens("Not everything was saved. Documents saved: {count}. {why}", count=report.done, why=why)


def _foremost(left: dict[Left, int]) -> Left:
    return max(left, key=lambda why: left[why])


_LEFT: dict[Left, Sentence] = {
    "kind": citizens("only documents are taken"),
    "false": citizens("they are not what their names say"),
    "large": citizens("too large"),
    "many": citizens("too many"),
    "full": citizens("no room left"),
    "unreadable": citizens("unreadable"),
}

_PROBLEMS: dict[Problem, Sentence] = {
    "format": citizens("This stick's format cannot be read here. Please use one formatted as FAT32 or NTFS."),
    "exfat": citizens(
        "This stick is formatted as exFAT, which cannot be read here."
        " Please use one formatted as FAT32 or NTFS."
    ),
    "encrypted": citizens("This stick is encrypted and cannot be read here."),
    "broken": citizens("This stick is damaged or not formatted: it cannot be read."),
    "tools": citizens("This PC cannot read sticks at the moment. Please call the operator."),
    "gone": citizens("The stick is no longer there. Please put it in again."),
    "time": citizens("This stick takes too long to read, or is damaged. Please take it out."),
    "read-only": citizens("Nothing can be saved to this stick."),
    "unclean": citizens(
        "Nothing can be saved to this stick: it was taken out of another PC too early."
        " Put it in there and eject it."
    ),
    "nothing": citizens("There is nothing to save: no document was downloaded in this session."),
}
