"""Layers and how they are laid over each other: base < profile < lab < group < PC.

A layer becomes a flat mapping of settings, each under a path of its own and
with the file and line that said it. A list is flat as well: each item is a
setting that is in (True) or taken out (False). So laying one layer over another
is the union of two mappings in which the upper wins, and the laws hold by
themselves: an empty layer changes nothing, and the grouping does not matter.

`null` for a section (`browser: null`) is a setting at the section's own path.
Nothing else is ever written there, so a section that one layer took out of
management stays out: a maintenance PC stays open whatever the lab's layer says.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from kiosk_profiles.loader import Loaded
from kiosk_profiles.profile import Layer
from kiosk_profiles.yamltext import Path

Key = tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """Who said something: the layer's name ("base", "profile citizen", "lab", "group aula",
    "pc pc-03", "service spid") and where."""

    layer: str
    file: str
    line: int


@dataclass(frozen=True)
class Setting:
    """One setting and where it came from. None is unmanaged."""

    value: Any
    source: Source


Settings = Mapping[Key, Setting]

SECTIONS = (
    "browser",
    "network",
    "kernel",
    "desktop",
    "console",
    "storage",
    "boot",
    "printing",
    "time",
    "session",
    "kiosk_user",
    "locale",
    "sound",
    "payment",
)
PLAIN = ("desktop", "console", "storage", "boot", "time", "session", "kiosk_user", "locale", "sound")
"""Sections whose settings are told by their own names."""


def merge(lower: Settings, upper: Settings) -> Settings:
    """`upper` laid over `lower`."""
    return {**lower, **upper}


@lru_cache(maxsize=1024)
def settings(loaded: Loaded[Layer], layer: str, file: str) -> Settings:
    """What one file says, as settings. What it leaves to the model's defaults is not said and not here."""
    model, document = loaded.model, loaded.document
    if model is None or document is None:
        return {}
    said = (
        *_top(model),
        *_unmanaged(model),
        *_browser(model),
        *_network(model),
        *_kernel(model),
        *_desktop(model),
        *_plain(model, "console", "access"),
        *_plain(model, "storage", "removable", "usb", "documents", "max_documents", "max_document_mb"),
        *_plain(model, "boot", "menu_s", "password_hash"),
        *_printing(model),
        *_plain(model, "time", "servers"),
        *_plain(model, "session", "offered"),
        *_plain(model, "kiosk_user", "access"),
        *_plain(model, "locale", "language", "keyboard", "scripts"),
        *_plain(model, "sound", "level"),
        *_payment(model),
    )
    return {key: Setting(value, Source(layer, file, document.line(path))) for key, value, path in said}


_Said = Iterator[tuple[Key, Any, Path]]


def _top(model: Layer) -> _Said:
    for name in ("language", "start_page"):
        if name in model.model_fields_set:
            yield (name,), getattr(model, name), (name,)
    for name in ("services", "allow", "deny", "programs"):
        for index, item in enumerate(getattr(model, name)):
            yield (name, item), True, (name, index)
        for index, item in enumerate(getattr(model.remove, name)):
            yield (name, item), False, ("remove", name, index)
    for index, tile in enumerate(model.tiles):
        yield ("tiles", tile.key), tile, ("tiles", index)
    for index, item in enumerate(model.remove.tiles):
        yield ("tiles", item), False, ("remove", "tiles", index)


def _unmanaged(model: Layer) -> _Said:
    for section in SECTIONS:
        if section in model.model_fields_set and getattr(model, section) is None:
            yield (section,), None, (section,)


def _plain(model: Layer, section: str, *names: str) -> _Said:
    """A section's own values, as far as the file says them."""
    part = getattr(model, section)
    for name in names:
        if part is not None and name in part.model_fields_set:
            value = getattr(part, name)
            yield (section, name), tuple(value) if isinstance(value, list) else value, (section, name)


def _browser(model: Layer) -> _Said:
    if model.browser is None:
        return
    yield from _plain(model, "browser", "downloads", "uploads", "printing", "chromium")
    for name, value in model.browser.policies.items():
        yield ("browser", "policies", name), value, ("browser", "policies", name)


def _network(model: Layer) -> _Said:
    for index, host in enumerate(model.network.allow if model.network is not None else ()):
        yield ("network", "allow", host), True, ("network", "allow", index)


def _kernel(model: Layer) -> _Said:
    for name, value in (model.kernel or {}).items():
        yield ("kernel", name), value, ("kernel", name)


def _printing(model: Layer) -> _Said:
    for name, uri in (model.printing.printers if model.printing is not None else {}).items():
        yield ("printing", "printers", name), uri, ("printing", "printers", name)
    yield from _plain(model, "printing", "pages")


def _payment(model: Layer) -> _Said:
    for name in ("services", "allow"):
        for index, item in enumerate(getattr(model.payment, name) if model.payment is not None else ()):
            yield ("payment", name, item), True, ("payment", name, index)


def _desktop(model: Layer) -> _Said:
    if model.desktop is None:
        return
    yield from _plain(model, "desktop", "bar_height", "blank_after_s")
    for name, swallowed in (("swallow", True), ("free", False)):
        for index, chord in enumerate(getattr(model.desktop, name)):
            yield ("desktop", "keys", chord), swallowed, ("desktop", name, index)
