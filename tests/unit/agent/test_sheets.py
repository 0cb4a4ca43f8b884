"""How many pages a document is: raster to its last byte, and nothing that could be read in two ways."""

import io
import struct
import tempfile
from typing import IO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.helpers.print_gate import harmless, sides
from agent.helpers.sheets import Counted, Uncountable, count, pwg_pages, urf_pages


def packed(line: bytes, pixel: int, repeat: int = 1, *, literally: bool = False) -> bytes:
    """A line as both formats pack it."""
    pixels = [line[at : at + pixel] for at in range(0, len(line), pixel)]
    made = bytes([repeat - 1])
    if literally:
        for at in range(0, len(pixels), 100):
            some = pixels[at : at + 100]
            made += bytes([257 - len(some)]) + b"".join(some) if len(some) > 1 else b"\0" + some[0]
        return made
    return made + b"".join(b"\0" + one for one in pixels)


def pwg_page(
    width: int = 5, height: int = 4, pixel: int = 1, *, copies: int = 0, literally: bool = False
) -> bytes:
    header = bytearray(1796)
    header[:9] = b"PwgRaster"
    struct.pack_into(">I", header, 340, copies)
    struct.pack_into(">II", header, 372, width, height)
    struct.pack_into(">II", header, 388, pixel * 8, width * pixel)
    line = bytes(range(width * pixel))
    return bytes(header) + packed(line, pixel, height - 1, literally=literally) + packed(line, pixel)


def urf_page(width: int = 5, height: int = 4, pixel: int = 3) -> bytes:
    header = struct.pack(">BBBB8xIII8x", pixel * 8, 1, 1, 4, width, height, 300)
    assert len(header) == 32
    return header + packed(bytes(width * pixel), pixel, height - 1) + b"\0\x80"  # the last line is white


@given(
    pages=st.lists(
        st.tuples(st.integers(1, 60), st.integers(2, 40), st.sampled_from([1, 3]), st.booleans()),
        min_size=1,
        max_size=6,
    )
)
def test_each_page_of_pwg_raster_is_counted_once(pages: list[tuple[int, int, int, bool]]) -> None:
    data = bytearray(b"RaS2")
    for width, height, pixel, literally in pages:
        data += pwg_page(width, height, pixel, literally=literally)
    assert pwg_pages(data) == len(pages)


def test_a_page_that_asks_for_copies_of_itself_gets_none() -> None:
    data = bytearray(b"RaS2" + pwg_page(copies=50) + pwg_page())
    assert pwg_pages(data) == 2
    assert data[4 + 340 : 4 + 344] == b"\0\0\0\1"


@pytest.mark.parametrize("number", [1, 3])
def test_each_page_of_apples_raster_is_counted_once(number: int) -> None:
    assert urf_pages(bytearray(b"UNIRAST\0\0\0\0\1" + urf_page() * number)) == number, (
        "whatever its head says"
    )


@pytest.mark.parametrize(
    "data",
    [
        b"RaS2",
        b"RaS2" + pwg_page()[:1000],
        b"RaS2" + pwg_page()[:-1],
        b"RaS2" + pwg_page() + b"\x1b%-12345X@PJL SET COPIES=50\n",
        b"RaS2" + pwg_page()[:-2] + b"\x05\x04",
        b"RaS2" + pwg_page()[:-2] + b"\x80",
        b"RaS3" + pwg_page(),
        b"RaS2" + pwg_page() + b"RaS2" + pwg_page(),
        b"%PDF-1.4\n%%EOF\n%PDF-1.4\n%%EOF\n",
    ],
)
def test_what_is_not_wholly_what_it_begins_as_has_no_count(data: bytes) -> None:
    with pytest.raises(Uncountable):
        counted(data)


@pytest.mark.parametrize(
    "data", [b"", b"%!PS-Adobe-3.0\n", b"\x1b%-12345X@PJL\n%PDF-1.4", b"testo", b"\x1bE", b"UNIRAST\0"]
)
def test_what_no_driverless_printer_takes_has_no_count(data: bytes) -> None:
    with pytest.raises(Uncountable):
        counted(data)


def counted(data: bytes) -> Counted:
    document: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
    document.write(data)
    document.flush()
    return count(document)


def test_a_picture_is_a_page_and_its_copies_are_the_printers() -> None:
    picture = counted(b"\xff\xd8\xff\xe0JFIF")
    assert (picture.mime, picture.pages) == ("image/jpeg", 1)
    assert sides(picture, 7) == 7
    raster = counted(b"RaS2" + pwg_page() * 3)
    assert sides(raster, 7) == 3, "who made the raster made the copies"
    raster.document.seek(0)
    assert isinstance(raster.document, io.IOBase)
    assert raster.document.read(4) == b"RaS2"


def test_only_options_that_change_no_number_of_pages_are_passed_on() -> None:
    options = (
        "copies=9 number-up=4 media=iso_a4_210x297mm sides=two-sided-long-edge job-sheets=standard,standard"
        " print-quality=4 document-name='sides=x media=' finishings=3 page-ranges=1-2 job-uuid=urn:uuid:1"
    )
    assert harmless(options) == "media=iso_a4_210x297mm sides=two-sided-long-edge print-quality=4"
    assert harmless("") == ""
