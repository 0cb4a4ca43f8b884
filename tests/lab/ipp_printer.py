"""A printer on the lab's server, as far as CUPS asks one: IPP over HTTP, driverless. Runs there by python3.

python3 ipp_printer.py PORT FOLDER: each document that is printed becomes a file job-N in the folder, and
each announcement of a job, with what is to be done to it, a file asked-N.
"""

import itertools
import struct
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

GET_ATTRIBUTES, PRINT_JOB, CREATE_JOB, SEND_DOCUMENT = 0x000B, 0x0002, 0x0005, 0x0006
INTEGER, BOOLEAN, ENUM, RESOLUTION, TEXT, KEYWORD, URI, CHARSET, LANGUAGE, MIME, NAME = (
    *(0x21, 0x22, 0x23, 0x32, 0x41, 0x44, 0x45, 0x47, 0x48, 0x49, 0x42),
)
RANGE = 0x33
BEGIN, END, MEMBER = 0x34, 0x37, 0x4A
DPI_300 = struct.pack(">iib", 300, 300, 3)
A4 = (("x-dimension", INTEGER, 21000), ("y-dimension", INTEGER, 29700))


def value(tag: int, name: str, data: object) -> bytes:
    """One value of an attribute; a further one of the same attribute has no name."""
    if isinstance(data, tuple):  # a collection: members of (name, tag, value)
        parts = [head(BEGIN, name, b"")]
        for member, kind, content in data:
            parts += [head(MEMBER, "", member.encode()), value(kind, "", content)]
        return b"".join((*parts, head(END, "", b"")))
    if isinstance(data, bool):
        raw = bytes([data])
    elif isinstance(data, int):
        raw = struct.pack(">i", data)
    else:
        raw = data if isinstance(data, bytes) else str(data).encode()
    return head(tag, name, raw)


def head(tag: int, name: str, raw: bytes) -> bytes:
    return struct.pack(f">bh{len(name)}sh", tag, len(name), name.encode(), len(raw)) + raw


def attribute(name: str, tag: int, *values: object) -> bytes:
    return b"".join(value(tag, name if number == 0 else "", one) for number, one in enumerate(values))


PRINTER = b"".join(
    (
        attribute("printer-make-and-model", TEXT, "Prova"),
        attribute("printer-name", NAME, "prova"),
        attribute("printer-state", ENUM, 3),
        attribute("printer-state-reasons", KEYWORD, "none"),
        attribute("printer-is-accepting-jobs", BOOLEAN, True),
        attribute("ipp-versions-supported", KEYWORD, "1.1", "2.0"),
        attribute("ipp-features-supported", KEYWORD, "ipp-everywhere"),
        attribute(
            "operations-supported", ENUM, PRINT_JOB, 4, CREATE_JOB, SEND_DOCUMENT, 8, 9, GET_ATTRIBUTES
        ),
        attribute("document-format-supported", MIME, "application/pdf", "image/pwg-raster"),
        attribute("pwg-raster-document-resolution-supported", RESOLUTION, DPI_300),
        attribute("pwg-raster-document-type-supported", KEYWORD, "sgray_8"),
        attribute("printer-resolution-supported", RESOLUTION, DPI_300),
        attribute("media-supported", KEYWORD, "iso_a4_210x297mm"),
        attribute("media-default", KEYWORD, "iso_a4_210x297mm"),
        attribute("media-size-supported", BEGIN, A4),
        attribute("media-col-default", BEGIN, (("media-size", BEGIN, A4),)),
        attribute("media-col-database", BEGIN, (("media-size", BEGIN, A4),)),
        attribute("sides-supported", KEYWORD, "one-sided", "two-sided-long-edge"),
        attribute("sides-default", KEYWORD, "one-sided"),
        attribute("copies-supported", RANGE, struct.pack(">ii", 1, 99)),
        attribute("copies-default", INTEGER, 1),
        attribute("print-color-mode-supported", KEYWORD, "monochrome"),
    )
)
JOB = attribute("job-id", INTEGER, 1) + attribute("job-state", ENUM, 9)


class Printer(BaseHTTPRequestHandler):
    """Answers what is asked, and keeps what is printed."""

    protocol_version = "HTTP/1.1"
    folder = Path()
    numbers = itertools.count(1)

    def do_POST(self) -> None:
        """One IPP request."""
        if self.headers.get("Expect") == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        asked = self._body()
        _version, operation, number = struct.unpack(">hhi", asked[:8])
        groups = b"\x04" + PRINTER if operation == GET_ATTRIBUTES else b"\x02" + JOB
        if operation in (PRINT_JOB, SEND_DOCUMENT):
            (self.folder / f"job-{next(self.numbers)}").write_bytes(asked)
        if operation in (PRINT_JOB, CREATE_JOB):
            (self.folder / f"asked-{next(self.numbers)}").write_bytes(asked.partition(b"%PDF-")[0])
        answer = b"".join(
            (
                struct.pack(">bbhi", 2, 0, 0, number) + b"\x01",
                attribute("attributes-charset", CHARSET, "utf-8"),
                attribute("attributes-natural-language", LANGUAGE, "en"),
                groups + b"\x03",
            )
        )
        self.send_response(200)
        self.send_header("Content-Type", "application/ipp")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)


if __name__ == "__main__":
    Printer.folder = Path(sys.argv[2])
    ThreadingHTTPServer(("", int(sys.argv[1])), Printer).serve_forever()
