"""Everything an agent can say to a technician is in the catalogues, whichever room says it."""

import ast
import gettext
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from string import Formatter

import msgspec
import pytest

from agent import system_words
from agent.core.status import report
from contract.exchange import Fault, Refusal
from contract.status import Condition
from tests.unit.agent.test_status import NOW, ROWS, SEEN, seen
from tools import catalogues

AGENT = catalogues.ROOT / "agent"


MAKERS = {"sentence": catalogues.AGENTS, "citizens": catalogues.LAB_BAR}


def calls() -> Iterator[tuple[str, catalogues.Domain, ast.Call]]:
    """Every place of the agent that makes a Sentence, and the catalogues that have to have it."""
    for path in sorted(AGENT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                if node.func.id == "Sentence":
                    raise AssertionError(f"{path.relative_to(AGENT)}:{node.lineno}: use sentence()")
                if node.func.id in MAKERS:
                    yield f"{path.relative_to(AGENT)}:{node.lineno}", MAKERS[node.func.id], node


CALLS = [pytest.param(domain, call, id=where) for where, domain, call in calls()]


def translation(language: str) -> Callable[[str], str]:
    found = gettext.translation("sentences", str(catalogues.AGENTS.locales), languages=[language])
    return found.gettext


@pytest.mark.parametrize(("domain", "call"), CALLS)
def test_each_sentence_is_a_literal_with_words_in_each_language_and_a_value_for_each_place(
    domain: catalogues.Domain,
    call: ast.Call,
) -> None:
    first = call.args[0]
    assert isinstance(first, ast.Constant), "an f-string is one the translator never sees"
    assert isinstance(first.value, str)
    for language in domain.languages:
        known = catalogues.read(domain, language).get(first.value)
        assert known is not None, f"run python -m tools.catalogues ({language})"
        assert known.string, language
    places = {name for _text, name, spec, how in Formatter().parse(first.value) if name and not (spec or how)}
    assert places == {keyword.arg for keyword in call.keywords}
    assert first.value.count("{") == len([name for _t, name, *_ in Formatter().parse(first.value) if name])


def test_nothing_reaches_a_technician_but_as_a_sentence() -> None:
    """The contract leaves no other way: these fields take nothing else."""
    for kind, field in ((Condition, "message"), (Refusal, "message"), (Fault, "error")):
        types = {one.name: one.type for one in msgspec.structs.fields(kind)}
        assert types[field].__name__ == "Sentence"


@pytest.mark.parametrize(("_kind", "begins", "_between", "_ends"), ROWS)
def test_a_condition_is_read_in_italian_from_end_to_end(
    _kind: str, begins: dict[str, object], _between: object, _ends: object
) -> None:
    italian, english = translation("it"), translation("en")
    for condition in report(seen(**begins), report(SEEN, None, NOW), NOW).conditions:
        said = condition.message.said(italian)
        assert said != str(condition.message) == condition.message.said(english)
        assert "{" not in said


def test_a_full_disk_in_italian() -> None:
    ill = report(seen(**ROWS[1][1]), report(SEEN, None, NOW), NOW)
    said = [one.message.said(translation("it")) for one in ill.conditions if one.status]
    assert said == ["Disco quasi pieno: restano 4 MB su /boot/efi; fai spazio."]


def test_the_system_s_words_are_those_of_this_system(tmp_path: Path) -> None:
    assert {number: str(said) for number, said in system_words.SYSTEM.items()} == {
        number: os.strerror(number) for number in system_words.SYSTEM
    }
    known = {str(said) for said in system_words.SQLITE}
    damaged = tmp_path / "damaged"
    damaged.write_bytes(b"no database at all" * 100)
    for path, statement in ((damaged, "SELECT * FROM x"), (tmp_path, "SELECT 1")):
        with pytest.raises(sqlite3.Error) as caught:
            sqlite3.connect(path).execute(statement)
        assert str(caught.value) in known
