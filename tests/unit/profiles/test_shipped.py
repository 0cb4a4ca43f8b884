"""What ships: facts that must stay true of the YAML itself."""

from datetime import date

import pytest

from kiosk_profiles.browser import BasePolicies, PolicyNames
from kiosk_profiles.hosts import parse_pattern
from kiosk_profiles.lint import host_facts
from kiosk_profiles.loader import load
from kiosk_profiles.profile import Profile
from tests.unit.profiles.lab import library, shipped

LAB = library({})
NAMES = load(PolicyNames, shipped()["browser/policy-names.yaml"].content).model
BASE = load(BasePolicies, shipped()["browser/base.yaml"].content).model
MANAGED = [name for name in LAB.profiles if name != "maintenance"]


def test_nothing_that_ships_is_wrong_or_doubtful() -> None:
    assert LAB.check() == ()


@pytest.mark.parametrize("profile", MANAGED)
def test_chromium_knows_every_policy(profile: str) -> None:
    policy = LAB.resolve(profile).resources.browser_policy
    assert policy is not None
    assert NAMES is not None
    assert policy.policies.keys() <= set(NAMES.names)
    assert len(NAMES.names) == 577


def test_every_group_of_the_lock_down_has_a_reason_and_no_key_twice() -> None:
    assert BASE is not None
    keys = [key for group in BASE.groups for key in group.policies]
    assert len(keys) == len(set(keys))
    assert all(group.reason for group in BASE.groups)


@pytest.mark.parametrize("profile", MANAGED)
def test_what_a_lock_down_must_hold(profile: str) -> None:
    """The keys whose loss was seen to open the browser (each by experiment with Chromium 156)."""
    policy = LAB.resolve(profile).resources.browser_policy
    assert policy is not None
    for blocked in ("*", "chrome://*", "chrome-untrusted://*", "devtools://*", "javascript:*", "about:*"):
        assert blocked in policy.policies["URLBlocklist"]
    expected = {
        "RemoteDebuggingAllowed": False,
        "HeadlessMode": 2,
        "PolicyTestPageEnabled": False,
        "FullscreenAllowed": False,
        "IncognitoModeAvailability": 1,
        "SSLErrorOverrideAllowed": False,
        "DnsOverHttpsMode": "off",
        "NativeMessagingBlocklist": ["*"],
        "ExtensionSettings": {"*": {"installation_mode": "blocked"}},
    }
    assert {key: policy.policies.get(key) for key in expected} == expected


def test_who_may_have_files() -> None:
    files = {}
    for profile in MANAGED:
        policy = LAB.resolve(profile).resources.browser_policy
        assert policy is not None
        files[profile] = (
            policy.policies["DownloadRestrictions"],
            policy.policies["AllowFileSelectionDialogs"],
        )
    assert files == {
        "citizen": (3, False),
        "business": (1, True),
        "training": (1, True),
        "operator": (1, True),
    }


@pytest.mark.parametrize("profile", MANAGED)
def test_the_start_page_that_ships_is_whole_in_three_languages(profile: str) -> None:
    page = LAB.resolve(profile).resources.start_page
    assert page is not None
    texts = [page.title, page.about, page.help, page.languages]
    for tile in page.tiles:
        assert tile.about is not None
        texts += [tile.title, tile.about]
    assert all(text.en and text.ro for text in texts)


def test_maintenance_leaves_browser_and_screen_alone() -> None:
    resources = LAB.resolve("maintenance").resources
    assert resources.browser_policy is None
    assert resources.desktop is None
    assert resources.kernel is not None


@pytest.mark.parametrize("profile", LAB.profiles)
def test_time_servers_are_the_labs_to_name(profile: str) -> None:
    """No profile names any, and none takes them out of management: the lab's settings come through."""
    resolved = LAB.resolve(profile)
    assert resolved.resources.time is None
    assert resolved.managed("time")


@pytest.mark.parametrize("profile", LAB.profiles)
def test_titles_are_in_three_languages(profile: str) -> None:
    model = load(Profile, shipped()[f"profiles/{profile}.yaml"].content).model
    assert model is not None
    assert all((model.title.en, model.title.ro, model.description.en, model.description.ro))


