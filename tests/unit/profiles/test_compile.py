"""What a station is told, why, and what a change of it changes."""

from datetime import UTC, datetime

import yaml
from hypothesis import given, settings

from contract.desired import DesiredState, Kernel, Locale, Payment, Resources, Script, StartTile, Texts
from contract.wire import CONTRACT, decode, encode
from kiosk_profiles.compile import Resolved, compile, explain
from kiosk_profiles.diff import Change, diff
from kiosk_profiles.library import Library
from tests.unit.profiles.lab import HALL, library
from tests.unit.profiles.test_layers import LAYERS

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


def state(resolved: Resolved, revision: int = 1) -> DesiredState:
    return compile(
        resolved, lab="lazio-01", station="pc-03", pairing="0" * 32, revision=revision, issued_at=NOW
    )


def hall(layer: str = "") -> Resolved:
    return library({"profiles/hall.yaml": HALL, "layers/lab.yaml": layer}).resolve("hall")


def test_the_language_of_the_pc_is_the_profiles_unless_a_layer_says_another() -> None:
    def locale(text: str) -> Locale | None:
        return library({"layers/lab.yaml": text}).resolve("citizen", (), "pc-01").resources.locale

    everybody: tuple[Script, ...] = ("latin", "cyrillic", "arabic", "chinese")
    assert locale("") == Locale(language="it", keyboard="it", scripts=everybody)
    assert locale("language: ro") == Locale(language="ro", keyboard="it", scripts=everybody)
    said = locale("{language: ro, locale: {language: en, keyboard: gb, scripts: [latin]}}")
    assert said == Locale(language="en", keyboard="gb", scripts=("latin",))
    assert locale("locale: null") is None


def test_a_site_served_in_the_lab_over_http() -> None:
    desired = state(hall())
    policy = desired.resources.browser_policy
    assert policy is not None
    assert policy.allow == (".portale.test", "chrome-untrusted://print", "chrome://print")
    assert policy.policies["RestoreOnStartupURLs"] == ["http://portale.test/"]
    assert policy.policies["URLBlocklist"][0] == "*"
    assert "URLAllowlist" not in policy.policies
    assert policy.policies["ProxySettings"]["ProxyServer"] == "http://127.0.0.1:8118"
    network = desired.resources.network
    assert network is not None
    assert network.hosts == (".portale.test",)
    assert (desired.contract, desired.lab, desired.station, desired.revision) == (
        CONTRACT,
        "lazio-01",
        "pc-03",
        1,
    )
    assert (desired.profile, desired.issued_at) == ("hall", NOW)


def test_files_and_printing() -> None:
    closed = hall("browser: {downloads: false, uploads: false, printing: false}").resources.browser_policy
    opened = hall("browser: {downloads: true, uploads: true, printing: true}").resources.browser_policy
    assert closed is not None
    assert opened is not None
    keys = ("DownloadRestrictions", "AllowFileSelectionDialogs", "PrintingEnabled")
    assert [closed.policies[key] for key in keys] == [3, False, False]
    assert [opened.policies[key] for key in keys] == [1, True, True]
    assert "pdf" in closed.policies["PrinterTypeDenyList"]
    assert "pdf" not in opened.policies["PrinterTypeDenyList"]
    assert not any(host.startswith("chrome") for host in closed.allow)


def test_tiles_are_bookmarks_in_the_profiles_language() -> None:
    tile = 'services: [region-lazio]\ntiles: [region-lazio, {title: {it: Sala, en: Hall}, url: "http://portale.test/a"}]\n'
    policy = hall(tile + "language: en").resources.browser_policy
    assert policy is not None
    assert policy.policies["ManagedBookmarks"] == [
        {"toplevel_name": "Sala"},
        {"name": "Lazio Region", "url": "https://www.regione.lazio.it/"},
        {"name": "Hall", "url": "http://portale.test/a"},
    ]
    bare = hall().resources.browser_policy
    assert bare is not None
    assert bare.policies["BookmarkBarEnabled"] is False


TILED = """\
title: {it: Sala, en: Hall}
description: {it: Una sala di prova}
allow: [".portale.test"]
tiles: [{title: {it: Portale, ro: Portal}, about: {it: Per tutto}, url: "http://portale.test/a"}]
language: ro
"""


def test_tiles_without_a_start_page_make_one_on_the_pc_itself() -> None:
    resolved = library({"profiles/hall.yaml": TILED}).resolve("hall")
    page = resolved.resources.start_page
    assert page is not None
    assert (page.title, page.about, page.language) == (
        Texts("Sala", "Hall"),
        Texts("Una sala di prova"),
        "ro",
    )
    portal = StartTile(Texts("Portale", ro="Portal"), "http://portale.test/a", Texts("Per tutto"))
    assert page.tiles == (portal,)
    assert page.help.ro.startswith("Ai nevoie de ajutor?")
    policy, network = resolved.resources.browser_policy, resolved.resources.network
    assert policy is not None
    assert network is not None
    own = [f"file:///var/lib/lab-agent/start/{language}.html" for language in ("it", "en", "ro")]
    assert policy.policies["RestoreOnStartupURLs"] == [own[2]]
    assert policy.policies["HomepageLocation"] == own[2]
    assert {entry for entry in policy.allow if entry.startswith("file:")} == set(own)
    assert network.hosts == (".portale.test",)
    assert library({"profiles/hall.yaml": TILED}).findings("hall") == ()
    rows = {row.path: (row.layer, row.line) for row in explain(resolved)}
    assert rows["browser.policies.RestoreOnStartupURLs"] == ("profile hall", 4)
    assert rows["start_page.tiles"] == ("profile hall", 4)


