"""What a real Chromium makes of a profile's policy: its own table against what was compiled. Pure.

The table is that of chrome://policy, one line a policy; who reads it is the
caller's business (controller/policy_reader.py). Here is which document to show
to Chromium, and what its answer means for which line of which file.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from contract.desired import BrowserPolicy
from kiosk_profiles.compile import Resolved, Row
from kiosk_profiles.findings import Finding, Severity, _
from kiosk_profiles.lint import Facts, unknown_policy

READ_AS: dict[str, tuple[Any, Any]] = {
    "DeveloperToolsAvailability": (2, 1),
    "RemoteDebuggingAllowed": (False, True),
}
"""The two values that would take the table away from its reader at once, and what stands in for them.

Name and type are read all the same; any other value goes in as it is. That the real values do what they
shall is seen by that very effect (tests/lab/test_policy.py).
"""

ALLOW_KEY = "URLAllowlist"
_WRITTEN_FROM = {
    ALLOW_KEY: ("browser.allow", "payment.allow"),
    "URLBlocklist": ("browser.deny", "browser.policies.URLBlocklist"),
    "ManagedBookmarks": ("browser.tile",),
    "BookmarkBarEnabled": ("browser.tile",),
}
"""Policies that are folded from other rows than one of their own."""


@dataclass(frozen=True)
class PolicyState:
    """A line of the table. `known`: Chromium has such a policy; texts are its own, or empty."""

    value: Any
    known: bool = True
    error: str = ""
    warning: str = ""
    ignored: bool = False
    deprecated: bool = False


def to_read(section: BrowserPolicy) -> dict[str, Any]:
    """The document whose table stands for this policy: the same but for READ_AS."""
    document = {**section.policies, ALLOW_KEY: list(section.allow)}
    for name, (real, stand_in) in READ_AS.items():
        if name in document and _same(document[name], real):
            document[name] = stand_in
    return document


def table_findings(
    resolved: Resolved, table: Mapping[str, PolicyState], facts: Facts, chromium: int
) -> tuple[Finding, ...]:
    """What speaks against the profile in the table that Chromium (its major version) shows of it."""
    section = resolved.resources.paying().browser_policy
    if section is None:
        return ()
    found: list[Finding] = []
    for name, value in to_read(section).items():
        state = table.get(name)
        for severity, message, hint in _about(name, value, state, facts, chromium):
            row = _row(resolved, name, state.error if state else "")
            place = (row.file, row.line) if row else (f"profiles/{resolved.profile}.yaml", 0)
            found.append(Finding(*place, severity, message, hint))
    return tuple(sorted(set(found)))


def _about(
    name: str, value: Any, state: PolicyState | None, facts: Facts, chromium: int
) -> Iterator[tuple[Severity, str, str]]:
    if state is None:
        message = _("Chromium {version} did not read the policy {name}", version=chromium, name=name)
        yield "error", message, ""
        return
    if not state.known:
        yield "error", *unknown_policy(name, chromium, facts)
    elif state.error or state.ignored:
        said = _one_line(state.error) or _("ignored")
        message = _("Chromium {version} does not take the policy {name}: {said}")
        yield (
            "error",
            message.format(version=chromium, name=name, said=said),
            _("its values are at chromeenterprise.google/policies"),
        )
    elif not _same(state.value, value):
        message = _("Chromium {version} reads another value of {name} than the one that was written")
        yield "error", message.format(version=chromium, name=name), ""
    if state.known and state.deprecated:
        message = _("Chromium {version} is going to drop the policy {name}", version=chromium, name=name)
        yield "warning", message, _("look for its successor in chrome://policy, and try that it works")
    if state.warning:
        message = _("Chromium {version} on the policy {name}: {said}")
        yield "warning", message.format(version=chromium, name=name, said=_one_line(state.warning)), ""


def _row(resolved: Resolved, name: str, error: str) -> Row | None:
    """The row that said it: of several, the one whose value Chromium quotes."""
    paths = _WRITTEN_FROM.get(name, (f"browser.policies.{name}",))
    rows = [row for row in resolved.rows if row.path in paths]
    quoted = (row for row in rows if isinstance(row.value, str) and row.value in error)
    return next(quoted, rows[0] if rows else None)


def _one_line(text: str) -> str:
    return " ".join(text.split()).removesuffix(".")


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON: for Python, true is 1."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
