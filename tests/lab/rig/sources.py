"""The Debian archive the base trees come from: read from the host's apt configuration.

Both formats are understood, the one-line `deb [...] URI suite component` and the deb822 paragraphs. A host
that is not Debian may name its archive in PUBLICLAB_MIRROR and PUBLICLAB_SECURITY_MIRROR.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.rig.host import RigError

_KEPT_OPTIONS = ("signed-by", "trusted")


@dataclass(frozen=True, slots=True)
class Source:
    """One archive as apt knows it: where, which suite of it, which components, and how it is trusted."""

    uri: str
    suite: str
    components: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)

    def line(self, suite: str) -> str:
        """The one-line form of this archive for another suite, main component only."""
        options = " ".join(f"{key}={value}" for key, value in self.options.items())
        return f"deb {f'[{options}] ' if options else ''}{self.uri} {suite} main"


def parse_list(text: str) -> list[Source]:
    """The binary archives of a one-line file (sources.list)."""
    found = []
    for line in text.splitlines():
        match = re.match(
            r"^deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s*(?P<rest>[^#]*)", line
        )
        if match:
            options = dict(part.split("=", 1) for part in (match["options"] or "").split() if "=" in part)
            found.append(
                Source(match["uri"], match["suite"], tuple(match["rest"].split()), _kept(options.items()))
            )
    return found


def parse_deb822(text: str) -> list[Source]:
    """The binary archives of a deb822 file (*.sources), disabled paragraphs left out."""
    found = []
    for paragraph in re.split(r"\n\s*\n", re.sub(r"(?m)^#.*\n?", "", text)):
        unfolded = re.sub(r"\n[ \t]+", " ", paragraph)
        pairs = (line.split(":", 1) for line in unfolded.splitlines() if ":" in line)
        fields = {key.strip().lower(): value.strip() for key, value in pairs}
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() == "no":
            continue
        # an inline key cannot go on one line; such an archive is then trusted through the host's keyring
        options = _kept(item for item in fields.items() if "BEGIN PGP" not in item[1])
        found += [
            Source(uri, suite, tuple(fields.get("components", "").split()), options)
            for uri in fields.get("uris", "").split()
            for suite in fields.get("suites", "").split()
        ]
    return found


def _kept(options: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {key.lower(): value for key, value in options if key.lower() in _KEPT_OPTIONS}


def host_sources(etc: Path = Path("/etc/apt")) -> list[Source]:
    """Every binary archive the host's apt is configured with, in apt's own order of files."""
    found: list[Source] = []
    files = [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]
    for file in files:
        if file.suffix == ".list" and file.is_file():
            found += parse_list(file.read_text(errors="replace"))
        elif file.suffix == ".sources" and file.is_file():
            found += parse_deb822(file.read_text(errors="replace"))
    return found


def lines_for(release: str, sources: Sequence[Source], codename: str) -> list[str]:
    """apt lines for `release`, from the archives the host (itself of release `codename`) uses.

    Raises RigError when no Debian archive is among them.
    """
    main = [s for s in sources if "main" in s.components and s.suite in (codename, "stable")]
    # a third party may name its suite like Debian's; Debian's own archive also carries the -updates suite
    uris = {s.uri for s in sources if s.suite.endswith("-updates")}
    main.sort(key=lambda s: s.uri not in uris)
    security = [s for s in sources if s.suite in (f"{codename}-security", "stable-security")]
    if mirror := os.environ.get("PUBLICLAB_MIRROR"):
        main = [Source(mirror, codename)]
    if mirror := os.environ.get("PUBLICLAB_SECURITY_MIRROR"):
        security = [Source(mirror, codename)]
    if not main:
        raise RigError("no Debian archive in this host's apt configuration: name one in PUBLICLAB_MIRROR")
    lines = [main[0].line(release)]
    if main[0].uri in uris:
        lines.append(main[0].line(f"{release}-updates"))
    if security:
        lines.append(security[0].line(f"{release}-security"))
    return lines


def host_codename(os_release: Path = Path("/etc/os-release")) -> str:
    """Code name of the host's release, e.g. bookworm; empty when the host does not say."""
    match = re.search(r'(?m)^VERSION_CODENAME="?([\w-]+)', os_release.read_text())
    return match[1] if match else ""
