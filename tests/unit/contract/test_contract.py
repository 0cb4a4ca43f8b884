"""The contract: what every release said is still read, and nothing else is."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.desired import DesiredState, HostName, HostPattern, KeyChord, SysctlKey, SysctlValue
from contract.exchange import Answer, Ask, Command, CommandId, CommandResult, Fault, Position, Signed
from contract.identity import LabId, PairingId, StationId, controller_name, is_label, station_name
from contract.pairing import Offered, PairDone, PairFinish, PairOffer, PairStart, confirmation
from contract.sentence import Place, Sentence
from contract.session import Proof
from contract.status import Condition, Facts, StatusReport
from contract.wire import MAX_MESSAGE_BYTES, ContractError, Message, decode, encode

GOLDEN = Path(__file__).parents[2] / "cases/contract"
TYPES: dict[str, type[Message]] = {
    kind.__name__: kind
    for kind in (
        *(Ask, Answer, Signed, Command, CommandResult, Fault, Position, DesiredState, StatusReport),
        *(Facts, Condition, Proof, Sentence, PairStart, PairOffer, PairFinish, PairDone),
    )
}
FILES = sorted(GOLDEN.rglob("*.json"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_what_a_release_said_is_still_read(path: Path) -> None:
    """Golden messages: never edited, only added to when a release changes the contract."""
    kind = TYPES[path.stem]
    message = decode(kind, path.read_bytes())
    assert json.loads(encode(message)) == json.loads(path.read_bytes())


def test_every_message_has_its_golden_one() -> None:
    assert {path.stem for path in FILES if path.parent.name == "0.1.0"} == set(TYPES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_unknown_field_is_refused_and_named(path: Path) -> None:
    document = json.loads(path.read_bytes())
    document["navigation"] = "https://example.org/"
    with pytest.raises(ContractError, match="navigation"):
        decode(TYPES[path.stem], json.dumps(document).encode())


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.text(), st.lists).map(lambda x: json.dumps(x).encode())
)
def test_anything_else_is_a_contract_error(data: bytes) -> None:
    for kind in TYPES.values():
        try:
            decode(kind, data)
        except ContractError:
            continue


def test_too_long_and_too_deep_are_refused() -> None:
    with pytest.raises(ContractError, match="limit"):
        decode(Ask, b" " * (MAX_MESSAGE_BYTES + 1))
    with pytest.raises(ContractError):
        decode(Ask, b'{"a":' * 100_000)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ContractError):
        decode(Ask, b'{"contract":1,"at":"2026-11-23T12:00:00"}')


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (LabId, "riva"),
        (StationId, "pc-03"),
        (PairingId, "0" * 32),
        (CommandId, "0" * 32),
        (SysctlKey, "kernel.sysrq"),
        (SysctlValue, "1 0"),
        (HostName, "192.0.2.10"),
        (HostPattern, ".inps.it"),
        (KeyChord, "C-n"),
        (Place, "count"),
    ],
)
def test_a_word_ends_where_its_pattern_does(kind: Any, value: str) -> None:
    """`$` would let a line end pass, which makes two lines of what is written into a file as one."""
    assert msgspec.convert(value, kind) == value
    for spoilt in (value + "\n", "\n" + value, value + "\n" + value):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(spoilt, kind)


@given(st.text(max_size=40))
def test_a_label_makes_names_that_say_who(text: str) -> None:
    if is_label(text):
        assert station_name("riva", text) == f"{text}.station.riva.lab.internal"
        assert station_name("riva", text) != controller_name("riva")
        assert "." not in text


_words = st.text("ab", max_size=3)
_offered = st.builds(Offered, _words, _words, st.binary(max_size=4), st.binary(max_size=4))
START = PairStart(contract=1, message=b"a", lab="riva", ca=b"ca", signing_key=b"k" * 32)


@given(
    _offered,
    _offered,
    st.binary(max_size=4),
    st.binary(max_size=4),
)
def test_no_two_transcripts_are_alike(one: Offered, two: Offered, here: bytes, there: bytes) -> None:
    first = confirmation(b"key", "station", START, one, here)
    second = confirmation(b"key", "station", START, two, there)
    assert (first == second) == ((one, here) == (two, there))


def test_the_two_sides_do_not_prove_the_same_thing() -> None:
    parts = Offered("0" * 32, "pc-01", b"m", b"r")
    assert confirmation(b"k", "station", START, parts, b"") != confirmation(
        b"k", "controller", START, parts, b""
    )
    changed = msgspec.structs.replace(START, signing_key=b"l" * 32)
    assert confirmation(b"k", "station", START, parts, b"") != confirmation(
        b"k", "station", changed, parts, b""
    )
