"""From a resolved profile to what a station is told, and why. Pure.

One list of rows holds every single thing a station shall be, each with the file
and line that said so; the resources are folded from those rows and nothing else,
so `explain` cannot tell another story than what was sent.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar

import msgspec

from contract.desired import (
    Boot,
    BrowserPolicy,
    Console,
    DesiredState,
    Desktop,
    Kernel,
    KioskUser,
    Language,
    Locale,
    Network,
    Payment,
    Printer,
    Printing,
    Program,
    Resources,
    Session,
    Sound,
    StartPage,
    StartProgram,
    StartTile,
    Storage,
    Texts,
    TimeSync,
)
from contract.start import start_address
from contract.wire import CONTRACT
from kiosk_profiles import browser
from kiosk_profiles.hosts import Pattern, parse_pattern
from kiosk_profiles.layers import PLAIN, SECTIONS, Setting, Settings, Source
from kiosk_profiles.profile import Text, Tile
from kiosk_profiles.services import Bundle

MAX_ALLOW = 1000
"""Longest list Chromium takes; it ignores the rest in silence."""


@dataclass(frozen=True)
class Row:
    """One thing a station shall be: `path` in the language's words, its value, who said it and where."""

    path: str
    value: Any
    layer: str
    file: str
    line: int


@dataclass(frozen=True)
class PlacedBundle:
    """A service bundle and the file it comes from; `lines` holds the line of each host."""

    name: str
    bundle: Bundle
    file: str
    lines: Mapping[str, int]


@dataclass(frozen=True)
class Place:
    """Where a tile leads, and the words on it."""

    title: Text
    about: Text | None
    url: str


@dataclass(frozen=True, eq=False)
class Resolved:
    """A profile with every layer laid over it and its services found. `base` is the lock-down's rows."""

    profile: str
    title: Text
    description: Text
    settings: Settings
    services: Mapping[str, PlacedBundle]
    base: tuple[Row, ...]
    start_words: browser.StartWords

    @cached_property
    def tiles(self) -> tuple[tuple[Place, Source], ...]:
        """Where each tile leads and who put it there; a tile that leads nowhere is left out."""
        found = ((tile_place(self, setting.value), setting.source) for _, setting in self.chosen("tiles"))
        return tuple((place, source) for place, source in found if place is not None)

    @property
    def own_start(self) -> Source | None:
        """Who asks for the PC's own start page: the first tile, where no address is named to start with."""
        if ("start_page",) in self.settings or not self.managed("browser") or not self.tiles:
            return None
        return self.tiles[0][1]

    @property
    def start(self) -> Setting | None:
        """The address that a session begins with."""
        own = self.own_start
        if own is not None:
            return Setting(start_address(self.language), own)
        return self.settings.get(("start_page",))

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """All of it, ordered by section."""
        return tuple(_rows(self))

    @cached_property
    def resources(self) -> Resources:
        """The same for every station with this profile and these layers, so made once."""
        return _fold(self)

    @cached_property
    def allow(self) -> tuple[Pattern, ...]:
        """The web addresses that are open (the browser's own print pages left out)."""
        found = (row.value for row in self.rows if row.path == "browser.allow")
        return tuple(parse_pattern(text) for text in found if text not in browser.OWN_PAGES)

    @cached_property
    def deny(self) -> tuple[Pattern, ...]:
        """Exceptions from `allow`."""
        return tuple(parse_pattern(row.value) for row in self.rows if row.path == "browser.deny")

    @property
    def programs(self) -> tuple[tuple[Program, Source], ...]:
        """The office programs that the start page opens, in its order; none without that page."""
        if self.own_start is None:
            return ()
        named = dict(self.chosen("programs"))
        return tuple((name, named[name].source) for name in browser.PROGRAMS if name in named)

    def chosen(self, name: str) -> Iterator[tuple[str, Setting]]:
        """The items of a list (`services`, `allow`, `deny`, `tiles`, `programs`) that are in."""
        for key, setting in self.settings.items():
            if key[0] == name and setting.value is not False:
                yield key[1], setting

    def value(self, *key: str) -> Any:
        """What holds for one setting; None where nothing says anything or it is unmanaged."""
        setting = self.settings.get(key)
        return setting.value if setting is not None else None

    def managed(self, section: str) -> bool:
        """Whether no layer took the section out of management."""
        return (section,) not in self.settings

    @property
    def language(self) -> Language:
        """The language of what the browser shows of ours."""
        language: Language | None = self.value("language")
        return language or "it"