@pytest.mark.parametrize("service", LAB.services)
def test_bundles_are_dated_and_in_three_languages(service: str) -> None:
    bundle = LAB.bundle(service).bundle
    assert bundle.checked >= date(2026, 11, 23)
    assert bundle.title.en
    assert bundle.title.ro
    assert bundle.hosts()


@pytest.mark.parametrize("service", LAB.services)
def test_no_bundle_names_a_host_that_must_not_be_listed(service: str) -> None:
    bundle = LAB.bundle(service).bundle
    never = {entry.host for entry in host_facts().never}
    for text in (*bundle.hosts(), *bundle.network_only):
        assert parse_pattern(text).host not in never


@pytest.mark.parametrize(
    ("service", "hosts"),
    [
        ("cie", {".idserver.servizicie.interno.gov.it", ".www.cartaidentita.interno.gov.it"}),
        ("pec", {".webmail.pec.it", ".legalmail.infocert.it"}),
        ("suap", {"impresainungiorno.gov.it", ".login.infocamere.it", "registroimprese.it"}),
        ("agenzia-entrate", {"agenziaentrate.gov.it", ".spid.sogei.it"}),
        ("inps", {"inps.it"}),
        ("anpr", {"anagrafenazionale.interno.it", "anpr.interno.it"}),
        ("health", {"salutelazio.it", "fascicolosanitario.gov.it"}),
        ("app-io", {"ioapp.it", ".api-web.io.pagopa.it", ".continua.io.pagopa.it"}),
        ("region-lazio", {"regione.lazio.it"}),
        ("spid-information", {".spid.gov.it", ".www.spid.gov.it"}),
    ],
)
def test_the_hosts_of_a_service(service: str, hosts: set[str]) -> None:
    assert set(LAB.bundle(service).bundle.hosts()) == hosts


def test_spid_has_its_twelve_providers() -> None:
    bundle = LAB.bundle("spid").bundle
    assert len(bundle.providers) == 12
    assert bundle.published == date(2025, 11, 25)
    for host in (".selfcarespid.aruba.it", ".my.infocert.it", "id.tim.it", "posteid.poste.it"):
        assert host in bundle.hosts()


CARDS = {"card-checkout", "card-issuers"}
"""Open while somebody pays, and else nowhere."""


@pytest.mark.parametrize("profile", LAB.profiles)
def test_cards_are_confirmed_where_people_pay_and_only_while_they_do(profile: str) -> None:
    resolved = LAB.resolve(profile)
    resources = resolved.resources
    assert (resources.payment is not None) == (profile in ("citizen", "business", "operator"))
    for name in CARDS:
        for host in LAB.bundle(name).bundle.hosts():
            assert resources.browser_policy is None or host not in resources.browser_policy.allow
            assert resources.payment is None or host in resources.payment.allow
            assert resources.payment is None or host in resources.payment.hosts


def test_the_operator_has_every_service_that_ships() -> None:
    chosen = {name for name, _setting in LAB.resolve("operator").chosen("services")}
    assert chosen == set(LAB.services) - CARDS


def test_a_course_has_the_web_to_learn_with_that_citizens_have_not() -> None:
    training, citizen = (LAB.resolve(name).resources.network for name in ("training", "citizen"))
    assert training is not None
    assert citizen is not None
    assert set(training.hosts) > set(citizen.hosts)


def test_maintenance_is_nobodys_seat_whatever_the_labs_layer_offers() -> None:
    layer = """
session: {offered: true}
start_page: https://www.inps.it/
payment: {services: [card-issuers]}
network: {allow: [.cdn.test]}
printing: {printers: {sala: ipp://10.0.0.9/ipp/print}}
"""
    resources = library({"layers/lab.yaml": layer}).resolve("maintenance").resources
    managed = {name for name in resources.__struct_fields__ if getattr(resources, name) is not None}
    assert managed == {"kernel", "locale", "sound"}, "what hinders no work"
