"""From what a profile decides about the browser to Chromium's policy keys. Pure.

The keys that no profile decides are data, in browser/base.yaml, by groups that
say why; here are only those whose value follows from the language's own words.
"""

from collections.abc import Iterator
from typing import Annotated, Any, get_args

from pydantic import Field, JsonValue

from contract.desired import Program
from contract.start import LANGUAGES, program_address, start_address
from kiosk_profiles.profile import Strict, Text

PROXY_POLICIES: dict[str, Any] = {
    "ProxySettings": {
        "ProxyMode": "fixed_servers",
        "ProxyServer": "http://127.0.0.1:8118",
        "ProxyBypassList": "<-loopback>",
    }
}
"""Everything through the PC's own gate (agent/resources/network.py), its loopback addresses too."""

PRINT_PAGES = ("chrome://print", "chrome-untrusted://print")
"""Without these two the print preview hangs (seen with Chromium 156)."""


START_PAGES = tuple(start_address(language) for language in LANGUAGES)
"""The PC's own start page, file by file: no other `file:` address opens (seen with Chromium 156)."""

PROGRAMS: tuple[Program, ...] = get_args(Program)
"""In the order in which their tiles stand."""

PROGRAM_PAGES: dict[Program, tuple[str, ...]] = {
    program: tuple(program_address(program, language) for language in LANGUAGES) for program in PROGRAMS
}
"""The pages that open a program: only other `file:` pages lead to them, and what is typed by hand."""

OWN_PAGES = (*PRINT_PAGES, *START_PAGES, *(page for pages in PROGRAM_PAGES.values() for page in pages))
"""What is opened and is on no host."""


class ProgramWords(Strict):
    """What is said of one program."""

    title: Text
    about: Text


class StartWords(Strict):
    """browser/start-page.yaml."""

    help: Text
    languages: Text
    opening: Text
    programs: dict[Program, ProgramWords]


class PolicyGroup(Strict):
    """Keys that belong together, and what they are for."""

    name: Annotated[str, Field(min_length=1)]
    reason: Annotated[str, Field(min_length=1)]
    policies: dict[str, JsonValue]


class BasePolicies(Strict):
    """browser/base.yaml."""

    groups: list[PolicyGroup]


class PolicyNames(Strict):
    """browser/policy-names.yaml."""

    chromium: int
    names: list[str]


def start_page_policies(url: str) -> dict[str, Any]:
    """The page that a new session, a new tab and the home button open."""
    return {
        "RestoreOnStartup": 4,
        "RestoreOnStartupURLs": [url],
        "HomepageLocation": url,
        "HomepageIsNewTabPage": False,
        "NewTabPageLocation": url,
        "ShowHomeButton": True,
    }


def choice_policies(name: str, value: bool, *, downloads: bool) -> Iterator[tuple[str, Any]]:
    """The keys that follow from one of `downloads`, `uploads`, `printing`.

    `downloads` is what holds for downloads: where they are forbidden, a printer
    that writes PDF files is as well. Allowed downloads still refuse file types
    that run as programmes (DownloadRestrictions 1).
    """
    match name:
        case "downloads":
            yield "DownloadRestrictions", 1 if value else 3
        case "uploads":
            yield "AllowFileSelectionDialogs", value
        case "printing":
            yield "PrintingEnabled", value
            yield "PrinterTypeDenyList", ["privet", "extension", "cloud"] + ([] if downloads else ["pdf"])


def bookmark_policies(title: str, tiles: list[dict[str, str]]) -> dict[str, Any]:
    """The tiles as a folder of the bookmark bar, which citizens see and cannot change."""
    if not tiles:
        return {"BookmarkBarEnabled": False}
    return {"BookmarkBarEnabled": True, "ManagedBookmarks": [{"toplevel_name": title}, *tiles]}
