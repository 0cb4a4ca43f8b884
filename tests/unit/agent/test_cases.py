"""Each resource kind's table of cases: wanted + what the PC has + what is remembered -> the plan."""

import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.converge import converge
from agent.core.changes import (
    Action,
    FileState,
    Forget,
    LoadRules,
    MakeDirectory,
    MakeLink,
    Owned,
    Reload,
    Remember,
    RemoveDirectory,
    RemoveFile,
    Run,
    SetKernel,
    WriteFile,
)
from agent.core.files import Original
from agent.core.reconcile import whole_plan
from agent.resources import KINDS
from contract.desired import Resources
from contract.wire import encode
from tests.fakes.host import FakeHost, FakeMemory

CASES = Path(__file__).parents[2] / "cases"
NAMES = [kind.NAME for kind in KINDS]
FILES = [path for name in NAMES for path in sorted((CASES / name).glob("*.toml"))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_case(path: Path) -> None:
    case = tomllib.loads(path.read_text())
    wanted, host, owned = _given(path.parent.name, case)
    plan = whole_plan(KINDS, wanted, owned, host)
    assert [_told(change.effect.name, change.subject, change.actions) for change in plan] == [
        (due["effect"], due["subject"], tuple(due["actions"])) for due in case["changes"]
    ]
    for change, due in zip(plan, case["changes"], strict=True):
        texts = [action.content.decode() for action in change.actions if isinstance(action, WriteFile)]
        if "text" in due:
            assert texts == [due["text"]]
        for part in due.get("contains", ()):
            assert part in texts[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_after_it_is_done_there_is_nothing_to_do(path: Path) -> None:
    case = tomllib.loads(path.read_text())
    wanted, host, owned = _given(path.parent.name, case)
    memory = FakeMemory(owned)
    outcome = converge(KINDS, wanted, host, memory)
    if "stuck" in case:  # what the PC lacks nobody can plan
        assert case["stuck"] in str(outcome.reason)
        assert not outcome.converged
        return
    assert outcome.converged
    assert [change.subject for change in outcome.advice] == case.get("advice", [])
    assert whole_plan(KINDS, wanted, memory.owned(), host) == outcome.advice


@pytest.mark.parametrize("name", NAMES)
def test_each_kind_has_the_four_cases(name: str) -> None:
    stems = {path.stem.split("-")[0] for path in FILES if path.parent.name == name} | {
        path.stem for path in FILES if path.parent.name == name
    }
    assert {"create", "update", "remove", "no-op"} <= stems


def _given(kind: str, case: dict[str, Any]) -> tuple[Resources, FakeHost, dict[str, Owned]]:
    wanted = msgspec.convert(case.get("wanted", {}), Resources)
    table = case.get("host", {})
    host = FakeHost(
        files={path: _state(value) for path, value in table.get("files", {}).items()},
        directories=set(table.get("directories", ())),
        kernel=table.get("kernel"),
    )
    host.tables = dict(table.get("tables", {}))
    if "users" in table:
        host.users = table["users"]
    host.units |= set(table.get("units", ()))
    host.units -= set(table.get("stopped", ()))
    host.missing |= set(table.get("missing", ()))
    remembered = case.get("owned", {})
    owned = {
        path: encode(Original(state=None if text is False else _state(text)))
        for path, text in remembered.get("files", {}).items()
    }
    owned |= {key: text.encode() for key, text in remembered.get("other", {}).items()}
    if "loaded" in remembered:
        owned["loaded"] = b"".join(host.files[path].content for path in remembered["loaded"])
    everything = {kind: owned}
    if kind != "units" and (wanted.network or wanted.session):
        everything["units"] = {"taken": b"", "loaded": b""}  # as on a PC that the lab has had for a while
    return wanted, host, everything


def _state(value: str | dict[str, Any]) -> FileState:
    if isinstance(value, str):
        return FileState(content=value.encode(), mode=0o644)
    if "target" in value:
        return FileState(content=b"", mode=0, ours=False, target=value["target"])
    mode = int(value.get("mode", "0644"), 8)
    return FileState(content=value["text"].encode(), mode=mode, ours=value.get("ours", True))


def _told(effect: str, subject: str, actions: tuple[Action, ...]) -> tuple[str, str, tuple[str, ...]]:
    return effect.lower(), subject, tuple(_line(action) for action in actions)


def _line(action: Action) -> str:
    match action:
        case WriteFile(path):
            return f"write {path}"
        case MakeLink(path, target):
            return f"link {path} {target}"
        case RemoveFile(path):
            return f"remove {path}"
        case MakeDirectory(path):
            return f"mkdir {path}"
        case RemoveDirectory(path):
            return f"rmdir {path}"
        case SetKernel(key, value):
            return f"set {key}={value}"
        case LoadRules(table, rules):
            return f"rules {table}" if rules else f"no rules {table}"
        case Reload(unit):
            return f"reload {unit}"
        case Run(argv):
            return f"run {' '.join(argv)}"
        case Remember(_, key):
            return f"remember {key}"
        case Forget(_, key):
            return f"forget {key}"
