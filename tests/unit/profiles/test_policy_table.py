"""Chromium's table against what was compiled: whatever differs is said, with file and line."""

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kiosk_profiles.compile import Resolved
from kiosk_profiles.findings import Finding
from kiosk_profiles.policy_table import READ_AS, PolicyState, table_findings, to_read
from tests.unit.profiles.lab import HALL, library

LAB = library(
    {
        "profiles/hall.yaml": HALL,
        "layers/lab.yaml": "browser:\n  policies:\n    SearchSuggestEnabled: true\n"
        "    FullscreenAllowd: false\nallow:\n  - .uno.example.it\n  - .due.example.it\n"
        "deny: [.portale.test/admin]\n",
    }
)
HERE = LAB.resolve("hall")
SECTION = HERE.resources.browser_policy
assert SECTION is not None
READ = to_read(SECTION)
CHROMIUM = LAB.facts.chromium


def table() -> dict[str, PolicyState]:
    """What a Chromium without complaints shows."""
    return {name: PolicyState(value) for name, value in READ.items()}


def found(told: dict[str, PolicyState], resolved: Resolved = HERE) -> tuple[Finding, ...]:
    return table_findings(resolved, told, LAB.facts, CHROMIUM)


def only(**changed: PolicyState) -> Finding:
    (finding,) = found(table() | changed)
    return finding


def test_a_table_as_compiled_has_nothing_to_say() -> None:
    assert found(table()) == ()


def test_only_the_two_values_that_end_the_reading_are_replaced() -> None:
    assert SECTION is not None
    compiled = {**SECTION.policies, "URLAllowlist": list(SECTION.allow)}
    changed = {name: (value, READ[name]) for name, value in compiled.items() if value != READ[name]}
    assert changed == READ_AS
    loose = {name: stand_in for name, (_, stand_in) in READ_AS.items()}
    assert to_read(replace_policies(loose)) == {**loose, "URLAllowlist": []}
    # 0 is false for Python, not for Chromium, which would complain of its type.
    assert to_read(replace_policies({"RemoteDebuggingAllowed": 0}))["RemoteDebuggingAllowed"] == 0


def replace_policies(policies: dict[str, Any]) -> Any:
    from contract.desired import BrowserPolicy

    return BrowserPolicy(policies=policies)


@given(st.sampled_from(sorted(READ)), st.sampled_from(["value", "error", "ignored", "known", "gone"]))
@settings(max_examples=60)
def test_whatever_chromium_does_not_take_is_one_error(name: str, how: str) -> None:
    told = table()
    match how:
        case "gone":
            del told[name]
        case "value":
            told[name] = PolicyState({"another": told[name].value})
        case "error":
            told[name] = replace(told[name], error="Expected list value.")
        case "ignored":
            told[name] = replace(told[name], ignored=True)
        case "known":
            told[name] = replace(told[name], known=False, error="Unknown policy.")
    (finding,) = found(told)
    assert finding.severity == "error"
    assert name in finding.message


def test_true_is_not_one() -> None:
    assert only(HeadlessMode=PolicyState(True)).severity == "error"
    assert only(SearchSuggestEnabled=PolicyState(1)).severity == "error"


def test_what_only_worries_is_a_warning() -> None:
    told = only(SearchSuggestEnabled=PolicyState(True, deprecated=True))
    assert (told.file, told.line, told.severity) == ("layers/lab.yaml", 3, "warning")
    told = only(SearchSuggestEnabled=PolicyState(True, warning="Not on\nMondays."))
    assert told.message.endswith("SearchSuggestEnabled: Not on Mondays")
    assert told.severity == "warning"


def test_the_line_is_that_of_whoever_said_it() -> None:
    unknown = only(FullscreenAllowd=PolicyState(False, known=False, error="Unknown policy."))
    assert (unknown.file, unknown.line) == ("layers/lab.yaml", 4)
    assert unknown in LAB.check(["hall"]), "the same words as without a Chromium: said once"
    entry = PolicyState(READ["URLAllowlist"], error="Policy parsing error: .due.example.it")
    assert (only(URLAllowlist=entry).file, only(URLAllowlist=entry).line) == ("layers/lab.yaml", 7)
    denied = PolicyState(READ["URLBlocklist"], error="Policy parsing error: .portale.test/admin")
    assert (only(URLBlocklist=denied).file, only(URLBlocklist=denied).line) == ("layers/lab.yaml", 8)
    base = only(URLBlocklist=PolicyState("*", error="Expected list value."))
    assert base.file.endswith("browser/base.yaml")
    # The proxy's address is written by the language itself: no line to show.
    assert only(ProxySettings=PolicyState({})).file == "profiles/hall.yaml"


def test_a_browser_that_is_not_managed_has_no_table() -> None:
    assert found({}, LAB.resolve("maintenance")) == ()


def test_every_layer_that_a_pc_may_have_is_looked_at() -> None:
    lab = library(
        {
            "layers/group/aula.yaml": "allow: [.aula.example.it]\n",
            "layers/pc/pc-03.yaml": "browser: null\n",
            "layers/pc/pc-04.yaml": "nonsense: 1\n",
        }
    )
    told = [one.resources.browser_policy for one in lab.resolvable(["citizen"])]
    assert [section is not None for section in told] == [True, True, False]
    assert len(list(lab.resolvable())) == 3 * len(lab.profiles)
