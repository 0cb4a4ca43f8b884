"""The profile language: what one may write, and what a wrong value is told.

Pydantic models for people who write YAML; docs/profiles.md is their manual. A
Layer is what a lab, a group or a PC lays over a profile; a Profile is a layer
with a title. Nothing here is required but the title, because what a file does
not say comes from the layer below.
"""

from typing import Annotated, Any, Literal

import msgspec
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator
from pydantic_core import PydanticCustomError

from contract.desired import (
    DocumentKind,
    GrubHash,
    HostName,
    KeyboardLayout,
    KeyChord,
    Language,
    PrinterName,
    PrinterUri,
    Program,
    RemovableMode,
    Script,
    SysctlKey,
    SysctlValue,
    UsbKind,
)
from kiosk_profiles import hosts
from kiosk_profiles.findings import _

OWNED_POLICIES = {
    "URLAllowlist": "allow",
    "URLBlocklist": "deny",
    "ManagedBookmarks": "tiles",
    "BookmarkBarEnabled": "tiles",
    "RestoreOnStartup": "start_page",
    "RestoreOnStartupURLs": "start_page",
    "HomepageLocation": "start_page",
    "HomepageIsNewTabPage": "start_page",
    "NewTabPageLocation": "start_page",
    "AllowFileSelectionDialogs": "browser.uploads",
    "DownloadRestrictions": "browser.downloads",
    "PrintingEnabled": "browser.printing",
}
"""Chromium policies that the language has a word of its own for, and that word."""


def refuse(message: str, hint: str = "") -> PydanticCustomError:
    """A sentence of ours and its cure, in the shape in which pydantic carries it to the loader."""
    return PydanticCustomError("said", "{message}", {"message": message, "hint": hint})


class Strict(BaseModel):
    """No unknown keys, no conversions, no change afterwards."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _pattern(value: Any) -> Any:
    if isinstance(value, str):
        try:
            hosts.parse_pattern(value)
        except hosts.PatternError as error:
            raise refuse(str(error), error.hint) from None
    return value


def _url(value: Any) -> Any:
    if isinstance(value, str):
        try:
            hosts.check_url(value)
        except hosts.PatternError as error:
            raise refuse(str(error), error.hint) from None
    return value


def _as_contract(kind: Any, message: str, hint: str) -> BeforeValidator:
    """A text that must also pass the contract's own rule, so that no station refuses it later."""

    def check(value: Any) -> Any:
        if isinstance(value, str):
            try:
                msgspec.convert(value, kind)
            except msgspec.ValidationError:
                raise refuse(message.format(value=value), hint) from None
        return value

    return BeforeValidator(check)


def _somewhere(value: Any) -> Any:
    if value is None:
        raise refuse(_("nothing is there"), _("write an address, or delete the line to keep the layer below"))
    return value


def _not_behind_our_back(name: Any) -> Any:
    if name in OWNED_POLICIES:
        raise refuse(
            _("this policy is written by the language itself"),
            _("use '{word}' instead", word=OWNED_POLICIES[name]),
        )
    return name