def test_a_start_page_of_the_labs_own_leaves_no_page_and_no_file_open() -> None:
    files = {"profiles/hall.yaml": TILED, "layers/lab.yaml": "start_page: http://portale.test/\n"}
    resources = library(files).resolve("hall").resources
    assert resources.start_page is None
    assert resources.browser_policy is not None
    assert resources.browser_policy.policies["HomepageLocation"] == "http://portale.test/"
    assert not any(entry.startswith("file:") for entry in resources.browser_policy.allow)


def test_a_browser_that_is_not_managed_has_no_start_page() -> None:
    files = {"profiles/hall.yaml": TILED, "layers/lab.yaml": "browser: null\n"}
    assert library(files).resolve("hall").resources.start_page is None


def test_what_opens_while_somebody_pays_stands_apart_and_is_closed_else() -> None:
    card = """
title: {it: Carte}
checked: 2026-11-23
evidence: seen
source: a test
navigation: [".acs.test", "bank.test:8443"]
network_only: [".parts.test"]
"""
    layer = "payment:\n  services: [card]\n  allow: [.own.test]\n"
    files = {"profiles/hall.yaml": HALL, "services/card.yaml": card, "layers/lab.yaml": layer}
    resolved = library(files).resolve("hall")
    resources = resolved.resources
    assert resources.payment == Payment(
        allow=(".acs.test", ".own.test", "bank.test:8443"),
        hosts=(".acs.test", ".own.test", ".parts.test", "bank.test"),
    )
    assert resources.network is not None
    assert resources.network.hosts == (".portale.test",)
    assert resources.network.ports == (443, 8443), "a port opens no host"
    assert resources.browser_policy is not None
    assert ".acs.test" not in resources.browser_policy.allow
    assert library(files).findings("hall") == ()
    rows = {(row.path, str(row.value)): (row.file, row.line) for row in explain(resolved)}
    assert rows["payment.allow", ".own.test"] == ("layers/lab.yaml", 3)
    assert rows["payment.allow", ".acs.test"] == ("services/card.yaml", 6)
    none = library({**files, "layers/pc/pc-03.yaml": "payment: null"}).resolve("hall", (), "pc-03")
    assert none.resources.payment is None
    bare = library({**files, "layers/pc/pc-03.yaml": "browser: null"}).resolve("hall", (), "pc-03")
    assert bare.resources.payment is None


def test_denied_addresses_stand_with_the_deny_rules() -> None:
    policy = hall("deny: [.portale.test/admin]").resources.browser_policy
    assert policy is not None
    assert policy.policies["URLBlocklist"][-1] == ".portale.test/admin"


def test_explain_names_layer_file_and_line() -> None:
    lab = library(
        {
            "profiles/hall.yaml": HALL,
            "layers/lab.yaml": "# ours\ntime: {servers: [ntp.portale.test]}\nservices: [pec]\n",
            "layers/pc/pc-03.yaml": "kernel:\n  kernel.sysrq: 4\n",
        }
    )
    rows = {(row.path, str(row.value)): row for row in explain(lab.resolve("hall", (), "pc-03"))}

    def where(path: str, value: str) -> tuple[str, str, int]:
        row = rows[path, value]
        return row.layer, row.file, row.line

    assert where("time.servers", "('ntp.portale.test',)") == ("lab", "layers/lab.yaml", 2)
    assert where("kernel.kernel.sysrq", "4") == ("pc pc-03", "layers/pc/pc-03.yaml", 2)
    assert where("browser.allow", ".portale.test") == ("profile hall", "profiles/hall.yaml", 4)
    layer, file, line = where("browser.allow", ".webmail.pec.it")
    assert (layer, file) == ("service pec", "(shipped) services/pec.yaml")
    assert line > 1
    assert rows["browser.policies.FullscreenAllowed", "False"].layer == "base"


def test_explain_says_what_is_not_managed() -> None:
    unmanaged = {
        row.path: row.layer for row in explain(library({}).resolve("maintenance")) if row.value is None
    }
    assert unmanaged == dict.fromkeys(
        (
            *("browser", "network", "desktop", "console", "storage", "boot", "printing"),
            *("session", "payment", "kiosk_user", "sound"),
        ),
        "profile maintenance",
    )


