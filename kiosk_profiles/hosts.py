"""Address patterns as Chromium's URLAllowlist and URLBlocklist read them.

`[scheme://][.]host[:port][/path]`: without a scheme every scheme matches; a
leading dot means exactly this host, without it subdomains match as well; a
path matches whatever starts with it. Which pattern decides about an address
follows Chromium's documented order: the longer host, then the exact host, then
the longer path, and at a draw the one that allows
(https://support.google.com/chrome/a/answer/9942583).
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from kiosk_profiles.findings import _

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_PATTERN = re.compile(
    r"(?:(?P<scheme>[a-z][a-z0-9-]*)://)?(?P<dot>\.?)(?P<host>\[[0-9a-f:.]+\]|[^/:\[\]?#@]+)"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>/[^?#\s]*)?"
)
_SCHEMES = ("https", "http")
_DEFAULT_PORTS = {"https": 443, "http": 80}


class PatternError(ValueError):
    """A text that is no pattern; `hint` is what to write instead."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class Pattern:
    """One entry of an allow or deny list, taken apart; `port` 0 and empty texts mean any."""

    text: str
    scheme: str
    exact: bool
    host: str
    port: int
    path: str

    def matches(self, url: str) -> bool:
        """Whether this entry speaks about `url` (absolute, http or https)."""
        scheme, host, port, path = _place(url)
        same = host == self.host.strip("[]") or (not self.exact and host.endswith("." + self.host))
        return same and self.scheme in ("", scheme) and self.port in (0, port) and path.startswith(self.path)

    @property
    def precedence(self) -> tuple[int, bool, int]:
        """The larger decides, where several entries match."""
        return len(self.host), self.exact, len(self.path)


@lru_cache(maxsize=256)
def _place(url: str) -> tuple[str, str, int, str]:
    """Scheme, host, port and path of an address, as patterns compare them."""
    parts = urlsplit(url)
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
    return parts.scheme, (parts.hostname or "").rstrip("."), port, parts.path or "/"


@lru_cache(maxsize=8192)
def parse_pattern(text: str) -> Pattern:
    """The pattern that `text` writes. Raises PatternError with a sentence and a cure."""
    if not text or text != text.strip():
        raise PatternError(_("'{text}' is no host", text=text), _("write it without spaces around it"))
    if "*" in text:
        rest = text.rpartition("://")[2].replace("*.", "").replace("*", "").strip("/:.")
        cure = _("write {host}: subdomains are meant unless a dot stands in front", host=rest) if rest else ""
        message = _("'{text}' has a star", text=text)
        raise PatternError(message, cure or _("name each host: a star alone would open the whole web"))
    match = _PATTERN.fullmatch(text.lower())
    if match is None:
        raise PatternError(
            _("'{text}' is no address pattern", text=text),
            _("write [http://][.]host[/path], for instance .www.example.it or example.it/services"),
        )
    host = match["host"]
    _refuse_odd_host(text, host)
    path_from = match.start("path") if match["path"] else len(text)
    if text[:path_from] != text[:path_from].lower():
        message = _("'{text}' has capital letters in the host", text=text)
        raise PatternError(message, _("write {host}", host=text[:path_from].lower() + text[path_from:]))
    scheme = match["scheme"] or ""
    if scheme and scheme not in _SCHEMES:
        message = _("'{text}' has the scheme {scheme}", text=text, scheme=scheme)
        raise PatternError(message, _("only https:// and http:// can be listed"))
    port = int(match["port"] or 0)
    if port > 65535:
        raise PatternError(_("'{text}' has a port above 65535", text=text), _("correct the port"))
    return Pattern(
        text, scheme, bool(match["dot"]), host, port, text[path_from:].removesuffix("/") and text[path_from:]
    )


def _refuse_odd_host(text: str, host: str) -> None:
    if host.startswith("["):
        try:
            ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            raise PatternError(_("{host} is no IPv6 address", host=host), _("correct it")) from None
        return
    if not host.isascii():
        try:
            ascii_host = host.encode("idna").decode("ascii")
        except UnicodeError:
            ascii_host = ""
        if ascii_host:
            message = _("'{text}' has letters that host names do not have", text=text)
            raise PatternError(message, _("write {host}", host=ascii_host))
    if len(host) > 253 or _HOST.fullmatch(host) is None:
        message = _("'{text}' names no host", text=text)
        raise PatternError(message, _("a host is words of a-z, 0-9 and hyphens between single dots"))


def check_url(text: str) -> str:
    """`text`, if it is an absolute http or https address without a user name; else PatternError."""
    cure = _("write the whole address, for instance https://www.example.it/")
    try:
        parts = urlsplit(text)
        port_fine = parts.port is None or parts.port > 0
    except ValueError:
        raise PatternError(_("'{text}' is no web address", text=text), cure) from None
    host = parts.hostname or ""
    plain = text.isascii() and text.isprintable() and " " not in text
    if parts.scheme not in _SCHEMES or not plain or not port_fine or "@" in parts.netloc:
        raise PatternError(_("'{text}' is no web address", text=text), cure)
    _refuse_odd_host(text, f"[{host}]" if ":" in host else host)
    return text


def exact_pattern(url: str) -> str:
    """The pattern that means the host of `url` and no other."""
    return "." + (urlsplit(url).hostname or "")


def allowed(url: str, allow: Iterable[Pattern], deny: Iterable[Pattern] = ()) -> bool:
    """Whether a browser under these lists, with everything else blocked, opens `url`."""
    yes = max((pattern.precedence for pattern in allow if pattern.matches(url)), default=None)
    if yes is None:
        return False
    no = max((pattern.precedence for pattern in deny if pattern.matches(url)), default=None)
    return no is None or yes >= no
