"""A sign of life on a terminal for whatever takes more than a second."""

import itertools
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

QUIET_S = 1.0
"""Shorter waits show nothing: a line that flashes by only worries."""


@contextmanager
def working(sentence: str) -> Iterator[None]:
    """Shows `sentence` and the seconds on standard error, if that is a terminal, while the block runs."""
    if not sys.stderr.isatty():
        yield
        return
    done = threading.Event()
    line = threading.Thread(target=_draw, args=(sentence, done), daemon=True)
    line.start()
    try:
        yield
    finally:
        done.set()
        line.join()


def _draw(sentence: str, done: threading.Event) -> None:
    begin = time.monotonic()
    if done.wait(QUIET_S):
        return
    for sign in itertools.cycle("|/-\\"):
        sys.stderr.write(f"\r{sign} {sentence} {time.monotonic() - begin:.0f} s\x1b[K")
        sys.stderr.flush()
        if done.wait(0.25):
            break
    sys.stderr.write("\r\x1b[K")
    sys.stderr.flush()
