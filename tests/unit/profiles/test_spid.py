"""SPID metadata: what counts, and every forgery that must not."""

import os
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from kiosk_profiles.loader import load
from kiosk_profiles.services import (
    Bundle,
    FederationProvider,
    bundle_yaml,
    compare_providers,
    updated_bundle,
)
from kiosk_profiles.spid import MetadataError, read_metadata
from tests.unit.profiles import federation as f
from tests.unit.profiles.lab import library

AGENCY = f.signer("federation")
STRANGER = f.signer("stranger")
ENTITIES = (
    f.entity(1) + f.entity(2, host="login.example.it", logout="logout.example.it") + f.service_provider()
)
GENUINE = f.sign(f.metadata(ENTITIES), AGENCY)


def test_a_genuine_file() -> None:
    found = read_metadata(GENUINE, AGENCY.pin, f.NOW)
    assert found.published == date(2026, 11, 20)
    assert found.providers == (
        FederationProvider("https://idp-1.example.it", "Gestore 1", ("idp-1.example.it",)),
        FederationProvider(
            "https://idp-2.example.it", "Gestore 2", ("login.example.it",), ("logout.example.it",)
        ),
    )
    assert found.providers[1].patterns == (".login.example.it", ".logout.example.it")


def test_a_pin_may_have_colons_and_capitals() -> None:
    pin = ":".join(AGENCY.pin[at : at + 2] for at in range(0, 64, 2)).upper()
    assert len(read_metadata(GENUINE, pin, f.NOW).providers) == 2


def wrapped_in_a_forged_list() -> bytes:
    """The genuine list as a child of a forged one that carries the genuine signature as its own."""
    root = f.tree(f.metadata(f.entity(9, host="evil.example.it")).replace('"_all"', '"_forged"'))
    genuine = f.tree(GENUINE)
    signature = genuine.find(f"{{{f.DS}}}Signature")
    root.insert(0, signature)
    root.append(genuine)
    return f.text_of(root)


def wrapped_with_the_same_id() -> bytes:
    """As above, and the forged list has the very ID that the signature refers to."""
    return wrapped_in_a_forged_list().replace(b'"_forged"', b'"_all"')


def original_kept_in_an_extension() -> bytes:
    """The genuine list, signature and all, hidden inside the forged list's extensions."""
    root = f.tree(f.metadata(f.entity(9, host="evil.example.it")).replace('"_all"', '"_forged"'))
    root.find(f"{{{f.MD}}}Extensions").append(f.tree(GENUINE))
    return f.text_of(root)


def a_genuine_signature_before_the_forged_one() -> bytes:
    """The list's own signature is a stranger's; the genuine one stands earlier, hidden in an extension."""
    root = f.tree(f.metadata(f.entity(9, host="evil.example.it")).replace('"_all"', '"_forged"'))
    forged = f.sign(f.text_of(root).decode(), STRANGER, reference="#_forged")
    root = f.tree(f.with_certificate(forged, AGENCY))
    signature, extensions = root[0], root.find(f"{{{f.MD}}}Extensions")
    extensions.append(f.tree(GENUINE))
    root.append(signature)
    return f.text_of(root)


def only_one_entity_signed() -> bytes:
    """A signature by the federation's key that stands at the top and covers one part alone."""
    root = f.tree(f.sign(f.metadata(ENTITIES), AGENCY, reference="#_e1"))
    signature = root.find(f".//{{{f.DS}}}Signature")
    signature.getparent().remove(signature)
    root.insert(0, signature)
    return f.text_of(root)


def an_entity_more() -> bytes:
    root = f.tree(GENUINE)
    root.append(f.tree(f.metadata(f.entity(9, host="evil.example.it")))[1])
    return f.text_of(root)


def an_entity_less() -> bytes:
    root = f.tree(GENUINE)
    root.remove(root.find(f"{{{f.MD}}}EntityDescriptor"))
    return f.text_of(root)


