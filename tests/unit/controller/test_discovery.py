"""Hints: whoever shouts on the LAN can add a few addresses to try, and nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from controller.discovery import CANDIDATES, IDS, LIFE_S, Hint, Hints
from controller.failures import Address, parse_address


def hint(number: int, station: str = "pc-01") -> Hint:
    return Hint(station, Address(f"10.0.{number // 256}.{number % 256}"))


def test_a_liar_who_comes_later_displaces_nobody() -> None:
    hints = Hints()
    assert hints.add(hint(1), 0)
    for number in range(2, 200):
        hints.add(hint(number), 1)
    found = [one.address for one in hints.of("pc-01", 2)]
    assert hint(1).address in found
    assert len(found) == CANDIDATES


def test_a_hint_repeated_stays_and_one_that_is_not_is_dropped() -> None:
    hints = Hints()
    hints.add(hint(1), 0)
    hints.add(hint(2), 0)
    hints.add(hint(1), LIFE_S - 1)
    assert [one.address for one in hints.of("pc-01", LIFE_S + 1)] == [hint(1).address]
    assert hints.of("pc-01", 2 * LIFE_S) == []


def test_room_is_made_by_time_for_those_nobody_tried() -> None:
    hints = Hints()
    for number in range(CANDIDATES):
        hints.add(hint(number), 0)
    assert not hints.add(hint(99), 1)
    assert hints.add(hint(99), LIFE_S + 2)


def test_a_hint_that_led_nowhere_yields_its_place_and_only_that() -> None:
    hints = Hints()
    for number in range(CANDIDATES):
        hints.add(hint(number), 0)
    hints.misled("pc-01", hint(3).address)
    hints.misled("pc-01", hint(500).address)
    hints.misled("pc-09", hint(0).address)
    hints.add(hint(3), 1)  # saying it again makes it no truer
    assert hints.add(hint(99), 1)
    assert not hints.add(hint(3), 1)
    found = {one.address for one in hints.of("pc-01", 2)}
    assert found == {hint(number).address for number in (*range(CANDIDATES), 99) if number != 3}


@given(st.lists(st.sampled_from(["lie", "lie anew", "try"]), max_size=60))
def test_a_true_word_is_tried_whatever_a_liar_says(turns: list[str]) -> None:
    """Between two tries, a liar who filled every place gets as many words in as he likes."""
    hints = Hints()
    for number in range(CANDIDATES):
        hints.add(hint(number), 0)

    def tried() -> set[Address]:
        found = {one.address for one in hints.of("pc-01", 1)}
        for address in found:
            hints.misled("pc-01", address)
        return found

    tried()
    true = hint(5000)
    assert hints.add(true, 1)
    for number, turn in enumerate(turns):
        if turn == "try":
            break
        hints.add(hint(number % CANDIDATES if turn == "lie" else 100 + number), 1)
    assert true.address in tried()


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 60000), st.floats(0, 5000)), max_size=300))
def test_what_is_kept_is_bounded_whatever_is_shouted(shouts: list[tuple[int, int, float]]) -> None:
    hints = Hints()
    now = 0.0
    for station, number, later in shouts:
        now += later
        hints.add(hint(number, f"pc-{station}"), now)
    found = hints.all(now)
    per_id = [sum(1 for one in found if one.id == name) for name in {one.id for one in found}]
    assert all(count <= CANDIDATES for count in per_id)
    assert len(per_id) <= IDS


def test_ids_that_never_were_do_not_fill_the_room_for_ever() -> None:
    hints = Hints()
    for number in range(IDS):
        assert hints.add(hint(1, f"x{number}"), 0)
    assert not hints.add(hint(1, "pc-01"), 1)
    assert hints.add(hint(1, "pc-02"), 1, ours=True)
    assert hints.add(hint(1, "pc-01"), LIFE_S + 2)


def test_addresses_as_people_write_them() -> None:
    assert parse_address("pc-03") == Address("pc-03", 7443)
    assert parse_address("10.0.0.7:7500") == Address("10.0.0.7", 7500)
    assert parse_address("[fe80::1%eth0]:7500") == Address("fe80::1%eth0", 7500)
    assert parse_address("fd00::7") == Address("fd00::7", 7443)
    for wrong in ("", ":7443", "pc:", "pc:0", "pc:70000", "pc:x", "[fe80::1", "[fe80::1]7", "pc:१"):
        assert parse_address(wrong) is None, wrong


@given(st.text(max_size=60))
def test_no_address_makes_it_fall_over(text: str) -> None:
    found = parse_address(text)
    assert found is None or 0 < found.port < 65536
