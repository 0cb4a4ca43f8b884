"""What the bar shows, and what a press of a button means: pure, with the time as an argument.

    Model (what is known) -> view(model, clock, monotonic) -> View (words and buttons)

The bar decides nothing about a session: it shows what the enforcer says and
passes on what the citizen asks. Only the question "end it?" is its own, so
that one slip of the finger ends nothing.

The rest of the screen is the bar's as well: behind the browser, and where there
is none, a plain ground says how it stands, and on a free PC has a button to
start. There all three languages stand side by side, as nobody has chosen yet.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from agent.citizen.messages import LANGUAGES, State, ask_line
from agent.citizen.words import say, word

SOON_S = 300.0
"""From when on the time left stands out: the enforcer's own warnings begin about there."""
PAY_SOON_S = 60.0
"""From when on it is said that payment mode is about to close."""
NEWS_S = 30.0
"""So long is told what has happened: an old reader's time for two lines, and some."""

HELP, MORE_TIME, END, END_YES, END_NO = "help", "more-time", "end", "end-yes", "end-no"
SAVE = "save"
INTERNET, DOCUMENTS = "internet", "documents"
"""To the browser and to the programs beside it: the bar's own, nobody is asked."""
NAMES = {
    INTERNET: word("Internet"),
    DOCUMENTS: word("Documents"),
    SAVE: word("Save to stick"),
    HELP: word("Help"),
    MORE_TIME: word("More time"),
    END: word("End session"),
    END_YES: word("Yes, end"),
    END_NO: word("No, go on"),
}
"""Every button of the bar but those of the languages, in the order in which they stand."""

START = "start-"
"""A button of the ground: this and a language's code."""

REFUSED = word("This address is not open in this lab. Ask the operator.")
AWAY = word("Your request did not get through. Ask the operator.")
NO_DOWNLOAD = word("This file may not be downloaded here. Call the operator.")
PAYING_OVER = word("The time for your payment is over. If you have not finished, call the operator.")
_PAYING = word("You can pay now: more pages are open for your payment.")
_PAYING_SOON = word(
    "The pages for your payment are about to close. If you need more time, call the operator."
)
_PAYMENT = word("Payment")
_QUESTION = word("End the session? Everything you did here is deleted.")
_UNKNOWN = word("One moment, please.")
_STATES = {
    "available": word("This PC is free."),
    "starting": word("Your session is starting. One moment, please."),
    "active": "",
    "ending": word("The session is ending."),
    "wiping": word("What you did here is being deleted. One moment, please."),
    "out-of-service": word("This PC is out of service. Ask the operator."),
}
_START = word("Start")
_TIME_LEFT = word("Time left")
_BUTTONS: dict[str, tuple[str, ...]] = {
    "available": (HELP,),
    "active": (INTERNET, DOCUMENTS, SAVE, HELP, MORE_TIME, END),
    "out-of-service": (HELP,),
}


@dataclass(frozen=True)
class Model:
    """All that the bar knows. `state` is None until the enforcer has spoken, and while it is away."""

    state: State | None = None
    language: str = "it"
    asking: bool = False
    """Whether the citizen is being asked if the session shall end."""
    notice: str = ""
    """What the bar has to say itself as long as it is so (REFUSED, AWAY)."""
    news: str = ""
    """What it has to say about something that has happened (NO_DOWNLOAD, PAYING_OVER), for a while."""
    news_until: float = 0.0
    ways: frozenset[str] = frozenset()
    """To which windows there is a way from the one in front (INTERNET, DOCUMENTS)."""


@dataclass(frozen=True)
class Countdown:
    """Something that ends: what it is, the time that it has left, and whether that is little."""

    name: str
    left: str
    urgent: bool


@dataclass(frozen=True)
class View:
    """What is on the screen. `left` is the session's time, `payment` that of payment mode, None without end.

    `loud` is a line about what the citizen has just done, or that does not wait.
    """

    clock: str
    left: Countdown | None
    payment: Countdown | None
    line: str
    loud: bool
    buttons: tuple[tuple[str, str], ...]
    """Which buttons are there, and their words."""
    language: str
    ground: tuple["Panel", ...]


@dataclass(frozen=True)
class Panel:
    """The ground in one language: how it stands, and the word on its button (empty: no button)."""

    language: str
    line: str
    start: str


def view(model: Model, clock: datetime, monotonic: float) -> View:
    """What to show at a moment."""
    line, loud = _line(model, monotonic)
    return View(
        clock=f"{clock:%H:%M}",
        left=_countdown(_TIME_LEFT, _left_s(model, monotonic), SOON_S, model.language),
        payment=_countdown(_PAYMENT, _paying_s(model, monotonic), PAY_SOON_S, model.language),
        line=line,
        loud=loud,
        buttons=tuple((name, say(NAMES[name], model.language)) for name in _buttons(model)),
        language=model.language,
        ground=tuple(_panel(model, language) for language in LANGUAGES),
    )


