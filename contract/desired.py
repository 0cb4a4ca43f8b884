"""What a station shall be: one immutable document per station and revision.

Each resource kind has one section. `None` means that the lab does not manage
that kind on this station: what an earlier revision set is taken back and
nothing else is touched.
"""

from typing import Annotated, Any, Literal

import msgspec

from contract.identity import LabId, PairingId, StationId
from contract.wire import Message, Utc

Revision = Annotated[int, msgspec.Meta(ge=1)]

FileText = Annotated[str, msgspec.Meta(max_length=200_000)]
SysctlKey = Annotated[str, msgspec.Meta(pattern=r"\A[a-z0-9_]+(?:[./][A-Za-z0-9_-]+)+\Z", max_length=120)]
SysctlValue = Annotated[str, msgspec.Meta(pattern=r"\A[^\n\x00]{1,200}\Z")]
HostName = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9]([A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?\Z")]
HostPattern = Annotated[
    str,
    msgspec.Meta(
        pattern=r"\A\.?[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*\Z"
    ),
]
Language = Literal["it", "en", "ro"]
"""What a citizen reads in."""
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
KeyChord = Annotated[str, msgspec.Meta(pattern=r"\A(?:[CASW]-){0,4}[A-Za-z0-9_]{1,40}\Z")]
UserName = Annotated[str, msgspec.Meta(pattern=r"\A[a-z_][a-z0-9_-]{0,31}\Z")]
RemovableMode = Literal["none", "read-only", "full"]
UsbKind = Literal["audio", "network", "printer", "smart-card", "still-image", "vendor-specific", "video"]
DocumentKind = Literal[
    "csv", "doc", "docx", "eml", "jpg", "ods", "odt", "p7m", "p7s",
    "pdf", "png", "rtf", "tif", "txt", "xls", "xlsx", "xml", "zip",
]  # fmt: skip
"""What a citizen may bring on a stick or take away on it, by the end of its name."""
GrubHash = Annotated[
    str,
    msgspec.Meta(pattern=r"\Agrub\.pbkdf2\.sha512\.[1-9][0-9]{3,6}\.[0-9A-Fa-f]{16,256}\.[0-9A-Fa-f]{128}\Z"),
]
"""As grub-mkpasswd-pbkdf2 prints it: rounds, salt, key."""
PrinterName = Annotated[str, msgspec.Meta(pattern=r"\A[a-z0-9][a-z0-9_-]{0,40}\Z")]
PrinterUri = Annotated[str, msgspec.Meta(pattern=r"\Aipps?://[A-Za-z0-9._~:/%\[\]-]{1,200}\Z")]


class BrowserPolicy(Message, frozen=True):
    """Chromium's managed policy, in the two files it is written to.

    `policies` holds every key but URLAllowlist, deny rules among them; `allow`
    is URLAllowlist alone. They are apart so that the loss of the second file
    closes the browser instead of opening it. `chromium` is the major version that
    the policy was checked with; 0 where nobody says.
    """

    policies: dict[str, Any]
    allow: Annotated[tuple[str, ...], msgspec.Meta(max_length=1000)] = ()
    chromium: Annotated[int, msgspec.Meta(ge=0, le=9999)] = 0


class Kernel(Message, frozen=True):
    """Kernel parameters by sysctl key, dots as separators, values as text."""

    sysctl: dict[SysctlKey, SysctlValue]


class Desktop(Message, frozen=True):
    """The window manager and X server of the kiosk's screen.

    `bar_height` is the strip in pixels at the top that no window may cover;
    `swallowed_keys` are openbox chords (C-n, A-F4, Super_L) that do nothing.
    """

    bar_height: Annotated[int, msgspec.Meta(ge=0, le=400)] = 36
    swallowed_keys: Annotated[tuple[KeyChord, ...], msgspec.Meta(max_length=400)] = ()
    screen_blank_s: Annotated[int, msgspec.Meta(ge=0, le=86400)] = 0
    """Seconds without input until the screen goes dark; 0 is never."""


class Console(Message, frozen=True):
    """The text consoles behind the screen: no login there, and Ctrl+Alt+Delete does nothing."""

    access: Literal["closed"] = "closed"


class Storage(Message, frozen=True):
    """What may be plugged in: removable storage, and the kinds of USB devices beside keyboards and mice.

    The programs of `user` are granted nothing by polkit, mounting among it.
    """

    removable: RemovableMode = "none"
    usb: Annotated[tuple[UsbKind, ...], msgspec.Meta(max_length=16)] = ()
    user: UserName = "kiosk"
    documents: Annotated[tuple[DocumentKind, ...], msgspec.Meta(max_length=32)] = (
        *("doc", "docx", "jpg", "ods", "odt", "p7m", "pdf"),
        *("png", "rtf", "tif", "txt", "xls", "xlsx", "xml"),
    )
    """What is copied from a stick and to it, and nothing else is."""
    max_documents: Annotated[int, msgspec.Meta(ge=1, le=2000)] = 200
    max_document_mb: Annotated[int, msgspec.Meta(ge=1, le=500)] = 50
    """The largest document, in MiB."""


class Boot(Message, frozen=True):
    """How the PC starts. Seconds for which GRUB shows its menu (0: none), and who may edit what is in it.

    Without a hash nobody may.
    """

    menu_s: Annotated[int, msgspec.Meta(ge=0, le=60)] = 0
    password_hash: GrubHash | None = None


class Printer(Message, frozen=True):
    """A printer that speaks IPP without a driver, and where."""

    name: PrinterName
    uri: PrinterUri


class Printing(Message, frozen=True):
    """The printers of this PC, the default one first; nothing of what was printed is kept.

    `pages` is how many sides of paper a session may print in all, copies counted; None is no limit.
    """

    printers: Annotated[tuple[Printer, ...], msgspec.Meta(max_length=16)] = ()
    pages: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None = None


class TimeSync(Message, frozen=True):
    """Where the station gets the time: NTP servers, the lab's own first."""

    servers: Annotated[tuple[HostName, ...], msgspec.Meta(min_length=1, max_length=8)]


class Network(Message, frozen=True):
    """What the programs of the kiosk user may reach: these hosts by web ports, and nothing else.

    A leading dot is exactly that host; without it subdomains match too, as in
    Chromium's own lists. Everything else (other ports, DNS, QUIC, machines of
    the LAN, the PC's own doors) is closed to that user by the kernel.
    """

    hosts: Annotated[tuple[HostPattern, ...], msgspec.Meta(max_length=2000)]
    ports: Annotated[tuple[Port, ...], msgspec.Meta(max_length=16)] = (443,)
    """Where TLS may go (the proxy's CONNECT)."""
    user: UserName = "kiosk"


Program = Literal["writer", "calc", "impress"]
"""An office program: for texts, for tables and sums, for slides."""


class Session(Message, frozen=True):
    """Citizens' sessions on this PC: a screen, a desktop, and a browser between start and end.

    `programs` are those that a session may open beside its browser, by tiles of the start page.
    """

    start_page: Annotated[str, msgspec.Meta(pattern=r"\A[a-z]+://[^\s\x00-\x20\x7f\"\\`$]{1,2000}\Z")]
    language: Language = "it"
    user: UserName = "kiosk"
    """The account that is wiped; the units name the same."""
    programs: Annotated[tuple[Program, ...], msgspec.Meta(max_length=8)] = ()


class KioskUser(Message, frozen=True):
    """The account that citizens work as: no login, no groups, no ids beside its own, no work for later."""

    user: UserName = "kiosk"
    access: Literal["closed"] = "closed"


KeyboardLayout = Annotated[str, msgspec.Meta(pattern=r"\A[a-z]{2,12}\Z")]
"""As X names them: it, gb, us, ro, ara."""
Script = Literal["latin", "cyrillic", "arabic", "chinese"]


class Locale(Message, frozen=True):
    """The PC's language and keyboard, and the scripts that have to be readable on it."""

    language: Language = "it"
    keyboard: KeyboardLayout = "it"
    scripts: Annotated[tuple[Script, ...], msgspec.Meta(max_length=16)] = ()


class Sound(Message, frozen=True):
    """How loud the PC is when a session begins, in percent; 0 is silent."""

    level: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0


class Payment(Message, frozen=True):
    """What the payment mode opens on top of `browser_policy` and `network`, and nothing else does.

    It can only add hosts: what the lists deny and every other lock stay as they are. Web ports are
    those of `network`.
    """

    allow: Annotated[tuple[str, ...], msgspec.Meta(max_length=1000)] = ()
    """As in BrowserPolicy: what may be opened as a page, a frame or a form's target."""
    hosts: Annotated[tuple[HostPattern, ...], msgspec.Meta(max_length=2000)] = ()
    """As in Network: those, and what parts of pages come from."""


Words = Annotated[str, msgspec.Meta(max_length=400)]
WebAddress = Annotated[str, msgspec.Meta(pattern=r"\Ahttps?://[!-~]+\Z", max_length=2000)]


class Texts(Message, frozen=True):
    """The same words in the citizens' languages; where one is empty, the Italian ones stand in."""

    it: Annotated[str, msgspec.Meta(min_length=1, max_length=400)]
    en: Words = ""
    ro: Words = ""


class StartTile(Message, frozen=True):
    """One way out of the start page: its name, what it is good for in plain words, and its address."""

    title: Texts
    url: WebAddress
    about: Texts | None = None


class StartProgram(Message, frozen=True):
    """A program of the PC's own: its name, what it is good for, and what is read while it comes up."""

    program: Program
    title: Texts
    about: Texts
    opening: Texts


class StartPage(Message, frozen=True):
    """The page on the PC itself that a session begins with.

    `help` says where help is to be had, `languages` names the choice of
    languages to who does not see it; `language` is the one that opens first.
    """

    title: Texts
    about: Texts
    help: Texts
    languages: Texts
    tiles: Annotated[tuple[StartTile, ...], msgspec.Meta(min_length=1, max_length=100)]
    language: Language = "it"
    programs: Annotated[tuple[StartProgram, ...], msgspec.Meta(max_length=8)] = ()


class Resources(Message, frozen=True):
    """One section for each resource kind; None is unmanaged.

    `payment` has no kind of its own: while the payment mode is open it is part of two others. None: this
    PC has no payment mode.
    """

    browser_policy: BrowserPolicy | None = None
    kernel: Kernel | None = None
    desktop: Desktop | None = None
    time: TimeSync | None = None
    network: Network | None = None
    start_page: StartPage | None = None
    console: Console | None = None
    storage: Storage | None = None
    boot: Boot | None = None
    printing: Printing | None = None
    session: Session | None = None
    kiosk_user: KioskUser | None = None
    locale: Locale | None = None
    sound: Sound | None = None
    payment: Payment | None = None

    def paying(self) -> "Resources":
        """The same while the payment mode is open: two lists of hosts are longer, all else is as it was."""
        if self.payment is None:
            return self
        browser, network = self.browser_policy, self.network
        if browser is not None:
            allow = tuple(sorted({*browser.allow, *self.payment.allow}))
            browser = msgspec.structs.replace(browser, allow=allow)
        if network is not None:
            hosts = tuple(sorted({*network.hosts, *self.payment.hosts}))
            network = msgspec.structs.replace(network, hosts=hosts)
        return msgspec.structs.replace(self, browser_policy=browser, network=network)


class DesiredState(Message, frozen=True):
    """All that one station shall be at one revision.

    Revisions grow with every publication of the lab that changes this station;
    a station refuses one that is not newer than what it holds, and one that was
    signed for another of its pairings.
    """

    contract: int
    lab: LabId
    station: StationId
    pairing: PairingId
    revision: Revision
    profile: str
    issued_at: Utc
    resources: Resources
