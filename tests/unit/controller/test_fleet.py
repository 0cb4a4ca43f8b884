"""Presence: laws that must hold for any times of answers, not only for those somebody thought of."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.fleet import (
    CALM_S,
    FREE_RETURNS,
    STEADY_MAX_S,
    Hearing,
    Presence,
    Timings,
    heard,
    presence,
    remembered,
    unsteady,
)

HOLD_S = 12.0
TIMINGS = Timings.of_hold(HOLD_S)
ONLINE, STALE, OFFLINE = Presence.ONLINE, Presence.STALE, Presence.OFFLINE

gaps = st.lists(st.floats(0.01, 200, allow_nan=False), min_size=1, max_size=200)


def shown(answers: Iterable[float], until: float, step: float = 0.5) -> list[Presence]:
    """What a screen that looks every `step` seconds shows."""
    hearing = Hearing()
    pending = sorted(answers)
    found = []
    now = 0.0
    while now <= until:
        while pending and pending[0] <= now:
            hearing = heard(hearing, pending.pop(0), TIMINGS)
        found.append(presence(hearing, now, TIMINGS))
        now += step
    return found


def changes(display: list[Presence]) -> int:
    return sum(1 for before, after in pairwise(display) if before != after)


def test_an_answer_makes_a_new_station_online_at_once() -> None:
    hearing = heard(Hearing(), 5.0, TIMINGS)
    assert presence(hearing, 5.0, TIMINGS) is ONLINE


@given(st.floats(0, HOLD_S), st.floats(0, 1e6))
def test_a_cut_cable_shows_as_offline_within_30_s(since_last_answer: float, start: float) -> None:
    hearing = heard(Hearing(), start, TIMINGS)
    cut = start + since_last_answer
    assert presence(hearing, cut + 30 - 1e-6, TIMINGS) is OFFLINE


@given(st.floats(1, 12))
def test_thresholds_follow_from_the_hold_and_leave_room_for_a_late_answer(hold_s: float) -> None:
    timings = Timings.of_hold(hold_s)
    assert hold_s + 0.5 < timings.stale_s < timings.offline_s <= 30


@given(st.floats(0.05, HOLD_S + 5))
def test_a_healthy_station_never_flaps_at_any_period_of_reports(period: float) -> None:
    count = int(400 / period)
    display = shown((n * period for n in range(count)), until=(count - 1) * period)
    assert set(display) == {ONLINE}


@given(st.floats(0.5, 600))
def test_a_link_that_comes_and_goes_at_any_period_soon_shows_one_thing(period: float) -> None:
    """Answers once a period: after the free returns there are only the few that hours of waiting earn."""
    hours = 2 * 3600.0
    display = shown((n * period for n in range(int(hours / period))), until=hours, step=2.0)
    per_return = 3  # online, stale, offline: each return may be followed by two steps down
    assert changes(display) <= per_return * (FREE_RETURNS + 1)


@given(gaps)
def test_returns_are_bounded_in_any_ten_minutes(silences: list[float]) -> None:
    at, hearing, returns = 0.0, Hearing(), []
    for silence in silences:
        at += silence
        before = presence(hearing, at, TIMINGS)
        hearing = heard(hearing, at, TIMINGS)
        if before is not ONLINE and presence(hearing, at, TIMINGS) is ONLINE:
            returns.append(at)
    for start in returns:
        assert sum(1 for one in returns if start <= one < start + CALM_S) <= FREE_RETURNS + 4


@given(gaps)
def test_worse_always_shows_at_once(silences: list[float]) -> None:
    at, hearing = 0.0, Hearing()
    for silence in silences:
        at += silence
        if hearing.heard_at is not None:
            quiet = at - hearing.heard_at
            if quiet >= TIMINGS.offline_s:
                assert presence(hearing, at, TIMINGS) is OFFLINE
            elif quiet >= TIMINGS.stale_s:
                assert presence(hearing, at, TIMINGS) is not ONLINE
        hearing = heard(hearing, at, TIMINGS)


@given(gaps)
def test_whoever_answers_steadily_is_online_in_the_end(silences: list[float]) -> None:
    at, hearing = 0.0, Hearing()
    for silence in silences:
        at += silence
        hearing = heard(hearing, at, TIMINGS)
    end = at + STEADY_MAX_S + TIMINGS.stale_s + 1
    while at < end:
        at += HOLD_S
        hearing = heard(hearing, at, TIMINGS)
    assert presence(hearing, at, TIMINGS) is ONLINE


def test_a_pc_restarted_once_a_day_is_online_at_once_every_day() -> None:
    hearing, at = Hearing(), 0.0
    for _day in range(5):
        at += 12 * 3600
        hearing = heard(hearing, at, TIMINGS)
        assert presence(hearing, at, TIMINGS) is ONLINE
        for _answer in range(100):
            at += HOLD_S
            hearing = heard(hearing, at, TIMINGS)


def test_an_unsteady_station_says_how_long_it_must_be_steady_yet() -> None:
    hearing, at = Hearing(), 0.0
    for _return in range(FREE_RETURNS + 1):
        at += 60
        hearing = heard(hearing, at, TIMINGS)
    assert presence(hearing, at, TIMINGS) is OFFLINE
    missing = unsteady(hearing, at, TIMINGS)
    assert missing is not None
    assert missing > 0


@pytest.mark.parametrize(
    ("heard_at", "now", "expected"), [(None, 0.0, OFFLINE), (90.0, 100.0, ONLINE), (0.0, 100.0, OFFLINE)]
)
def test_what_the_store_remembers_counts_by_its_age(
    heard_at: float | None, now: float, expected: Presence
) -> None:
    assert presence(remembered(heard_at), now, TIMINGS) is expected