def until_next(model: Model, clock: datetime, monotonic: float) -> float:
    """Seconds until `view` says something else although nothing has happened."""
    waits = [60 - clock.second - clock.microsecond / 1e6]
    for left in (_left_s(model, monotonic), _paying_s(model, monotonic)):
        if left:
            waits.append(((left % 60 if left > 60 else left % 1) or 1.0) + 0.01)
    if model.news and monotonic < model.news_until:
        waits.append(model.news_until - monotonic + 0.01)
    return min(waits)


def heard(model: Model, state: State | None) -> Model:
    """After a word of the enforcer's; None is that the link to it broke."""
    if state is None:
        return replace(model, state=None, asking=False)
    active = state.state == "active"
    notice = "" if model.notice == AWAY else model.notice
    before = model.state
    model = replace(
        model, state=state, language=state.language, asking=model.asking and active, notice=notice
    )
    if not active:
        return replace(model, news="")  # it was the last citizen's
    was_open = before is not None and before.paying_until_s is not None
    if state.paying_until_s is None:
        return happened(model, PAYING_OVER, state.at) if was_open else model
    return replace(model, news="") if model.news == PAYING_OVER else model


def seen(model: Model, *, refused: bool, ways: frozenset[str] = frozenset()) -> Model:
    """After another window or title came to the front: was its address refused, and what else is open."""
    newly = refused and model.notice != REFUSED
    return replace(model, notice=REFUSED if refused else "", news="" if newly else model.news, ways=ways)


def happened(model: Model, news: str, monotonic: float) -> Model:
    """After something that the citizen is to be told (NO_DOWNLOAD, PAYING_OVER)."""
    return replace(model, news=news, news_until=monotonic + NEWS_S)


def pressed(model: Model, button: str) -> tuple[Model, bytes]:
    """After a press: the model, and the line to send (empty: none)."""
    language = button.removeprefix(START)
    if button != language and language in LANGUAGES:
        free = model.state is not None and model.state.state == "available"
        return (replace(model, language=language), ask_line("start", language)) if free else (model, b"")
    if button in LANGUAGES:
        return replace(model, language=button), ask_line("language", button)
    if button not in _buttons(model):
        return model, b""
    match button:
        case "end":
            return replace(model, asking=True), b""
        case "end-no":
            return replace(model, asking=False), b""
        case "internet" | "documents":  # the window itself is brought by whoever has the screen
            return replace(model, notice=""), b""
        case "end-yes":
            return replace(model, asking=False), ask_line("end")
    # What comes of it is to be read where the refusal was.
    return replace(model, notice="", news=""), ask_line(button)


def unsent(model: Model) -> Model:
    """After a line that could not be sent: the citizen must not wait for nobody."""
    return replace(model, notice=AWAY)


def _buttons(model: Model) -> tuple[str, ...]:
    if model.asking:
        return (END_YES, END_NO)
    if model.state is None:
        return ()
    pointless = {MORE_TIME} if model.state.ends_in_s is None else set()
    pointless |= set() if model.state.stick else {SAVE}
    pointless |= {INTERNET, DOCUMENTS} - model.ways
    return tuple(name for name in _BUTTONS.get(model.state.state, ()) if name not in pointless)


def _line(model: Model, monotonic: float) -> tuple[str, bool]:
    """The sentence, and whether it is loud; the first that there is of what matters most to the citizen."""
    paying = _paying_s(model, monotonic)
    news = model.news if monotonic < model.news_until else ""
    soon = _PAYING_SOON if paying is not None and paying <= PAY_SOON_S else ""
    loud = (_QUESTION if model.asking else "") or news or model.notice or soon
    if loud:
        return say(loud, model.language), True
    if model.state is None:
        return say(_UNKNOWN, model.language), False
    # An answer to a call, or what became of a stick, is over with the session.
    if model.state.sentence.text and model.state.state not in ("ending", "wiping"):
        return model.state.sentence.said(lambda text: say(text, model.language)), False
    return say(_PAYING if paying is not None else _STATES[model.state.state], model.language), False


def _panel(model: Model, language: str) -> Panel:
    """Behind an open browser it says what is true when that is just coming up, or coming back."""
    state = model.state.state if model.state is not None else ""
    line = say(_STATES.get(state, "") or _UNKNOWN, language)
    return Panel(language, line, say(_START, language) if state == "available" else "")


def _left_s(model: Model, monotonic: float) -> float | None:
    if model.state is None or model.state.ends_in_s is None:
        return None
    return max(0.0, model.state.ends_in_s - (monotonic - model.state.at))


def _paying_s(model: Model, monotonic: float) -> float | None:
    """How long payment mode stays open; None while it is closed, by the bar's own count as well."""
    if model.state is None or model.state.paying_until_s is None or model.state.paying_until_s <= monotonic:
        return None
    return model.state.paying_until_s - monotonic


def _countdown(name: str, left: float | None, soon_s: float, language: str) -> Countdown | None:
    return None if left is None else Countdown(say(name, language), _duration(left), left <= soon_s)


def _duration(seconds: float) -> str:
    """Minutes that have begun count as whole ones; the last minute is told in seconds."""
    if seconds <= 60:
        return f"{-int(-seconds // 1)} s"
    minutes = -int(-seconds // 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