@given(LAYERS, LAYERS)
@settings(deadline=None, max_examples=100)
def test_every_station_accepts_what_is_compiled(lab: object, pc: object) -> None:
    """The contract's own rules hold for all that the language lets through; the wire loses nothing."""
    files = {
        "profiles/hall.yaml": HALL,
        "layers/lab.yaml": yaml.safe_dump(lab),
        "layers/pc/pc-03.yaml": yaml.safe_dump(pc),
    }
    desired = state(library(files).resolve("hall", (), "pc-03"))
    assert encode(decode(DesiredState, encode(desired))) == encode(desired)


@given(LAYERS, LAYERS)
@settings(deadline=None, max_examples=50)
def test_a_difference_of_what_is_equal_is_empty_and_of_what_differs_is_not(one: object, two: object) -> None:
    a, b = (state(hall(yaml.safe_dump(layer))) for layer in (one, two))
    assert diff(a, a) == ()
    assert (diff(a, b) == ()) == (a.resources == b.resources)


def test_a_difference_is_told_item_by_item_and_in_the_languages_words() -> None:
    before = state(hall("allow: [.a.test]\nkernel: {kernel.sysrq: 4}"))
    after = state(hall("allow: [.b.test]\ndesktop: {free: [F11], blank_after_s: 60}"), revision=9)
    assert diff(before, after) == (
        Change("browser.allow", ".a.test", None),
        Change("browser.allow", None, ".b.test"),
        Change("desktop.blank_after_s", None, 60),
        Change("desktop.swallow", "F11", None),
        Change("kernel.sysctl.kernel.sysrq", "4", "0"),
        Change("network.hosts", ".a.test", None),
        Change("network.hosts", None, ".b.test"),
    )


def test_what_leaves_management_is_told_as_gone() -> None:
    lab = library({"profiles/hall.yaml": HALL})
    before, after = state(lab.resolve("hall")), state(lab.resolve("maintenance"), revision=2)
    changes = diff(before, after)
    assert Change("profile", "hall", "maintenance") in changes
    assert Change("browser.allow", ".portale.test", None) in changes
    assert Change("browser.policies.FullscreenAllowed", False, None) in changes
    assert Change("desktop.swallow", "F11", None) in changes
    assert all(change.after is None for change in changes if change.path != "profile")


def test_the_first_state_of_a_station_is_all_new() -> None:
    fresh = DesiredState(
        contract=CONTRACT,
        lab="l",
        station="s",
        pairing="0" * 32,
        revision=1,
        profile="p",
        issued_at=NOW,
        resources=Resources(kernel=Kernel(sysctl={"kernel.sysrq": "0"})),
    )
    assert diff(None, fresh) == (
        Change("profile", None, "p"),
        Change("kernel.sysctl.kernel.sysrq", None, "0"),
    )


def test_stations_with_the_same_layers_share_one_compiled_document() -> None:
    lab: Library = library({"profiles/hall.yaml": HALL, "layers/pc/pc-02.yaml": "allow: [.a.test]"})
    one, two, three = (lab.resolve("hall", (), station) for station in ("pc-01", "pc-02", "pc-03"))
    assert one.resources is three.resources
    assert two.resources != one.resources


def test_the_order_in_which_hosts_are_written_is_no_change() -> None:
    assert diff(state(hall("allow: [.a.test, .b.test]")), state(hall("allow: [.b.test, .a.test]"))) == ()


OFFICE = TILED + "programs: [calc, writer]\nsession: {offered: true}\n"


def test_programs_are_tiles_pages_and_the_sessions() -> None:
    resolved = library({"profiles/hall.yaml": OFFICE}).resolve("hall")
    page, session, policy = (
        resolved.resources.start_page,
        resolved.resources.session,
        resolved.resources.browser_policy,
    )
    assert page is not None
    assert session is not None
    assert policy is not None
    assert [one.program for one in page.programs] == ["writer", "calc"]
    assert page.programs[0].title.ro == "Scrie un text"
    assert session.programs == ("writer", "calc")
    opened = {entry for entry in policy.allow if entry.startswith("file:///run/")}
    assert opened == {
        f"file:///run/lab-programs/{program}-{language}.html"
        for program in ("writer", "calc")
        for language in ("it", "en", "ro")
    }
    assert library({"profiles/hall.yaml": OFFICE}).findings("hall") == ()
    assert {row.path: row.line for row in explain(resolved)}["start_page.programs"] == 6


def test_a_layer_takes_a_program_out_and_a_start_page_elsewhere_all_of_them() -> None:
    files = {"profiles/hall.yaml": OFFICE, "layers/lab.yaml": "remove: {programs: [calc]}\n"}
    fewer = library(files).resolve("hall").resources.session
    assert fewer is not None
    assert fewer.programs == ("writer",)
    files["layers/lab.yaml"] = "start_page: http://portale.test/\n"
    elsewhere = library(files).resolve("hall").resources
    assert elsewhere.session is not None
    assert elsewhere.session.programs == ()
    assert elsewhere.browser_policy is not None
    assert not any(entry.startswith("file:") for entry in elsewhere.browser_policy.allow)
