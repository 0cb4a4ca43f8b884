"""The gate before the printer: what CUPS runs for a queue whose pages are counted, as lp, for each document.

It stands where a document has become what the printer gets, so copies, several pages on a side, ranges and
duplex are done or known. It counts the pages (agent.helpers.sheets), asks the enforcer, and only then lets
CUPS' own program send what was counted, with a few harmless options, under no name and title of anybody's.
What is not counted, and what nobody allows, does not go.

cupsd's words for it are backend(7)'s: DEVICE_URI, job, user, title, copies, options and perhaps a file.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from agent.core.pages import MAX_LINE, MOST_PAGES, PrintAnswer, PrintAsk
from agent.helpers.sheets import LARGEST, Counted, Uncountable, count
from agent.inotify import Flag, Inotify
from contract.wire import ContractError, decode, encode

DOOR = "/run/lab-agent/print.sock"
BACKENDS = "/usr/lib/cups/backend"
MARK = "counted-"
NOBODY, UNTITLED = "lab", "document"
OK, FAILED, CANCEL, RETRY = 0, 1, 5, 6
"""Exit codes of backend(7)."""
PATIENCE_S = 30.0
"""So long the enforcer may be away, as while it starts anew, before cupsd is told to try again later."""
ANSWER_S = 300.0
"""It may be busy for longer: a printer that does not say what it can keeps it for a minute."""
END_S, LOOK_S = 5.0, 1.0
"""So long CUPS' own program has to end by itself when its job is called off; cupsd waits 30 s for us."""
_CUPSDS = (3, 4)
"""Descriptors that cupsd gives each backend: what the printer says, and what cupsd asks."""

_HARMLESS = re.compile(
    r"(?:^|(?<= ))((?:media|PageSize|InputSlot|MediaType|OutputBin|output-bin|ColorModel|print-color-mode"
    r"|print-quality|cupsPrintQuality|sides|Duplex|collate|multiple-document-handling|print-scaling)"
    r"=[A-Za-z0-9_.-]+)(?= |$)"
)


class Asked:
    """The enforcer's answer for one document, and the way to give back what was not used."""

    def __init__(self, ask: PrintAsk, door: str = DOOR, patience_s: float = PATIENCE_S) -> None:
        """Ask. Raises OSError where nobody answers."""
        end = time.monotonic() + patience_s
        while True:
            self._link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            self._link.settimeout(ANSWER_S)
            try:
                self._link.connect(door)
                self._link.sendall(encode(ask) + b"\n")
                self.go = decode(PrintAnswer, self._line()).go
            except (OSError, ContractError) as error:
                self._link.close()
                if time.monotonic() > end:
                    raise OSError(str(error)) from error
                time.sleep(0.5)
            else:
                return

    def unsent(self) -> None:
        """Nothing of it went to the printer."""
        with suppress(OSError):
            self._link.sendall(encode(PrintAsk("unsent")) + b"\n")

    def _line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            part = self._link.recv(MAX_LINE)
            if not part:
                raise ConnectionResetError("it hung up")
            line += part
        return line


def harmless(options: str) -> str:
    """Of a job's options those that change no number of pages."""
    return " ".join(_HARMLESS.findall(options))


def sides(counted: Counted, copies: int) -> int:
    """Printed sides of paper, with the copies that the printer is to make."""
    return counted.pages * (copies if counted.copies_by_printer else 1)


def main(arguments: Sequence[str]) -> int:
    """`arguments`: the scheme of CUPS' own backend, then those of a backend; its exit code."""
    scheme, *given = arguments
    if not given:
        return OK  # cupsd asks what devices there are
    address = os.environ.get("DEVICE_URI", "")
    if len(given) not in (5, 6) or not address.startswith(f"{MARK}{scheme}://"):
        return FAILED
    job, _user, _title, copies, options, *files = given
    folder = os.environ.get("TMPDIR")
    number = int(copies) if copies.isdecimal() and int(copies) else 1
    try:
        document = _taken(files, folder)
    except OSError:
        return FAILED
    counted: Counted | None = None
    try:
        counted = _taken_by_the_printer(count(document, folder))
        ask = PrintAsk("print", min(MOST_PAGES, sides(counted, number)))
    except Uncountable as error:
        _say(f"the pages cannot be counted: {error}")
        ask = PrintAsk("unknown")
    try:
        asked = Asked(ask)
    except OSError:
        return RETRY
    if not asked.go:
        return CANCEL
    if counted is None:  # it may go all the same: nobody sits here and nothing is counted
        counted = Counted("application/octet-stream", 0, document, copies_by_printer=True)
    kept = str(number) if counted.copies_by_printer else "1"
    environment = {**os.environ, "DEVICE_URI": address.removeprefix(MARK)}
    environment |= dict.fromkeys(("CONTENT_TYPE", "FINAL_CONTENT_TYPE"), counted.mime)
    code, read = _send(
        (f"{BACKENDS}/{scheme}", job, NOBODY, UNTITLED, kept, harmless(options)),
        counted.document,
        environment,
    )
    if not read:
        asked.unsent()
    return code


def _taken_by_the_printer(counted: Counted) -> Counted:
    """The same, if cupsd has it from the printer that it takes this type. Raises Uncountable.

    Of any other type CUPS' program would have the printer guess what it is.
    """
    try:
        told = Path(os.environ.get("PPD", "")).read_bytes()
    except OSError:
        told = b""
    if f"{counted.mime} ".encode() not in told:
        raise Uncountable(f"the printer takes no {counted.mime}")
    return counted


def _taken(files: Sequence[str], folder: str | None) -> IO[bytes]:
    """All of the document, in a file without a name: whatever becomes of us, it leaves nothing."""
    document = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # it lives as long as the print
    source: IO[bytes] = Path(files[0]).open("rb") if files else sys.stdin.buffer  # noqa: SIM115
    while part := source.read(1 << 20):
        document.write(part)
        if document.tell() > LARGEST:  # it has no count, and its sender must not wait for us for ever
            break
    document.flush()
    return document


def _send(argv: tuple[str, ...], document: IO[bytes], environment: dict[str, str]) -> tuple[int, bool]:
    """CUPS' own program for this printer; its exit code, and whether it has read anything of the document.

    It opens the document when the printer takes the job: whatever fails before that prints nothing.
    """
    watch = Inotify()
    path = f"/dev/fd/{document.fileno()}"
    watch.add_watch(path, Flag.ACCESS)
    theirs = tuple(number for number in _CUPSDS if _is_open(number))
    process = subprocess.Popen(
        (*argv, path), env=environment, stdin=subprocess.DEVNULL, pass_fds=(*theirs, document.fileno())
    )
    called_off = threading.Event()

    def call_off(_number: int, _frame: object) -> None:
        called_off.set()
        process.terminate()

    signal.signal(signal.SIGTERM, call_off)
    read, left_s = False, END_S
    while (code := process.poll()) is None:
        read = read or _was_read(watch)
        if called_off.is_set() and not read:
            left_s -= LOOK_S
            if left_s < 0:
                process.kill()  # it waits for a printer that says nothing, and cupsd's own patience ends
        with suppress(subprocess.TimeoutExpired):
            process.wait(LOOK_S)
    if called_off.is_set():
        code = OK  # cupsd stops a printer whose program fails
    return (code if code >= 0 else FAILED), read or _was_read(watch)


def _was_read(watch: Inotify) -> bool:
    return any(event.flags & Flag.ACCESS for event in watch.read())


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _say(words: str) -> None:
    """A line in cupsd's log, where it keeps such lines; never a title."""
    sys.stderr.write(f"INFO: {words}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
