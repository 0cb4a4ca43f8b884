"""What the controller says to a station: everything once, nothing again and again."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from contract.exchange import Ask, Refusal, Signed, is_older
from contract.sentence import sentence
from contract.status import Condition
from contract.wire import CONTRACT
from controller.core.asking import Heard, Outgoing, after, has_news, is_ahead, listen, tell
from tests.unit.controller.facts import AT, answer, report

SEALED = Signed(payload=b"desired", signature=bytes(64))
OUT = Outgoing(revision=7, desired=SEALED, revocation_number=3, revocations=b"list")
ASKED = Ask(contract=CONTRACT, at=AT, desired=SEALED, revocations=b"list")


def known(desired: int = 7, revocations: int = 3, **changes: Any) -> Heard:
    status = report(desired_revision=desired)
    return after(Heard(), OUT, ASKED, answer(status=status, revocation_number=revocations, **changes))


def test_before_the_first_answer_nothing_is_sent_and_nothing_held() -> None:
    for ask in (tell(OUT, Heard(), AT), listen(OUT, Heard(), AT, 12)):
        assert not has_news(ask)
        assert ask.hold_s == 0


def test_a_station_that_has_all_is_asked_to_hold() -> None:
    assert not has_news(tell(OUT, known(), AT))
    ask = listen(OUT, known(), AT, 12)
    assert not has_news(ask)
    assert ask.hold_s == 12
    assert ask.seen == "n1"


def test_a_station_that_is_behind_gets_what_it_lacks() -> None:
    ask = tell(OUT, known(desired=6, revocations=1), AT)
    assert ask.desired == SEALED
    assert ask.revocations == b"list"
    assert ask.hold_s == 0


def test_an_answer_that_was_overtaken_brings_its_refusals_and_no_old_state() -> None:
    """The answer to a push, taken after the later one that was held: a publication took 12 s by it."""
    new = after(Heard(), OUT, ASKED, answer(status=report(desired_revision=7), news="run-10"))
    why = (Refusal("desired", sentence("no room on the disk")),)
    old = answer(status=report(desired_revision=6), news="run-9", refusals=why)
    state = after(new, OUT, ASKED, old)
    assert state.answer == new.answer
    assert listen(OUT, state, AT, 12).seen == "run-10"
    assert state.refusals == why
    restarted = answer(status=report(desired_revision=6), news="other-1")
    assert after(new, OUT, ASKED, restarted).answer == restarted


@given(st.text(max_size=40), st.text(max_size=40))
def test_of_two_answers_at_most_one_is_older(one: str, other: str) -> None:
    assert not (is_older(one, other) and is_older(other, one))
    assert not is_older(one, one)


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_the_higher_count_of_one_run_is_the_later(one: int, other: int) -> None:
    assert is_older(f"a-{one}", f"a-{other}") == (one < other)
    assert not is_older(f"a-{one}", f"b-{other}")
    assert not is_older(str(one), str(other))
    assert not is_older(f"a-{'9' * 5000}", f"a-{'9' * 5001}"), "nor is a number that is no count"


def test_what_was_refused_is_not_offered_again_until_something_differs() -> None:
    behind = report(desired_revision=6)
    refused = answer(
        status=behind, revocation_number=3, refusals=(Refusal("desired", sentence("no room on the disk")),)
    )
    state = after(Heard(), OUT, ASKED, refused)
    assert tell(OUT, state, AT).desired is None
    later = after(state, OUT, ASKED, answer(status=behind, revocation_number=3, news="n2"))
    assert tell(OUT, later, AT).desired is None
    assert later.refusals
    assert tell(replace(OUT, revision=8), later, AT).desired == SEALED
    full = Condition("JournalFailed", True, "CannotWrite", sentence("make room on the disk"), AT)
    told = after(
        later, OUT, ASKED, answer(status=report(desired_revision=6, conditions=(full,)), revocation_number=3)
    )
    assert tell(OUT, told, AT).desired == SEALED, "the reason may be another one: tried once more"
    again = after(
        told,
        OUT,
        ASKED,
        answer(
            status=report(desired_revision=6, conditions=(full,)),
            revocation_number=3,
            refusals=(Refusal("desired", sentence("no room on the disk")),),
        ),
    )
    assert tell(OUT, again, AT).desired is None
    room = after(again, OUT, ASKED, answer(status=behind, revocation_number=3))
    assert tell(OUT, room, AT).desired == SEALED
    assert not room.refusals
    reimaged = after(later, OUT, ASKED, answer(status=behind, revocation_number=3, epoch="e2"))
    assert tell(OUT, reimaged, AT).desired == SEALED


def test_a_refusal_of_what_was_replaced_meanwhile_says_nothing_of_the_new() -> None:
    newer = replace(OUT, revision=8, desired=Signed(payload=b"newer", signature=bytes(64)))
    status = report(desired_revision=6)
    refused = answer(
        status=status, revocation_number=3, refusals=(Refusal("desired", sentence("no room on the disk")),)
    )
    state = after(Heard(), newer, ASKED, refused)
    assert tell(newer, state, AT).desired == newer.desired


def test_a_certificate_goes_only_to_a_station_that_asks_for_one() -> None:
    out = replace(OUT, certificate=b"der")
    assert tell(out, known(), AT).certificate is None
    assert tell(out, known(signing_request=b"csr"), AT).certificate == b"der"


def test_a_station_ahead_of_us_is_seen() -> None:
    assert is_ahead(OUT, answer(status=report(desired_revision=8)))
    assert not is_ahead(OUT, answer(status=report(desired_revision=7)))
    assert not is_ahead(Outgoing(), answer(status=report(desired_revision=8)))


@given(st.integers(0, 20), st.integers(0, 20), st.integers(1, 20), st.integers(1, 20))
def test_saying_it_makes_it_said(has: int, has_list: int, revision: int, number: int) -> None:
    """A station that takes what it is sent needs nothing more: no exchange turns round and round."""
    out = Outgoing(revision=revision, desired=SEALED, revocation_number=number, revocations=b"list")
    first = answer(status=report(desired_revision=has), revocation_number=has_list)
    state = after(Heard(), out, listen(out, Heard(), AT, 0), first)
    ask = tell(out, state, AT)
    took = answer(
        status=report(desired_revision=max(has, revision) if ask.desired else has),
        revocation_number=max(has_list, number) if ask.revocations else has_list,
    )
    assert not has_news(tell(out, after(state, out, ask, took), AT))