def compile(
    resolved: Resolved, *, lab: str, station: str, pairing: str, revision: int, issued_at: datetime
) -> DesiredState:
    """What `station` of `lab` shall be at `revision`, in that `pairing` of it.

    Takes what passed the checks (Library.resolve refuses the rest); costs
    microseconds after the first station of the same profile and layers.
    """
    return DesiredState(
        contract=CONTRACT,
        lab=lab,
        station=station,
        pairing=pairing,
        revision=revision,
        profile=resolved.profile,
        issued_at=issued_at,
        resources=resolved.resources,
    )


def explain(resolved: Resolved) -> tuple[Row, ...]:
    """Where each thing that the station is told comes from."""
    return resolved.rows


def tile_place(resolved: Resolved, tile: Tile) -> Place | None:
    """Where a tile leads; None where its service is missing or has no page of its own."""
    if tile.service is None:
        return Place(tile.title, tile.about, tile.url) if tile.title and tile.url else None
    placed = resolved.services.get(tile.service)
    if placed is None or placed.bundle.start is None:
        return None
    return Place(placed.bundle.title, placed.bundle.about, placed.bundle.start)


def _row(path: str, value: Any, source: Source) -> Row:
    return Row(path, value, source.layer, source.file, source.line)


def _rows(resolved: Resolved) -> Iterator[Row]:
    for section in SECTIONS:
        if not resolved.managed(section):
            yield _row(section, None, resolved.settings[(section,)].source)
    if resolved.managed("browser"):
        yield from _browser_rows(resolved)
    if resolved.own_start is not None:
        yield from _start_rows(resolved)
    if resolved.managed("network"):
        yield from _network_rows(resolved)
    if resolved.managed("payment") and resolved.managed("browser"):
        yield from _payment_rows(resolved)
    for key, setting in sorted(resolved.settings.items()):
        if len(key) < 2 or not resolved.managed(key[0]):
            continue
        match key:
            case ("kernel", name):
                yield _row(f"kernel.{name}", setting.value, setting.source)
            case ("desktop", "keys", chord):
                yield _row(f"desktop.{'swallow' if setting.value else 'free'}", chord, setting.source)
            case ("printing", "printers", name):
                printer = None if setting.value is None else {"name": name, "uri": setting.value}
                yield _row("printing.printers", printer, setting.source)
            case (section, name) if section in (*PLAIN, "printing"):
                yield _row(f"{section}.{name}", setting.value, setting.source)


def _browser_rows(resolved: Resolved) -> Iterator[Row]:
    policies: dict[str, Row] = {row.path: row for row in resolved.base}
    if (start := resolved.start) is not None:
        _put(policies, browser.start_page_policies(start.value), start.source)
    downloads = resolved.value("browser", "downloads") is not False
    for name in ("downloads", "uploads", "printing"):
        setting = resolved.settings.get(("browser", name))
        if setting is not None and setting.value is not None:
            _put(
                policies,
                dict(browser.choice_policies(name, setting.value, downloads=downloads)),
                setting.source,
            )
    checked = resolved.settings.get(("browser", "chromium"))
    if checked is not None:
        yield _row("browser.chromium", checked.value, checked.source)
    for key, setting in resolved.settings.items():
        if key[:2] == ("browser", "policies"):
            _put(policies, {key[2]: setting.value}, setting.source)
    yield from (policies[path] for path in sorted(policies))
    yield from _open_rows(resolved)