FORGERIES: dict[str, tuple[Callable[[], bytes], str]] = {
    "not signed": (lambda: f.metadata(ENTITIES).encode(), "the file is not signed"),
    "signed by a stranger": (
        lambda: f.sign(f.metadata(ENTITIES), STRANGER),
        "signed with another certificate than the pinned one",
    ),
    "signed by a stranger, bringing the genuine certificate": (
        lambda: f.sign(f.metadata(ENTITIES), STRANGER, certificates={"certificate": AGENCY.certificate}),
        "the signature does not hold",
    ),
    "signed by a stranger, bringing both certificates": (
        lambda: f.with_certificate(f.sign(f.metadata(ENTITIES), STRANGER), AGENCY),
        "the signature does not hold",
    ),
    "a host changed": (
        lambda: GENUINE.replace(b"login.example.it", b"login.evil.it"),
        "the signature does not hold",
    ),
    "an entity added": (an_entity_more, "the signature does not hold"),
    "an entity taken out": (an_entity_less, "the signature does not hold"),
    "wrapped in a forged list": (wrapped_in_a_forged_list, "covers only a part of the file"),
    "wrapped, with the same ID": (wrapped_with_the_same_id, "the signature does not hold"),
    "kept in an extension": (original_kept_in_an_extension, "the file is not signed"),
    "a genuine signature before the forged one": (
        a_genuine_signature_before_the_forged_one,
        "the signature does not hold",
    ),
    "only one entity signed": (only_one_entity_signed, "covers only a part of the file (EntityDescriptor)"),
    "external entity": (
        lambda: (
            b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]>'
            + GENUINE.replace(b"Gestore 1", b"&e;")
        ),
        "declares a document type or entities",
    ),
    "a bomb of entities": (
        lambda: b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><x>&b;</x>',
        "declares a document type or entities",
    ),
    "too large": (lambda: GENUINE + b" " * (8 << 20), "the limit is 8388608"),
    "cut short": (lambda: GENUINE[: len(GENUINE) // 2], "the file is not XML"),
    "empty": (lambda: b"", "the file is not XML"),
    "another document": (lambda: b"<html><body/></html>", "it starts with html"),
    "one entity's own file": (
        lambda: f.sign(f.text_of(f.tree(f.metadata(f.entity(1)))[1]).decode(), AGENCY, reference="#_e1"),
        "it starts with EntityDescriptor",
    ),
    "valid until yesterday": (
        lambda: f.sign(f.metadata(ENTITIES, attributes='validUntil="2026-11-22T00:00:00Z"'), AGENCY),
        "the list was valid until 2026-11-22T00:00:00Z only",
    ),
    "an entity valid until yesterday": (
        lambda: f.sign(f.metadata(f.entity(1, attributes='validUntil="2026-11-22T00:00:00Z"')), AGENCY),
        "https://idp-1.example.it was valid until",
    ),
    "published tomorrow": (
        lambda: f.sign(f.metadata(ENTITIES, published="2026-11-24T10:00:00Z"), AGENCY),
        "published in the future",
    ),
    "without a day of publication": (
        lambda: f.sign(f.metadata(ENTITIES, published=""), AGENCY),
        "does not say when it was published",
    ),
    "signing in without https": (
        lambda: f.sign(f.metadata(ENTITIES.replace("https://login", "http://login")), AGENCY),
        "an address that is not https: http://login.example.it/sso",
    ),
    "signing in at something that is no host": (
        lambda: f.sign(f.metadata(f.entity(1, host="*")), AGENCY),
        "an address that is not https: https://*/sso",
    ),
    "an entity twice": (
        lambda: f.sign(f.metadata(f.entity(1) + f.entity(1).replace("_e1", "_e3")), AGENCY),
        "is in the list twice",
    ),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_what_is_not_taken(name: str) -> None:
    make, sentence = FORGERIES[name]
    content = make()
    with pytest.raises(MetadataError) as caught:
        read_metadata(content, AGENCY.pin, f.NOW)
    assert sentence in str(caught.value)


def test_a_certificate_that_ended() -> None:
    old = f.signer("old", days=-1)
    with pytest.raises(MetadataError, match="the pinned certificate is not valid now"):
        read_metadata(f.sign(f.metadata(ENTITIES), old), old.pin, f.NOW)


@pytest.mark.parametrize("pin", ["", "ab" * 20, "zz" * 32, "ab" * 33])
def test_a_pin_that_is_none(pin: str) -> None:
    with pytest.raises(MetadataError, match="not a SHA-256"):
        read_metadata(GENUINE, pin, f.NOW)


def bundle() -> Bundle:
    """The bundle after a first update with the genuine file, plus a host that a technician knew."""
    loaded = library({}).bundle("spid").bundle
    first = updated_bundle(
        loaded, read_metadata(GENUINE, AGENCY.pin, f.NOW).providers, date(2026, 11, 20), f.NOW.date()
    )
    providers = [first.providers[0].model_copy(update={"also": [".my.example.it"]}), *first.providers[1:]]
    return first.model_copy(update={"providers": providers})


def test_the_same_list_again_changes_nothing() -> None:
    found = read_metadata(GENUINE, AGENCY.pin, f.NOW)
    change = compare_providers(bundle(), found.providers, found.published)
    assert change.empty
    assert change.refused is None


def test_a_provider_more_and_one_that_moved() -> None:
    text = f.metadata(f.entity(1, host="new.example.it") + f.entity(2, host="login.example.it") + f.entity(3))
    found = read_metadata(f.sign(text, AGENCY), AGENCY.pin, f.NOW)
    change = compare_providers(bundle(), found.providers, found.published)
    assert change.added == ("https://idp-3.example.it",)
    assert change.removed == ()
    assert change.hosts_added == (".idp-3.example.it", ".new.example.it")
    assert change.hosts_removed == (".idp-1.example.it", ".logout.example.it")
    assert change.refused is None
    new = updated_bundle(bundle(), found.providers, found.published, f.NOW.date())
    assert new.providers[0].also == [".my.example.it"]
    assert set(new.hosts()) == {".new.example.it", ".my.example.it", ".login.example.it", ".idp-3.example.it"}


def test_a_shrunken_an_empty_and_an_older_list_are_refused() -> None:
    full = read_metadata(GENUINE, AGENCY.pin, f.NOW)
    shrunken = compare_providers(bundle(), full.providers[:1], full.published)
    empty = compare_providers(bundle(), (), full.published)
    older = compare_providers(bundle(), full.providers, full.published - timedelta(days=1))
    assert shrunken.refused == "the list no longer has Gestore 2: their users could not sign in"
    assert empty.refused == "the list names no provider at all: with it nobody could sign in"
    assert older.refused == "the list is of 2026-11-19, older than the one in use, of 2026-11-20"


def test_a_bundle_that_was_written_loads_again_and_serves_a_profile() -> None:
    text = bundle_yaml(bundle())
    assert load(Bundle, text.encode()).model == bundle()
    policy = library({"services/spid.yaml": text}).resolve("citizen").resources.browser_policy
    assert policy is not None
    assert {".login.example.it", ".logout.example.it", ".my.example.it"} <= set(policy.allow)
    assert ".loginspid.aruba.it" not in policy.allow


REAL_PIN = "A6:74:54:A2:60:79:5B:EA:0C:84:15:BD:D9:60:3A:6E:5B:10:B8:BB:EC:69:D5:DD:18:34:98:09:9E:A7:9E:5F"
"""AgID's certificate "to sign AgID single metadata for IdPs", serial 0x086953CF725A76E3, to 2034-06-24."""


def real_file() -> Path | None:
    """The federation's own file: where LAB_SPID_METADATA says, or beside the checkout."""
    told = os.environ.get("LAB_SPID_METADATA")
    beside = Path(__file__).parents[4] / "shared/reference/data/spid-idp-metadata.xml"
    path = Path(told) if told else beside
    return path if path.is_file() else None


def test_the_real_federation() -> None:
    path = real_file()
    if path is None:
        pytest.skip("NOT TRIED: the real SPID metadata is not here; name the file in LAB_SPID_METADATA")
    found = read_metadata(path.read_bytes(), REAL_PIN, datetime(2026, 11, 23, tzinfo=UTC))
    assert len(found.providers) == 12
    shipped = library({}).bundle("spid").bundle
    change = compare_providers(shipped, found.providers, found.published)
    assert change.empty, "what ships and what the federation signed differ"
    with pytest.raises(MetadataError, match="another certificate"):
        read_metadata(path.read_bytes(), AGENCY.pin, datetime(2026, 11, 23, tzinfo=UTC))
    forged = path.read_bytes().replace(b"https://id.eht.eu/SSO", b"https://id.evil.eu/SSO")
    with pytest.raises(MetadataError, match="the signature does not hold"):
        read_metadata(forged, REAL_PIN, datetime(2026, 11, 23, tzinfo=UTC))
