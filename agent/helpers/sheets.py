"""How many pages a document has that is about to go to a printer, in what printers take without a driver.

Only what cannot be read in two ways is counted: a document that is not wholly what it begins as has no
count. Raster is read to its last byte; a PDF is written anew by qpdf, page by page, and the new one is
what is counted and what is sent.
"""

import mmap
import os
import re
import struct
import subprocess
import tempfile
from typing import IO, NamedTuple

QPDF = "/usr/bin/qpdf"
MEMORY = 1 << 30
"""Address space of qpdf."""
CPU_S = 120
WAIT_S = 300.0
LARGEST = 2 << 30
"""Bytes of a document: a hundred sheets of photographs as raster."""

_SEVERAL = re.compile(rb"%%EOF\s*%PDF-")
"""What cupsd makes of a job of several files: readers take the last one, or the first."""
_PWG_HEAD = 1796
_URF = struct.Struct(">B11xII")
_URF_HEAD = 32
_END_OF_LINE = 128


class Uncountable(Exception):
    """Nobody knows how many pages a printer would make of it."""


class Counted(NamedTuple):
    """A document that may be sent: its type, its pages, and whether the printer is to make the copies."""

    mime: str
    pages: int
    document: IO[bytes]
    copies_by_printer: bool


def count(document: IO[bytes], folder: str | None = None) -> Counted:
    """Count it; `document` is a file without a name, `folder` the place for another one.

    Raises Uncountable.
    """
    handle = document.fileno()
    if not 0 < os.fstat(handle).st_size <= LARGEST:
        raise Uncountable("it is empty, or too large")
    head = os.pread(handle, 12, 0)
    if head.startswith(b"%PDF-"):
        fresh = _rewritten(document, folder)
        return Counted("application/pdf", _pdf_pages(fresh), fresh, copies_by_printer=True)
    if head.startswith(b"\xff\xd8\xff"):
        return Counted("image/jpeg", 1, document, copies_by_printer=True)
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return Counted("image/png", 1, document, copies_by_printer=True)
    for magic, mime, pages in (
        (b"RaS2", "image/pwg-raster", pwg_pages),
        (b"UNIRAST\0", "image/urf", urf_pages),
    ):
        if head.startswith(magic):
            with mmap.mmap(handle, 0) as data:
                return Counted(mime, pages(data), document, copies_by_printer=False)
    raise Uncountable("it is in no format that printers take without a driver")


def pwg_pages(data: mmap.mmap | bytearray) -> int:
    """Pages of PWG raster (PWG 5102.4). A page that asks for copies of itself asks for none from here on."""
    at, pages = 4, 0
    while at < len(data):
        header = bytes(data[at : at + _PWG_HEAD])
        if len(header) < _PWG_HEAD:
            raise Uncountable("the last page has no end")
        height, bits, line, order = struct.unpack_from(">I8xIII", header, 376)
        data[at + 340 : at + 344] = b"\0\0\0\1"
        if order != 0 or not bits or not line:
            raise Uncountable("a page has no pixels, or they lie in planes")
        at = _skip_page(data, at + _PWG_HEAD, height, line, max(1, bits // 8), to_the_end=False)
        pages += 1
    return _some(pages)


def urf_pages(data: mmap.mmap | bytearray) -> int:
    """Pages of Apple's raster."""
    at, pages = 12, 0
    while at < len(data):
        header = bytes(data[at : at + _URF_HEAD])
        if len(header) < _URF_HEAD:
            raise Uncountable("the last page has no end")
        bits, width, height = _URF.unpack_from(header)
        if not bits or bits % 8 or not width:
            raise Uncountable("a page has no pixels")
        pixel = bits // 8
        at = _skip_page(data, at + _URF_HEAD, height, width * pixel, pixel, to_the_end=True)
        pages += 1
    return _some(pages)


def _skip_page(
    data: mmap.mmap | bytearray, at: int, height: int, line: int, pixel: int, *, to_the_end: bool
) -> int:
    """Where a page's lines end; `line` and `pixel` in bytes. Both formats pack them alike.

    A line: how often it is repeated, then runs (n: one pixel n + 1 times; 257 - n: n pixels as they are).
    """
    try:
        while height > 0:
            height -= data[at] + 1
            at += 1
            left = line
            while left > 0:
                code = data[at]
                if code == _END_OF_LINE:
                    if not to_the_end:
                        raise Uncountable("a line has a mark that not all printers read alike")
                    at += 1
                    break
                if code > _END_OF_LINE:
                    size = (257 - code) * pixel
                    at += 1 + size
                    left -= size
                else:
                    at += 1 + pixel
                    left -= (code + 1) * pixel
            if left < 0:
                raise Uncountable("a line is longer than the page is wide")
    except IndexError:
        raise Uncountable("the last page has no end") from None
    if height < 0 or at > len(data):
        raise Uncountable("a page is longer than it says")
    return at


def _some(pages: int) -> int:
    if not pages:
        raise Uncountable("it has no page")
    return pages


def _rewritten(document: IO[bytes], folder: str | None) -> IO[bytes]:
    """The same pages in a file that has one list of them, and no word about copies."""
    with mmap.mmap(document.fileno(), 0) as data:
        if _SEVERAL.search(data):
            raise Uncountable("it is several documents in a row")
    fresh = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # it lives as long as the print
    argv = ("--warning-exit-0", "--decrypt", "--object-streams=disable", "--stream-data=preserve")
    source = f"/dev/fd/{document.fileno()}"
    _qpdf((*argv, source, "--pages", ".", "1-z", "--", "-"), (document,), fresh.fileno())
    if not os.fstat(fresh.fileno()).st_size:
        raise Uncountable("qpdf makes nothing of it")
    with mmap.mmap(fresh.fileno(), 0) as data:
        # What a viewer is to fill in where it asks for the number of copies; some printers read it.
        _blot(data, b"/NumCopies", b"/NoCopies_")
    return fresh


def _blot(data: mmap.mmap, word: bytes, instead: bytes) -> None:
    at = data.find(word)
    while at >= 0:
        data[at : at + len(word)] = instead
        at = data.find(word, at)


def _pdf_pages(document: IO[bytes]) -> int:
    said = tempfile.TemporaryFile()  # noqa: SIM115
    with said:
        _qpdf(("--show-npages", f"/dev/fd/{document.fileno()}"), (document,), said.fileno())
        text = os.pread(said.fileno(), 32, 0).strip()
    if not text.isdigit():
        raise Uncountable("qpdf does not count it")
    return _some(int(text))


def _qpdf(arguments: tuple[str, ...], documents: tuple[IO[bytes], ...], into: int) -> None:
    """Run it under limits of its own: what it reads may be made to break it."""
    limits = (f"--as={MEMORY}", f"--cpu={CPU_S}", f"--fsize={LARGEST}", "--core=0")
    try:
        code = subprocess.run(
            ("prlimit", *limits, "--", QPDF, *arguments),
            stdin=subprocess.DEVNULL,
            stdout=into,
            stderr=subprocess.DEVNULL,
            pass_fds=tuple(document.fileno() for document in documents),
            timeout=WAIT_S,
            check=False,
        ).returncode
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Uncountable(f"qpdf: {error}") from None
    if code:
        raise Uncountable(f"qpdf ended with {code}")
