"""A document that another version of the agent took in: what can be read counts, the rest is left alone."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.core.held import EVERYTHING, read_held, read_sitting
from agent.core.session import Sitting
from agent.resources import KINDS
from contract.desired import Boot, Console, DesiredState, Kernel, Resources
from contract.wire import CONTRACT, encode

WHOLE = DesiredState(
    contract=CONTRACT,
    lab="fontana",
    station="pc-01",
    pairing="0" * 32,
    revision=7,
    profile="citizen",
    issued_at=datetime(2026, 11, 23, tzinfo=UTC),
    resources=Resources(console=Console(), boot=Boot(menu_s=3), kernel=Kernel(sysctl={"net.a.b": "1"})),
)


def other(**resources: Any) -> bytes:
    """The same document, with other sections in it."""
    document = json.loads(encode(WHOLE))
    document["resources"] |= resources
    return json.dumps(document).encode()


def test_a_document_of_today_is_read_as_it_is() -> None:
    held = read_held(encode(WHOLE))
    assert (held.desired, held.unread) == (WHOLE, ())
    assert all(held.is_ours_to_keep(kind.NAME) for kind in KINDS)


@pytest.mark.parametrize(
    ("name", "section"),
    [
        ("boot", {"menu_s": 3, "theme": "dark"}),  # a field that is not there any more
        ("boot", {"menu_s": "three"}),  # a type that was another one
        ("boot", ["three"]),
        ("time", {}),  # a field that has to be there today
        ("bios", {"locked": True}),  # a kind that has another name today, or is not there any more
    ],
)
def test_a_section_of_another_shape_is_left_alone(name: str, section: Any) -> None:
    held = read_held(other(**{name: section}))
    assert held.unread == (name,)
    assert held.desired is not None
    assert (held.desired.revision, held.desired.profile) == (7, "citizen")
    assert held.desired.resources.console == Console()
    assert getattr(held.desired.resources, name, None) is None
    kept = {kind.NAME for kind in KINDS if held.is_ours_to_keep(kind.NAME)}
    assert kept == {"console", "boot", "kernel"} - {name}, "what is not named may have another name today"


@pytest.mark.parametrize("payload", [b"", b"{}", b"[]", b"\xff", encode(WHOLE)[:-1]])
def test_of_a_document_that_says_nothing_nothing_is_given_up(payload: bytes) -> None:
    held = read_held(payload)
    assert (held.desired, held.unread) == (None, EVERYTHING)
    assert not any(held.is_ours_to_keep(kind.NAME) for kind in KINDS)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy
@given(st.dictionaries(st.sampled_from([*EVERYTHING, "bios"]), JSON, max_size=4))
def test_whatever_the_sections_hold_it_never_raises(resources: dict[str, Any]) -> None:
    held = read_held(other(**resources))
    assert held.desired is not None
    assert set(held.unread) <= set(resources)


@pytest.mark.parametrize("stored", [b"{", b'{"phase":"resting"}', b'{"phase":"none","chair":3}'])
def test_a_state_that_cannot_be_read_may_have_been_a_session(stored: bytes) -> None:
    assert read_sitting(stored) == Sitting(phase="wiping")


def test_a_state_of_today_is_read_as_it_is() -> None:
    assert read_sitting(b"") == Sitting()
    assert read_sitting(encode(Sitting(phase="active", session="a" * 32))).phase == "active"
