"""Whether the title of the active window says that an address was refused.

Chromium's own page about it cannot be replaced, but it has no title, so the
window is called by the address; and the proxy's page has one of its own. A page
that is open may have no title either (a PDF, a picture), so the address is held
against the browser's own lists, whose files everybody may read.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

ALLOW = "/etc/chromium/policies/managed/60-lab-allow.json"
DENY = "/etc/chromium/policies/managed/50-lab-policy.json"

_PROXY = "403 Filtered"
"""How tinyproxy calls the page with which it refuses a host over http."""
_FILE = ".pdf"
"""Chromium's viewer calls its window by the file's name, which looks like a host; no domain ends so."""
_BROWSER = re.compile(r" [-–—] Chromium$")
_ADDRESS = re.compile(  # small letters only: so Chromium writes hosts, and so people write few titles
    r"(?:(?P<scheme>[a-z][a-z-]*)://(?P<any>[^\s/?#]*)|(?P<host>\[[0-9a-f:]+\]|[a-z0-9_-]+(?:\.[a-z0-9_-]+)+|localhost)"
    r"(?::\d+)?)(?P<path>/[^\s?#]*)?(?:[?#]\S*)?"
)
_ENTRY = re.compile(
    r"(?:(?P<scheme>[a-z][a-z-]*):(?://)?)?(?P<dot>\.?)(?P<host>[^/:]*)(?::(?P<port>[0-9*]+))?(?P<path>/.*)?"
)


@dataclass(frozen=True)
class Lists:
    """Chromium's URLAllowlist and URLBlocklist."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


def read_lists(allow: str, deny: str) -> Lists:
    """The lists in the texts of the two policy files; empty where a file has none."""
    return Lists(_entries(allow, "URLAllowlist"), _entries(deny, "URLBlocklist"))


def refused(title: str, lists: Lists) -> bool:
    """Whether a window of this title shows that its address is not open.

    Nothing is refused where the lab does not manage the browser (no lists).
    """
    title = _BROWSER.sub("", title)
    if title.startswith(_PROXY):
        return True
    address = _ADDRESS.fullmatch(title)
    if not lists.deny or address is None:
        return False
    if address["path"] is None and (address["host"] or "").endswith(_FILE):
        return False
    yes = _decides(address, lists.allow)
    return yes is None or (_decides(address, lists.deny) or (-1, False, -1)) > yes


_Weight = tuple[int, bool, int]


def _decides(address: re.Match[str], entries: Iterable[str]) -> _Weight | None:
    """How strongly the entry that decides speaks about the address (as kiosk_profiles.hosts has it)."""
    return max((weight for entry in entries if (weight := _weight(address, entry)) is not None), default=None)


def _weight(address: re.Match[str], entry: str) -> _Weight | None:
    if entry == "*":
        return (-1, False, -1)
    pattern = _ENTRY.fullmatch(entry)
    if pattern is None:
        return None
    host = (address["host"] or address["any"]).partition(":")[0]
    path = address["path"] or "/"
    # A title leaves the scheme out where it is http or https.
    if pattern["scheme"] and address["scheme"] not in (None, pattern["scheme"]):
        return None
    if pattern["scheme"] not in (None, "http", "https") and address["scheme"] is None:
        return None
    name = pattern["host"]
    if name == "*":
        return (0, False, 0)
    exact = host == name
    if not exact and (pattern["dot"] or not host.endswith("." + name)):
        return None
    if not path.startswith(pattern["path"] or ""):
        return None
    return len(name), bool(pattern["dot"]), len(pattern["path"] or "")


def _entries(text: str, key: str) -> tuple[str, ...]:
    try:
        found = json.loads(text)[key]
    except (ValueError, KeyError, TypeError):
        return ()
    return tuple(entry for entry in found if isinstance(entry, str)) if isinstance(found, list) else ()
