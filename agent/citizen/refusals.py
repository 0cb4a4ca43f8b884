"""Whether the browser has just refused a download, by what becomes of the files in its folder for downloads.

Chromium writes a download to a file of a name of its own before it decides about it. One
that it takes gets a better name next; one that policy refuses is deleted under the first.
It says so nowhere else that could be seen from outside (docs/decisions/0054).
"""

FIRST_NAME = ".org.chromium.Chromium."
_MOST = 64
"""So many files are remembered at once: a session's programs can make files without end."""


class Refusals:
    """What is known of the files that have no better name yet."""

    def __init__(self) -> None:
        self._unnamed: set[str] = set()

    def appeared(self, name: str) -> None:
        """A file is there."""
        if name.startswith(FIRST_NAME) and len(self._unnamed) < _MOST:
            self._unnamed.add(name)

    def named(self, name: str) -> None:
        """A file has got another name, or went somewhere else."""
        self._unnamed.discard(name)

    def deleted(self, name: str) -> bool:
        """A file is gone: whether that was a download that was refused."""
        found = name in self._unnamed
        self._unnamed.discard(name)
        return found