def _sysctl_value(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Policy = Annotated[str, BeforeValidator(_not_behind_our_back)]
HostPattern = Annotated[str, BeforeValidator(_pattern)]
Url = Annotated[str, BeforeValidator(_url)]
ServiceName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
Chord = Annotated[
    str,
    _as_contract(
        KeyChord, _("'{value}' is no key"), _("write it as openbox does: C-n, A-F4, C-S-t, Super_L")
    ),
]
Server = Annotated[
    str, _as_contract(HostName, _("'{value}' is no server"), _("write a host name or an address"))
]
Sysctl = Annotated[
    str,
    _as_contract(
        SysctlKey, _("'{value}' is no kernel parameter"), _("write it with dots, as sysctl prints it")
    ),
]
Setting = Annotated[
    str,
    BeforeValidator(_sysctl_value),
    _as_contract(SysctlValue, _("'{value}' cannot be a kernel parameter's value"), _("write one short line")),
]
Hash = Annotated[
    str,
    _as_contract(
        GrubHash, _("this is no hash for GRUB"), _("let 'labctl boot password' make one, and write all of it")
    ),
]

Layout = Annotated[
    str, _as_contract(KeyboardLayout, _("'{value}' is no keyboard"), _("write it as X does: it, gb, us, ro"))
]

PrinterWord = Annotated[
    str,
    _as_contract(
        PrinterName,
        _("'{value}' cannot be a printer's name"),
        _("use small letters, digits, hyphens and underscores"),
    ),
]
PrinterAddress = Annotated[
    str,
    _as_contract(
        PrinterUri,
        _("'{value}' is no printer's address"),
        _("write it as ipp://10.0.0.9/ipp/print or ipps://..., as the printer's own page shows it"),
    ),
]


class Text(Strict):
    """What citizens and technicians read, by language; Italian is the one that must be there."""

    it: Annotated[str, Field(min_length=1, max_length=400)]
    en: Annotated[str, Field(min_length=1, max_length=400)] | None = None
    ro: Annotated[str, Field(min_length=1, max_length=400)] | None = None

    def say(self, language: str) -> str:
        """The text in `language`, or in Italian where there is none."""
        said: str | None = getattr(self, language, None)
        return said or self.it


class Tile(Strict):
    """A way to a site, one touch away: a service's own, or a title and an address."""

    service: ServiceName | None = None
    title: Text | None = None
    about: Text | None = None
    url: Url | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"service": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_or_the_other(self) -> "Tile":
        if (self.service is None) != (self.title is not None and self.url is not None):
            raise refuse(
                _("a tile is either a service or a title with an address"),
                _("write the service's name alone, or 'title: {it: ...}' and 'url: https://...'"),
            )
        if self.service is not None and (self.title, self.about, self.url) != (None, None, None):
            raise refuse(
                _("a service's tile has its own title and address"), _("write the service's name alone")
            )
        return self

    @property
    def key(self) -> str:
        """What two tiles must share to be the same tile."""
        return self.service or self.url or ""


class Browser(Strict):
    """What the browser lets a citizen do. None leaves that one thing to Chromium.

    `chromium` is the major version that the policy was checked with.
    """

    downloads: bool | None = None
    uploads: bool | None = None
    printing: bool | None = None
    chromium: Annotated[int | None, Field(ge=1, le=9999)] = None
    policies: dict[Policy, JsonValue] = Field(default_factory=dict)


class Desktop(Strict):
    """The kiosk's screen; lengths in pixels, times in seconds."""

    bar_height: Annotated[int, Field(ge=0, le=400)] = 36
    blank_after_s: Annotated[int, Field(ge=0, le=86400)] = 0
    swallow: list[Chord] = Field(default_factory=list)
    free: list[Chord] = Field(default_factory=list)


class Console(Strict):
    """The text consoles behind the screen."""

    access: Literal["closed"] = "closed"


class Storage(Strict):
    """What may be plugged in; a layer that names kinds of USB devices, or of documents, replaces the list."""

    removable: RemovableMode = "none"
    usb: Annotated[list[UsbKind], Field(max_length=16)] = Field(default_factory=list)
    documents: Annotated[list[DocumentKind], Field(min_length=1, max_length=32)] = Field(default_factory=list)
    max_documents: Annotated[int, Field(ge=1, le=2000)] = 200
    max_document_mb: Annotated[int, Field(ge=1, le=500)] = 50


class Boot(Strict):
    """How the PC starts; seconds."""

    menu_s: Annotated[int, Field(ge=0, le=60)] = 0
    password_hash: Hash | None = None


class Printing(Strict):
    """Printers by name, null to take one out of a wider layer; pages for a session, null for no limit."""

    printers: Annotated[dict[PrinterWord, PrinterAddress | None], Field(max_length=16)] = Field(
        default_factory=dict
    )
    pages: Annotated[int | None, Field(ge=1, le=1000)] = None


class Time(Strict):
    """NTP servers, the best first; a layer that names some replaces the list."""

    servers: Annotated[list[Server], Field(min_length=1, max_length=8)]


class Network(Strict):
    """Hosts that serve parts of pages (pictures, scripts) and are never opened themselves."""

    allow: list[HostPattern] = Field(default_factory=list)


class Payment(Strict):
    """What is open beside the rest while the payment mode is: services, and single hosts."""

    services: list[ServiceName] = Field(default_factory=list)
    allow: list[HostPattern] = Field(default_factory=list)


class Session(Strict):
    """Whether citizens sit here: a screen, a desktop, and a browser between a session's start and end."""

    offered: bool


class KioskUser(Strict):
    """The account that citizens work as."""

    access: Literal["closed"] = "closed"


class Locale(Strict):
    """Language (the profile's, where none is said), keyboard, and what has to be readable."""

    language: Language | None = None
    keyboard: Layout = "it"
    scripts: Annotated[list[Script], Field(max_length=16)] = Field(default_factory=list)


class Sound(Strict):
    """Percent, as a session begins; 0 is silent."""

    level: Annotated[int, Field(ge=0, le=100)] = 0


class Remove(Strict):
    """What a layer takes out of the lists below it."""

    services: list[ServiceName] = Field(default_factory=list)
    allow: list[HostPattern] = Field(default_factory=list)
    deny: list[HostPattern] = Field(default_factory=list)
    tiles: list[str] = Field(default_factory=list)
    programs: list[Program] = Field(default_factory=list)


class Layer(Strict):
    """Everything a lab, a group or a PC may say. A section set to null is left unmanaged."""

    language: Language = "it"
    start_page: Annotated[Url | None, BeforeValidator(_somewhere)] = None
    services: list[ServiceName] = Field(default_factory=list)
    allow: list[HostPattern] = Field(default_factory=list)
    deny: list[HostPattern] = Field(default_factory=list)
    tiles: list[Tile] = Field(default_factory=list)
    programs: list[Program] = Field(default_factory=list)
    remove: Remove = Field(default_factory=Remove)
    browser: Browser | None = None
    network: Network | None = None
    kernel: dict[Sysctl, Setting | None] | None = None
    desktop: Desktop | None = None
    console: Console | None = None
    storage: Storage | None = None
    boot: Boot | None = None
    printing: Printing | None = None
    time: Time | None = None
    session: Session | None = None
    kiosk_user: KioskUser | None = None
    locale: Locale | None = None
    sound: Sound | None = None
    payment: Payment | None = None


class Profile(Layer):
    """What PCs are for: a layer with a name that a technician can assign."""

    title: Text
    description: Text
