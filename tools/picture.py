"""A picture of what a command shows on a terminal: runs it on one of 80 columns and draws the screen as SVG.

    python -m tools.picture docs/pictures/status.svg labctl status

The picture in the README is made so from a running lab, never drawn by hand.
"""

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 80
LINES = 24


def screen(
    argv: Sequence[str],
    columns: int = COLUMNS,
    lines: int = LINES,
    env: Mapping[str, str] | None = None,
    keys: tuple[bytes, bytes] = (b"", b""),
) -> tuple[str, int]:
    """What `argv` writes to a terminal of that size, escape sequences and all, and its exit code.

    `keys`: as soon as the first was on the screen, the second is pressed.
    """
    terminal, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", lines, columns, 0, 0))
    world = {name: value for name, value in (env or os.environ).items() if name not in ("COLUMNS", "LINES")}
    with subprocess.Popen(
        argv, stdin=theirs, stdout=theirs, stderr=theirs, env=world | {"TERM": "xterm-256color"}
    ) as process:
        os.close(theirs)
        written = bytearray()
        try:
            while part := os.read(terminal, 65536):
                written += part
                if keys[1] and keys[0] in written:
                    os.write(terminal, keys[1])
                    keys = (b"", b"")
        except OSError:
            """The other end closed: how a pseudo-terminal says that this was all."""
        os.close(terminal)
    return written.decode("utf-8", "replace").replace("\r\n", "\n"), process.returncode


def draw(text: str, title: str, columns: int = COLUMNS) -> str:
    """The SVG of a screen, in whatever fixed-width font the reader has."""
    console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(text.rstrip("\n")))
    svg = console.export_svg(title=title)
    return re.sub(
        r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL
    )  # fonts from elsewhere: no picture phones home


def main() -> int:
    """Entry point."""
    if len(sys.argv) < 3:
        sys.stderr.write("usage: python -m tools.picture FILE.svg COMMAND...\n")
        return 2
    target, argv = Path(sys.argv[1]), sys.argv[2:]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(draw(screen(argv)[0], " ".join(argv)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
