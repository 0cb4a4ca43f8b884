"""The PC's language and keyboard, and whether it has letters for those who come.

The files are Debian's own: the locale for every program that is not a session's
(that has an environment of its own), and /etc/default/keyboard, which the text
console reads, Xorg (by udev) for each keyboard that is plugged in, and
lab-desktop.service for whatever X server runs, at once.

A script that no known font has is told and not mended: packages are the
technician's. A PC without Chinese letters still serves most who come. So it is with
Chromium's words in other languages than English, which Debian packs apart.
"""

from agent.core.changes import Change, Effect, Owned, Plan, Reader, Run
from agent.core.files import HEAD, FilePlanner, FileWish, Found, observe_files
from agent.core.languages import LOCALES
from contract.desired import Locale, Resources, Script
from contract.sentence import Sentence, sentence
from contract.wire import Message

NAME = "locale"
LANGUAGE = ("/etc/locale.conf", "/etc/default/locale")
"""The second is PAM's; since Debian 13 it is a link to the first, as it comes."""
KEYBOARD = "/etc/default/keyboard"
FILES = (*LANGUAGE, KEYBOARD)
LAYOUTS = "/usr/share/X11/xkb/symbols"
_FONTS = "/usr/share/fonts"

_SANS = (
    "truetype/dejavu/DejaVuSans.ttf",
    "truetype/noto/NotoSans-Regular.ttf",
    "truetype/liberation/LiberationSans-Regular.ttf",
    "truetype/liberation2/LiberationSans-Regular.ttf",
)
FONTS: dict[Script, tuple[str, ...]] = {
    "latin": _SANS,
    "cyrillic": _SANS,
    "arabic": (
        "truetype/dejavu/DejaVuSans.ttf",
        "truetype/noto/NotoSansArabic-Regular.ttf",
        "truetype/noto/NotoNaskhArabic-Regular.ttf",
    ),
    "chinese": (
        "opentype/noto/NotoSansCJK-Regular.ttc",
        "truetype/wqy/wqy-zenhei.ttc",
        "truetype/wqy/wqy-microhei.ttc",
        "truetype/arphic/uming.ttc",
        "truetype/droid/DroidSansFallbackFull.ttf",
    ),
}
"""Where Debian's packages put a font with the script's letters, below /usr/share/fonts. One is enough."""
PACKAGES: dict[Script, str] = {
    "latin": "fonts-dejavu-core",
    "cyrillic": "fonts-dejavu-core",
    "arabic": "fonts-noto-core",
    "chinese": "fonts-noto-cjk",
}
"""What brings one of them."""

_LETTERS: dict[Script, Sentence] = {
    "latin": sentence("there are no Latin letters: apt install {package}", package=PACKAGES["latin"]),
    "cyrillic": sentence(
        "there are no Cyrillic letters: apt install {package}", package=PACKAGES["cyrillic"]
    ),
    "arabic": sentence("there are no Arabic letters: apt install {package}", package=PACKAGES["arabic"]),
    "chinese": sentence("there are no Chinese letters: apt install {package}", package=PACKAGES["chinese"]),
}
WORDS = "/usr/lib/chromium/locales"
_WORDS = ("it.pak", "ro.pak")
"""Of the citizens' languages; English is there always."""
_ENGLISH = sentence("the browser speaks English only: apt install {package}", package="chromium-l10n")
LATIN = frozenset(
    (
        *("al", "at", "au", "ba", "be", "br", "bw", "ca", "ch", "cm", "cn", "cz", "de", "dk"),
        *("ee", "epo", "es", "fi", "fo", "fr", "gb", "gh", "hr", "hu", "id", "ie", "is", "it"),
        *("jp", "ke", "kr", "latam", "lt", "lv", "md", "me", "mt", "ng", "nl", "no", "ph", "pl"),
        *("pt", "ro", "se", "si", "sk", "sn", "tm", "tr", "tw", "us", "vn", "za"),
    )
)
"""Layouts that have every letter from a to z: X's own say so in tests/lab/test_keyboard.py."""
_OUT = sentence("the lab no longer manages language and keyboard")
_UNREAD = sentence("the keyboard was not set since its settings changed")
# No failure where no screen is up: it reads them when it starts.
_READ = (Run(argv=("systemctl", "try-reload-or-restart", "lab-desktop.service")),)