def _open_rows(resolved: Resolved) -> Iterator[Row]:
    """What the browser opens, and the tiles that lead there."""
    for place, source in resolved.tiles:
        tile = {"name": place.title.say(resolved.language), "url": place.url}
        yield _row("browser.tile", tile, source)
    if resolved.own_start is not None:
        yield from (_row("browser.allow", page, resolved.own_start) for page in browser.START_PAGES)
    for program, source in resolved.programs:
        yield from (_row("browser.allow", page, source) for page in browser.PROGRAM_PAGES[program])
    printing = resolved.settings.get(("browser", "printing"))
    if printing is not None and printing.value:
        yield from (_row("browser.allow", page, printing.source) for page in browser.PRINT_PAGES)
    for name, setting in resolved.chosen("services"):
        placed = resolved.services.get(name)
        hosts = placed.bundle.hosts() if placed is not None else ()
        if placed is not None:
            yield _row("browser.service", name, setting.source)
            for host in hosts:
                if resolved.value("allow", host) is False:
                    continue
                yield Row("browser.allow", host, f"service {name}", placed.file, placed.lines.get(host, 1))
    for name in ("allow", "deny"):
        yield from (_row(f"browser.{name}", text, setting.source) for text, setting in resolved.chosen(name))


def _network_rows(resolved: Resolved) -> Iterator[Row]:
    """Hosts that parts of pages may come from, beside those that the browser may open."""
    for name, _setting in resolved.chosen("services"):
        placed = resolved.services.get(name)
        if placed is not None:
            for host in placed.bundle.network_only:
                yield Row("network.allow", host, f"service {name}", placed.file, placed.lines.get(host, 1))
    for key, setting in sorted(resolved.settings.items()):
        if key[:2] == ("network", "allow"):
            yield _row("network.allow", key[2], setting.source)


def _payment_rows(resolved: Resolved) -> Iterator[Row]:
    """Hosts that are open while the payment mode is, by the same words as those that always are."""
    for key, setting in sorted(resolved.settings.items()):
        match key:
            case ("payment", "services", name) if (placed := resolved.services.get(name)) is not None:
                yield _row("payment.service", name, setting.source)
                for path, hosts in (("allow", placed.bundle.hosts()), ("parts", placed.bundle.network_only)):
                    for host in hosts:
                        line = placed.lines.get(host, 1)
                        yield Row(f"payment.{path}", host, f"service {name}", placed.file, line)
            case ("payment", "allow", host):
                yield _row("payment.allow", host, setting.source)


def _start_rows(resolved: Resolved) -> Iterator[Row]:
    """The start page, in all its languages."""
    for place, source in resolved.tiles:
        about = {"about": _texts(place.about)} if place.about is not None else {}
        tile = {"title": _texts(place.title), **about, "url": place.url}
        yield _row("start_page.tiles", tile, source)
    for program, source in resolved.programs:
        yield _row("start_page.programs", program, source)


def _texts(text: Text) -> dict[str, str]:
    return text.model_dump(exclude_none=True)


def _put(policies: dict[str, Row], values: Mapping[str, Any], source: Source) -> None:
    for name, value in values.items():
        path = f"browser.policies.{name}"
        policies[path] = _row(path, value, source)


def _fold(resolved: Resolved) -> Resources:
    found: dict[str, list[Any]] = {}
    policies: dict[str, Any] = {}
    sysctl: dict[str, str] = {}
    for row in resolved.rows:
        section, _, name = row.path.partition(".")
        if row.value is None:
            continue
        if name.startswith("policies."):
            policies[name.removeprefix("policies.")] = row.value
        elif section == "kernel":
            sysctl[name] = row.value
        else:
            found.setdefault(row.path, []).append(row.value)
    return Resources(
        browser_policy=_browser_policy(resolved, policies, found) if resolved.managed("browser") else None,
        network=_network(resolved, found) if resolved.managed("network") else None,
        kernel=Kernel(sysctl=sysctl) if sysctl else None,
        desktop=_desktop(found) if resolved.managed("desktop") else None,
        start_page=_start_page(resolved, found) if "start_page.tiles" in found else None,
        console=_plain(Console, "console", found),
        storage=_plain(Storage, "storage", found),
        boot=_plain(Boot, "boot", found),
        printing=_printing(found) if resolved.managed("printing") else None,
        time=_plain(TimeSync, "time", found),
        session=_session(resolved, found),
        kiosk_user=_plain(KioskUser, "kiosk_user", found),
        locale=_locale(resolved, found),
        sound=_plain(Sound, "sound", found),
        payment=_payment(resolved, found),
    )


_Section = TypeVar("_Section", Boot, Console, KioskUser, Locale, Sound, Storage, TimeSync)


