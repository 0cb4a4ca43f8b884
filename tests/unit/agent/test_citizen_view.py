"""What the bar shows for a state and a time, and what its buttons do."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.citizen.messages import LANGUAGES, STATES, Said, State
from agent.citizen.view import (
    AWAY,
    NAMES,
    NEWS_S,
    NO_DOWNLOAD,
    REFUSED,
    START,
    Countdown,
    Model,
    happened,
    heard,
    pressed,
    seen,
    unsent,
    until_next,
    view,
)

CLOCK = datetime(2026, 11, 23, 9, 5, 30)  # noqa: DTZ001  # what a person reads off the wall
ACTIVE = State("active", "it", at=100.0, ends_in_s=1500.0)


def model(**changes: Any) -> Model:
    return heard(Model(), replace(ACTIVE, **changes))


def names(shown: Model) -> list[str]:
    return [name for name, _ in view(shown, CLOCK, 100.0).buttons]


def test_a_session() -> None:
    shown = view(model(), CLOCK, 100.0)
    assert shown.clock == "09:05"
    assert (shown.left, shown.payment) == (Countdown("Tempo rimasto", "25 min", urgent=False), None)
    assert shown.buttons == (("help", "Aiuto"), ("more-time", "Più tempo"), ("end", "Fine sessione"))
    assert shown.line == ""


@pytest.mark.parametrize(
    ("left", "text", "urgent"),
    [
        (7200, "2 h 00 min", False),
        (3900, "1 h 05 min", False),
        (3599, "1 h 00 min", False),
        (301, "6 min", False),
        (300, "5 min", True),
        (61, "2 min", True),
        (60, "60 s", True),
        (0.2, "1 s", True),
        (0, "0 s", True),
        (-5, "0 s", True),
    ],
)
def test_the_time_left(left: float, text: str, urgent: bool) -> None:
    shown = view(model(ends_in_s=1000.0), CLOCK, 100.0 + 1000.0 - left)
    assert shown.left == Countdown("Tempo rimasto", text, urgent)


def test_from_a_program_to_the_browser_and_back_without_asking_anybody() -> None:
    beside = seen(model(), refused=True, ways=frozenset({"internet", "documents"}))
    assert names(beside) == ["internet", "documents", "help", "more-time", "end"]
    assert dict(view(beside, CLOCK, 100.0).buttons)["documents"] == "Documenti"
    assert pressed(beside, "internet") == (replace(beside, notice=""), b"")
    assert names(seen(beside, refused=False, ways=frozenset({"documents"})))[0] == "documents"
    assert "internet" not in names(replace(beside, asking=True))
    free = heard(beside, replace(ACTIVE, state="available"))
    assert names(free) == ["help"], "what is still open when a session has ended is nobody's"


def test_without_an_end_there_is_no_time_left_and_no_more_to_ask_for() -> None:
    open_end = model(ends_in_s=None)
    assert view(open_end, CLOCK, 100.0).left is None
    assert names(open_end) == ["help", "end"]


def test_only_with_a_stick_there_is_something_to_save_to() -> None:
    with_stick = model(stick=True)
    assert names(with_stick) == ["save", "help", "more-time", "end"]
    assert dict(view(with_stick, CLOCK, 100.0).buttons)["save"] == "Salva su chiavetta"
    assert pressed(with_stick, "save")[1] == b'{"ask": "save"}\n'
    assert pressed(model(), "save")[1] == b""
    assert names(model(state="available", stick=True)) == ["help"]


@given(st.floats(0, 20000), st.floats(0, 59.9), st.none() | st.floats(0, 4000), st.floats(0, 2 * NEWS_S))
def test_nothing_changes_before_the_next_look_and_something_may_then(
    left: float, second: float, paying: float | None, news: float
) -> None:
    now = 100.0 + 20000.0 - left
    shown = model(ends_in_s=20000.0, paying_until_s=None if paying is None else now + paying)
    shown = happened(shown, NO_DOWNLOAD, now - news)
    clock = CLOCK.replace(second=0) + timedelta(seconds=second)
    wait = until_next(shown, clock, now)
    assert 0 < wait <= 60
    just_before = max(0.0, wait - 0.02)
    assert view(shown, clock + timedelta(seconds=just_before), now + just_before) == view(shown, clock, now)


@pytest.mark.parametrize(
    ("state", "buttons", "line"),
    [
        ("available", ["help"], "Questo computer è libero."),
        ("starting", [], "La sessione sta iniziando. Un momento, per favore."),
        ("ending", [], "La sessione sta finendo."),
        ("wiping", [], "Cancello quello che hai fatto qui. Un momento, per favore."),
        ("out-of-service", ["help"], "Questo computer è fuori servizio. Chiedi all'operatore."),
    ],
)
def test_the_other_states(state: str, buttons: list[str], line: str) -> None:
    shown = model(state=state, ends_in_s=None)
    assert names(shown) == buttons
    assert view(shown, CLOCK, 100.0).line == line


def test_a_free_pc_is_started_in_any_of_the_languages() -> None:
    free = model(state="available", ends_in_s=None)
    panels = view(free, CLOCK, 100.0).ground
    assert [(panel.language, panel.start) for panel in panels] == [
        ("it", "Inizia"),
        ("en", "Start"),
        ("ro", "Începe"),
    ]
    assert panels[1].line == "This PC is free."
    after, line = pressed(free, f"{START}ro")
    assert json.loads(line) == {"ask": "start", "value": "ro"}
    assert view(after, CLOCK, 100.0).language == "ro"


@given(st.sampled_from(STATES), st.sampled_from(tuple(LANGUAGES)))
def test_only_a_free_pc_has_a_way_in_and_every_other_says_how_it_stands(state: str, language: str) -> None:
    shown = model(state=state)
    panels = view(shown, CLOCK, 100.0).ground
    assert all(panel.line for panel in panels)
    if state != "available":
        assert not any(panel.start for panel in panels)
        assert pressed(shown, f"{START}{language}") == (shown, b"")


def test_without_the_enforcer_there_is_no_way_in() -> None:
    away = heard(model(state="available"), None)
    assert [panel.start for panel in view(away, CLOCK, 100.0).ground] == ["", "", ""]
    assert pressed(away, f"{START}it") == (away, b"")
    assert pressed(away, f"{START}fr") == (away, b"")


def test_while_the_enforcer_is_away_nothing_is_promised() -> None:
    away = heard(model(), None)
    assert names(away) == []
    assert view(away, CLOCK, 100.0).line == "Un momento, per favore."
    assert view(away, CLOCK, 100.0).left is None


def test_the_end_is_asked_for_twice() -> None:
    asking, line = pressed(model(), "end")
    assert line == b""
    assert names(asking) == ["end-yes", "end-no"]
    assert view(asking, CLOCK, 100.0).line.startswith("Finire la sessione?")
    back, line = pressed(asking, "end-no")
    assert (back, line) == (model(), b"")
    done, line = pressed(asking, "end-yes")
    assert json.loads(line) == {"ask": "end"}
    assert not done.asking


def test_a_question_survives_a_new_state_of_the_session_and_nothing_else() -> None:
    asking, _ = pressed(model(), "end")
    assert heard(asking, replace(ACTIVE, ends_in_s=60.0)).asking
    assert not heard(asking, State("ending", "it", 100.0)).asking
    assert not heard(asking, None).asking


@pytest.mark.parametrize("name", ["help", "more-time"])
def test_other_wishes_go_at_once(name: str) -> None:
    after, line = pressed(model(), name)
    assert (after, json.loads(line)) == (model(), {"ask": name})


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_is_shown_at_once_and_asked_for(language: str) -> None:
    after, line = pressed(model(), language)
    assert json.loads(line) == {"ask": "language", "value": language}
    assert view(after, CLOCK, 100.0).language == language


@given(st.sampled_from(STATES), st.booleans(), st.sampled_from(tuple(NAMES)))
def test_a_button_that_is_not_there_does_nothing(state: str, asking: bool, name: str) -> None:
    shown = replace(model(state=state), asking=asking)
    if name not in names(shown):
        assert pressed(shown, name) == (shown, b"")


def test_a_refused_address_is_told_in_the_citizens_language_until_another_page_is_there() -> None:
    refused = seen(model(sentence=Said("Help")), refused=True)
    lines = {language: view(replace(refused, language=language), CLOCK, 100.0).line for language in LANGUAGES}
    assert lines["it"] == "Questo indirizzo non è aperto in questa sala. Chiedi all'operatore."
    assert lines["en"] == REFUSED
    assert lines["ro"] not in (lines["it"], lines["en"])
    assert view(seen(refused, refused=False), CLOCK, 100.0).line == "Aiuto"


def test_who_calls_for_help_about_a_refusal_reads_what_comes_of_it() -> None:
    refused = seen(model(sentence=Said("The operator has been called.")), refused=True)
    after, line = pressed(refused, "help")
    assert json.loads(line) == {"ask": "help"}
    assert view(after, CLOCK, 100.0).line == "L'operatore è stato chiamato."


def test_a_wish_that_did_not_get_through_says_so_until_the_enforcer_is_back() -> None:
    lost = unsent(model())
    assert lost.notice == AWAY
    assert view(lost, CLOCK, 100.0).line.startswith("La richiesta non è arrivata.")
    assert heard(lost, ACTIVE).notice == ""


def test_the_enforcers_sentence_is_said_with_its_values() -> None:
    said = Said("{what}: {minutes}", (("what", Said("Time left")), ("minutes", 5)))
    assert view(model(sentence=said), CLOCK, 100.0).line == "Tempo rimasto: 5"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_refused_download_is_told_for_a_while_and_then_what_was_said_before(language: str) -> None:
    told = happened(model(language=language, sentence=Said("Help")), NO_DOWNLOAD, 100.0)
    shown = view(told, CLOCK, 100.0 + NEWS_S - 0.1)
    assert (shown.loud, shown.line) == (True, NO_DOWNLOADS[language])
    assert not view(told, CLOCK, 100.0 + NEWS_S).loud
    assert seen(told, refused=False).news, "a title that changes takes it away from nobody"
    assert view(heard(told, ACTIVE), CLOCK, 110.0).loud, "nor does a word of the enforcer's"


NO_DOWNLOADS = {
    "it": "Questo file non si può scaricare qui. Chiama l'operatore.",
    "en": "This file may not be downloaded here. Call the operator.",
    "ro": "Acest fișier nu poate fi descărcat aici. Cheamă operatorul.",
}


def test_what_happened_later_is_told_first() -> None:
    page, file = seen(model(), refused=True), happened(model(), NO_DOWNLOAD, 100.0)
    both = happened(page, NO_DOWNLOAD, 100.0)
    assert view(both, CLOCK, 101.0).line.startswith("Questo file")
    assert view(both, CLOCK, 100.0 + NEWS_S).line.startswith("Questo indirizzo")
    assert view(seen(file, refused=True), CLOCK, 101.0).line.startswith("Questo indirizzo")


@pytest.mark.parametrize("state", sorted(set(STATES) - {"active"}))
def test_nothing_is_told_to_the_next_citizen(state: str) -> None:
    told = heard(happened(model(), NO_DOWNLOAD, 100.0), State(state, "it", 101.0))
    assert not view(told, CLOCK, 101.0).loud
    assert not view(heard(told, ACTIVE), CLOCK, 102.0).loud


def test_who_calls_for_help_about_a_download_reads_what_comes_of_it() -> None:
    called = model(sentence=Said("The operator has been called."))
    after, _line = pressed(happened(called, NO_DOWNLOAD, 100.0), "help")
    assert view(after, CLOCK, 101.0).line == "L'operatore è stato chiamato."


@pytest.mark.parametrize(
    ("left", "text", "urgent"), [(240, "4 min", False), (61, "2 min", False), (60, "60 s", True)]
)
def test_an_open_payment_mode_is_told_with_its_time(left: float, text: str, urgent: bool) -> None:
    shown = view(model(paying_until_s=100.0 + left), CLOCK, 100.0)
    assert shown.payment == Countdown("Pagamento", text, urgent)
    assert shown.left == Countdown("Tempo rimasto", "25 min", urgent=False)
    assert shown.loud is urgent
    assert shown.line.startswith("Le pagine per il pagamento stanno per" if urgent else "Ora puoi pagare")


def test_what_the_operator_does_is_said_beside_the_payments_time_but_not_in_its_last_minute() -> None:
    paying = model(paying_until_s=400.0, sentence=Said("The operator is coming."))
    assert view(paying, CLOCK, 100.0).line == "L'operatore sta arrivando."
    assert view(paying, CLOCK, 100.0).payment is not None
    assert view(paying, CLOCK, 350.0).line.startswith("Le pagine per il pagamento stanno per")


def test_payment_mode_closes_on_the_bars_own_count_and_its_end_is_told() -> None:
    paying = model(paying_until_s=160.0)
    assert view(paying, CLOCK, 160.0).payment is None
    over = heard(paying, replace(ACTIVE, at=161.0))
    assert view(over, CLOCK, 162.0).line.startswith("Il tempo per il pagamento è finito.")
    assert not view(over, CLOCK, 161.0 + NEWS_S).loud
    assert not heard(paying, State("ending", "it", 161.0)).news
    again = heard(over, replace(ACTIVE, paying_until_s=400.0))
    assert view(again, CLOCK, 162.0).line.startswith("Ora puoi pagare")


@pytest.mark.parametrize("state", ["ending", "wiping"])
def test_what_was_answered_in_a_session_is_over_with_it(state: str) -> None:
    shown = view(model(state=state, sentence=Said("The operator is coming.")), CLOCK, 100.0)
    assert shown.line == view(model(state=state), CLOCK, 100.0).line != ""