class Observed(Message, frozen=True):
    """The files, whether X knows the wanted keyboard, scripts without a font, and a browser without words."""

    files: Found
    known: bool = True
    without: tuple[Script, ...] = ()
    english: bool = False


def observe(wanted: Resources, owned: Owned, reader: Reader) -> Observed:
    """The files, and what the PC has of layouts and fonts."""
    files = observe_files(FILES, owned, reader)
    section = wanted.locale
    if section is None:
        return Observed(files=files)
    words = reader.names(WORDS)  # none where there is no Chromium, which is not for this kind to say
    layouts = reader.names(LAYOUTS)  # none where there is no X at all: then no keyboard is set
    return Observed(
        files=files,
        known=layouts is None or section.keyboard in layouts,
        without=_without_font(section, reader),
        english=words is not None and not set(_WORDS) <= set(words),
    )


def plan(wanted: Resources, observed: Observed, owned: Owned) -> Plan:
    """The three files; a keyboard that nobody knows, and letters that are missing, are told."""
    section = wanted.locale
    planner = FilePlanner(NAME, observed.files, owned)
    if section is None:
        released = (change for path in LANGUAGE for change in planner.release(path, Effect.NEUTRAL, _OUT))
        return (
            *released,
            *planner.release_and_tell((KEYBOARD,), Effect.NEUTRAL, _READ, _OUT),
            *planner.tidy(()),
        )
    lacks: list[tuple[str, Sentence]] = [(script, _LETTERS[script]) for script in observed.without]
    lacks += [("chromium", _ENGLISH)] if observed.english else []
    lacking = tuple(
        Change(kind=NAME, subject=what, effect=Effect.NEUTRAL, why=why, actions=(), advice=True)
        for what, why in lacks
    )
    text = f"{HEAD}LANG={LOCALES[section.language]}\n".encode()
    language = (
        change
        for path in LANGUAGE
        for change in planner.put(FileWish(path=path, content=text), Effect.NEUTRAL)
    )
    if not observed.known:
        why = sentence(
            "this PC knows no keyboard {layout}: see {folder}", layout=section.keyboard, folder=LAYOUTS
        )
        unknown = Change(kind=NAME, subject=KEYBOARD, effect=Effect.NEUTRAL, why=why, actions=())
        return (*language, unknown, *lacking, *planner.tidy(FILES))
    wish = FileWish(path=KEYBOARD, content=keyboard(section).encode())
    return (
        *language,
        *planner.put_and_tell((wish,), Effect.NEUTRAL, _READ, _UNREAD),
        *lacking,
        *planner.tidy(FILES),
    )


def watched(wanted: Resources) -> tuple[str, ...]:
    """The files; fonts come and go with packages, and a slow look sees them."""
    return () if wanted.locale is None else FILES


def keyboard(locale: Locale) -> str:
    """See keyboard(5).

    A layout without Latin letters gets a second group that has them, by Alt and Shift together: an address
    cannot be typed otherwise. The window manager needs it too: it looks for the key that has the letter of a
    chord, finds none in a Ukrainian layout, and Ctrl+N would be Chromium's (seen with openbox 3.6).
    """
    latin = locale.keyboard in LATIN
    return f"""{HEAD}XKBMODEL="pc105"
XKBLAYOUT="{locale.keyboard if latin else f"{locale.keyboard},us"}"
XKBVARIANT=""
XKBOPTIONS="{"" if latin else "grp:alt_shift_toggle"}"
BACKSPACE="guess"
"""


def _without_font(section: Locale, reader: Reader) -> tuple[Script, ...]:
    """Scripts that nobody can read here; none below a prefix, where there are no programs to show any."""
    found = tuple(script for script in section.scripts if not _has_font(script, reader))
    return found if reader.is_directory("/usr/share") else ()


def _has_font(script: Script, reader: Reader) -> bool:
    for path in FONTS[script]:
        folder, _slash, name = path.rpartition("/")
        if name in (reader.names(f"{_FONTS}/{folder}") or ()):
            return True
    return False