def _plain(kind: type[_Section], section: str, found: Mapping[str, list[Any]]) -> _Section | None:
    """A section of the contract whose fields are called as in the language; None where nothing is said."""
    chosen = {
        path.removeprefix(f"{section}."): values[-1]
        for path, values in found.items()
        if path.startswith(f"{section}.")
    }
    return kind(**chosen) if chosen else None


def _browser_policy(
    resolved: Resolved, policies: dict[str, Any], found: Mapping[str, list[Any]]
) -> BrowserPolicy:
    denied = sorted(set(found.get("browser.deny", ())))
    policies["URLBlocklist"] = [*policies.get("URLBlocklist", ()), *denied]
    if resolved.managed("network"):
        policies |= browser.PROXY_POLICIES
    policies |= browser.bookmark_policies(
        resolved.title.say(resolved.language), found.get("browser.tile", [])
    )
    return BrowserPolicy(
        policies=policies,
        allow=tuple(sorted(set(found.get("browser.allow", ())))),
        chromium=found.get("browser.chromium", [0])[-1],
    )


def _start_page(resolved: Resolved, found: Mapping[str, list[Any]]) -> StartPage:
    words = resolved.start_words
    return StartPage(
        title=Texts(**_texts(resolved.title)),
        about=Texts(**_texts(resolved.description)),
        help=Texts(**_texts(words.help)),
        languages=Texts(**_texts(words.languages)),
        tiles=tuple(msgspec.convert(tile, StartTile) for tile in found["start_page.tiles"]),
        language=resolved.language,
        programs=tuple(
            StartProgram(
                program=program,
                title=Texts(**_texts(words.programs[program].title)),
                about=Texts(**_texts(words.programs[program].about)),
                opening=Texts(**_texts(words.opening)),
            )
            for program in found.get("start_page.programs", ())
        ),
    )


def _network(resolved: Resolved, found: Mapping[str, list[Any]]) -> Network:
    """Everything that is open to the browser is open through the proxy, and so are the parts of pages."""
    patterns = (*resolved.allow, *map(parse_pattern, found.get("network.allow", ())))
    ports = {
        pattern.port
        for pattern in (*patterns, *_while_paying(found))
        if pattern.port and pattern.scheme != "http"
    }
    return Network(hosts=_gate(patterns), ports=tuple(sorted({443} | ports)))


def _gate(patterns: Iterable[Pattern]) -> tuple[str, ...]:
    """Those hosts as the proxy's list has them."""
    return tuple(sorted({f"{'.' if one.exact else ''}{one.host}" for one in patterns if "[" not in one.host}))


def _while_paying(found: Mapping[str, list[Any]]) -> Iterator[Pattern]:
    return map(parse_pattern, (*found.get("payment.allow", ()), *found.get("payment.parts", ())))


def _payment(resolved: Resolved, found: Mapping[str, list[Any]]) -> Payment | None:
    """None where nothing would open: then the PC says that it has no payment mode."""
    allow = tuple(sorted(set(found.get("payment.allow", ()))))
    if not allow:
        return None
    return Payment(allow=allow, hosts=_gate(_while_paying(found)) if resolved.managed("network") else ())


def _printing(found: Mapping[str, list[Any]]) -> Printing:
    return Printing(
        printers=tuple(Printer(**one) for one in found.get("printing.printers", ())),
        pages=found.get("printing.pages", [None])[-1],
    )


def _locale(resolved: Resolved, found: Mapping[str, list[Any]]) -> Locale | None:
    """In the profile's language, where none is said."""
    said = _plain(Locale, "locale", found)
    if said is None or "locale.language" in found:
        return said
    return msgspec.structs.replace(said, language=resolved.language)


def _session(resolved: Resolved, found: Mapping[str, list[Any]]) -> Session | None:
    """Only where there is a page to begin on."""
    start = resolved.start
    if not resolved.managed("session") or not found.get("session.offered", [False])[-1] or start is None:
        return None
    programs = tuple(found.get("start_page.programs", ()))
    return Session(start_page=start.value, language=resolved.language, programs=programs)


def _desktop(found: Mapping[str, list[Any]]) -> Desktop:
    chosen = {
        field: found[path][-1]
        for path, field in (("desktop.bar_height", "bar_height"), ("desktop.blank_after_s", "screen_blank_s"))
        if path in found
    }
    return Desktop(swallowed_keys=tuple(found.get("desktop.swallow", ())), **chosen)
