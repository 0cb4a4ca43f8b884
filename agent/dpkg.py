"""Which version of a Debian package is installed, from dpkg's own file and without running dpkg."""

from pathlib import Path

STATUS = Path("/var/lib/dpkg/status")


class Packages:
    """Remembers what it read until the file is another one: a look then costs one system call."""

    def __init__(self, status: Path = STATUS) -> None:
        self._status = status
        self._at = (0, 0)
        self._versions: dict[str, str | None] = {}

    def version(self, package: str) -> str | None:
        """None where it is not installed, or the file cannot be read just now."""
        try:
            about = self._status.stat()
            at = (about.st_mtime_ns, about.st_ino)
            if self._at != at:
                self._at, self._versions = at, {}
            if package not in self._versions:
                self._versions[package] = installed_version(self._status.read_bytes(), package)
        except OSError:  # no Debian, or dpkg is replacing it: the next look tells
            return None
        return self._versions[package]


def installed_version(status: bytes, package: str) -> str | None:
    """The version in the text of dpkg's status file (deb822 paragraphs)."""
    _, found, rest = (b"\n" + status).partition(b"\nPackage: " + package.encode() + b"\n")
    if not found:
        return None
    fields = dict(line.partition(b": ")[::2] for line in rest.partition(b"\n\n")[0].splitlines())
    if fields.get(b"Status") != b"install ok installed":
        return None
    return fields.get(b"Version", b"").decode(errors="replace") or None
