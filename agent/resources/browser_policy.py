"""Chromium's managed policy: what the browser itself refuses.

Two files, because a managed policy fails open: if a file cannot be read its
keys vanish. The deny rules stand in one and the allow-list in the other, so the
loss of the second closes the browser. Chromium does not merge a key that two
files set (the last name wins), so while we manage the directory no other file
may stand in it; strangers are put aside and come back when management ends.
"""

from typing import Any

import msgspec

from agent.core.changes import Change, Effect, FileState, Owned, Plan, Reader, RemoveFile
from agent.core.files import FilePlanner, FileWish, Found, observe_files
from contract.desired import BrowserPolicy, Resources
from contract.sentence import sentence
from contract.wire import Message

NAME = "browser_policy"
DIRECTORY = "/etc/chromium/policies/managed"
DENY = f"{DIRECTORY}/50-lab-policy.json"
ALLOW = f"{DIRECTORY}/60-lab-allow.json"
ALLOW_KEY = "URLAllowlist"
DENY_KEY = "URLBlocklist"

_OUT = sentence("the lab no longer manages the browser's policy")


class Observed(Message, frozen=True):
    """Our two files, and whatever else stands in the directory."""

    files: Found
    strangers: dict[str, FileState]


def observe(wanted: Resources, owned: Owned, reader: Reader) -> Observed:
    """What Chromium would read."""
    strangers: dict[str, FileState] = {}
    if wanted.browser_policy is not None:
        for name in reader.names(DIRECTORY) or ():
            path = f"{DIRECTORY}/{name}"
            state = None if path in (DENY, ALLOW) else reader.file(path)
            if state is not None:
                strangers[path] = state
    return Observed(files=observe_files((DENY, ALLOW), owned, reader), strangers=strangers)


def plan(wanted: Resources, observed: Observed, owned: Owned) -> Plan:
    """Strangers out, deny rules, then the allow-list; in steps that tighten first.

    Only a person can say which of two values of a policy is the tighter one. So
    what is certain is done first (new keys, more deny rules, hosts that leave
    the allow-list) and the rest last, when everything else has succeeded.
    """
    section = wanted.browser_policy
    if section is None:
        return _leave(observed, owned)
    planner = FilePlanner(NAME, observed.files, owned)
    changes: list[Change] = [
        Change(
            kind=NAME,
            subject=path,
            effect=Effect.TIGHTEN,
            why=sentence("a policy file that is not ours could override the lab's"),
            actions=(*planner.remember(path, state), RemoveFile(path=path)),
        )
        for path, state in observed.strangers.items()
    ]
    for path, steps in ((DENY, _deny_steps(section, observed)), (ALLOW, _allow_steps(section, observed))):
        for effect, document in steps:
            changes += planner.put(FileWish(path=path, content=_text(document)), effect)
    return (*changes, *planner.tidy((DENY, ALLOW)))


def watched(wanted: Resources) -> tuple[str, ...]:
    """The directory with every file in it."""
    return () if wanted.browser_policy is None else (f"{DIRECTORY}/",)


def _leave(observed: Observed, owned: Owned) -> Plan:
    planner = FilePlanner(NAME, observed.files, owned)
    ours = (key for key in owned if key.startswith("/"))
    # The allow-list goes first: without it the deny rules still hold.
    order = sorted(ours, key=lambda path: (path != ALLOW, path == DENY, path))
    released = tuple(change for path in order for change in planner.release(path, Effect.LOOSEN, _OUT))
    return (*released, *planner.tidy(()))


Steps = list[tuple[Effect, dict[str, Any]]]


def _deny_steps(section: BrowserPolicy, observed: Observed) -> Steps:
    new = {**section.policies}
    old = _document(observed.files.files.get(DENY))
    if old is None:
        return [(Effect.TIGHTEN, new)]
    certain = {**old, **{key: value for key, value in new.items() if key not in old}}
    certain[DENY_KEY] = _union(old.get(DENY_KEY), new.get(DENY_KEY))
    if not certain[DENY_KEY]:
        del certain[DENY_KEY]
    return _two_steps(old, certain, new)


def _allow_steps(section: BrowserPolicy, observed: Observed) -> Steps:
    new = {ALLOW_KEY: list(section.allow)}
    old = _document(observed.files.files.get(ALLOW))
    if old is None or set(old) - {ALLOW_KEY}:
        return [(Effect.TIGHTEN if not section.allow else Effect.LOOSEN, new)]
    hosts = old.get(ALLOW_KEY)
    kept = [host for host in hosts if host in section.allow] if isinstance(hosts, list) else []
    return _two_steps(old, {ALLOW_KEY: kept}, new)


def _two_steps(old: dict[str, Any], certain: dict[str, Any], new: dict[str, Any]) -> Steps:
    """First what surely tightens, then the whole; a step that changes nothing is left out."""
    if new in (old, certain):
        return [(Effect.TIGHTEN, new)]
    last = (Effect.LOOSEN, new)
    return [last] if certain == old else [(Effect.TIGHTEN, certain), last]


def _union(*lists: object) -> list[Any]:
    merged: dict[Any, None] = {}
    for entries in lists:
        if isinstance(entries, list):
            merged |= dict.fromkeys(entry for entry in entries if isinstance(entry, str))
    return list(merged)


def _document(state: FileState | None) -> dict[str, Any] | None:
    """The policies in a file as Chromium would read them; None where it would read nothing."""
    if state is None or not state.ours:
        return None
    try:
        document = msgspec.json.decode(state.content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _text(document: dict[str, Any]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document, order="deterministic"), indent=1) + b"\n"
