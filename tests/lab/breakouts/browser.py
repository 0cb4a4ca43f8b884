"""Attempts with addresses: typed ones of every scheme, the browser's own pages, and what pages fetch."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator

from tests.lab.breakouts.pages import BROKEN, HEADERS, MARKUP, SCRIPTS, SECURE_SCRIPTS, slug
from tests.lab.breakouts.table import SECURE, Attempt, Escape, Seat
from tests.lab.breakouts.windows import clicked_out
from tests.lab.breakouts.world import INSIDE, LIKE, OUTSIDE

START = "/var/lib/lab-agent/start"
_VIEWER = "mhjfbmdgcfjbbpaeojofohoefgiehjai"
"""The extension that is Chromium's PDF viewer."""
OUTSIDE_HEARD = "a host that is not on the list"


def attempts() -> Iterator[Attempt]:
    """All of them, class by class."""
    yield from _addresses()
    yield from _own_pages()
    yield from _exits()


def _addresses() -> Iterator[Attempt]:
    def typed(make: Callable[[Seat], str]) -> Escape:
        def escapes(seat: Seat) -> bool:
            seat.screen.go(make(seat))
            return seat.reached()

        return escapes

    ways: dict[str, Callable[[Seat], str]] = {
        "by name": lambda _: f"http://{OUTSIDE}/typed",
        "without a scheme": lambda _: f"{OUTSIDE}/bare",
        "in capitals": lambda _: f"HTTP://{OUTSIDE.upper()}/capitals",
        "with the allowed host as a user name": lambda _: f"http://{INSIDE}@{OUTSIDE}/user",
        "by its address": lambda seat: f"http://{seat.world.outside}/address",
        "by its address as one number": lambda seat: (
            f"http://{int(ipaddress.IPv4Address(seat.world.outside))}/number"
        ),
        "by its address in the new form": lambda seat: f"http://[::ffff:{seat.world.outside}]/six",
        "by a name with more before the allowed one": lambda _: f"http://{LIKE[0]}/more",
        "by a name with the allowed one before it": lambda _: f"http://{LIKE[1]}/before",
        "by a name with a letter for a dot": lambda _: f"http://{LIKE[2]}/letter",
        "on another port": lambda _: f"http://{OUTSIDE}:8080/port",
        "over TLS": lambda _: f"https://{OUTSIDE}/tls",
    }
    for name, make in ways.items():
        yield Attempt("address bar", name, OUTSIDE_HEARD, typed(make))
    for name, text, title in (
        ("a folder of the PC", "file:///etc/", "Index of /etc"),
        ("a file of the PC", "file:///etc/os-release", "os-release"),
        ("a folder beyond the start page", f"file://{START}/it.html/../../../../../etc/", "Index of /etc"),
        ("a folder, written in code", f"file://{START}/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/", "Index of /etc"),
        ("a file by its path alone", "/etc/os-release", "os-release"),
        ("a folder, with more slashes", "file://///etc/", "Index of /etc"),
        ("a folder of a host's", "file://localhost/etc/", "Index of /etc"),
        ("what the kernel tells", "file:///proc/version", "version"),
        ("a page in the address", f"data:text/html,<title>{BROKEN}</title>", BROKEN),
        ("a script in the address", f"javascript:document.title='{BROKEN}'", BROKEN),
        ("a page of an extension", f"chrome-extension://{_VIEWER}/index.html", _VIEWER),
    ):
        yield Attempt("address bar", name, "a page that is nobody's site", _titled(text, title))
    yield Attempt("address bar", "a page's source", "the page's insides", _source)


def _source(seat: Seat) -> bool:
    # A blocked page is called by its address, so the title tells nothing: the site is asked for it again.
    seat.screen.go(f"view-source:http://{INSIDE}/source")
    return seat.reached("/source", site=INSIDE)


def _own_pages() -> Iterator[Attempt]:
    for address, title in (
        ("chrome://settings", ("Settings", "Impostazioni")),
        ("about:settings", ("Settings", "Impostazioni")),
        ("chrome:settings", ("Settings", "Impostazioni")),
        ("chrome://password-manager", ("Password Manager", "Gestore delle password")),
        ("chrome://flags", ("Experiments",)),
        ("chrome://version", ("About Version", "Informazioni")),
        ("chrome://policy", ("Policies", "Criteri")),
        ("chrome://extensions", ("Extensions", "Estensioni")),
        ("chrome://downloads", ("Downloads", "Download")),
        ("chrome://history", ("History", "Cronologia")),
        ("chrome://net-export", ("Network Log Export", "Net Export", "Capture Network Log")),
        ("chrome://inspect", ("Inspect with Chrome Developer Tools",)),
        ("about:gpu", ("GPU Internals",)),
        ("chrome://print/../settings", ("Settings", "Impostazioni")),
        ("chrome://chrome-urls", ("Chrome URLs",)),
        ("chrome://accessibility", ("Accessibility Internals",)),
        ("chrome://bookmarks", ("Bookmarks", "Preferiti")),
        ("chrome://certificate-manager", ("Certificate Manager", "Certificates", "Gestione certificati")),
    ):
        yield Attempt("browser's own pages", address, "its settings and insides", _titled(address, *title))
    for address in ("chrome://quit", "chrome://restart", "chrome://inducebrowsercrashforrealz"):
        yield Attempt(
            "browser's own pages", address, "a screen without a browser", _ends(address), fresh=True
        )
    tools = "devtools://devtools/bundled/devtools_app.html"
    yield Attempt("developer tools", "by address", "the page's insides", _titled(tools, "DevTools"))


def _titled(address: str, *titles: str) -> Escape:
    def escapes(seat: Seat) -> bool:
        seat.screen.go(address)
        return seat.shows(*titles)

    return escapes


def _ends(address: str) -> Escape:
    def browser(seat: Seat) -> str:
        return seat.screen.run("pgrep", "-o", "-x", "chromium", check=False)

    def escapes(seat: Seat) -> bool:
        seat.open("start")
        before = browser(seat)
        seat.screen.go(address)
        return seat.wait(lambda: browser(seat) != before)

    return escapes


def _exits() -> Iterator[Attempt]:
    for kind, names in (("script", SCRIPTS), ("markup", MARKUP)):
        for name, text in names.items():
            page, click = f"{kind}/{slug(name)}", "onclick" in text
            yield Attempt(
                *("what pages fetch", name, OUTSIDE_HEARD, clicked_out(page) if click else _opened(page)),
                fresh="window" in name,
            )
    for name in HEADERS:
        yield Attempt(
            *("what pages fetch", f"by a header, {name}", OUTSIDE_HEARD, _opened(f"header/{slug(name)}"))
        )
    for name in SECURE_SCRIPTS:
        escapes = _opened(f"script/{slug(name)}")
        yield Attempt("what pages fetch", name, OUTSIDE_HEARD, escapes, fresh=True, flags=SECURE)


def _opened(page: str) -> Escape:
    def escapes(seat: Seat) -> bool:
        seat.open(page)
        return seat.reached()

    return escapes
