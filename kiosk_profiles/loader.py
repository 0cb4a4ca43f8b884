"""From the bytes of one file to a checked model, with everything wrong with it at once.

Pure, and remembered by content: whoever publishes again after editing one file
pays for that file only. Pydantic finds what is wrong; here it is said to a
technician, with the line and what to write instead.
"""

import difflib
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar, Union, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from kiosk_profiles.findings import Finding, _, remembered
from kiosk_profiles.yamltext import Document, Problem, parse

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, eq=False)
class Loaded(Generic[Model]):
    """A file's model and its lines; `model` is None where `problems` holds the reasons."""

    model: Model | None
    document: Document | None
    problems: tuple[Problem, ...]

    def findings(self, file: str) -> tuple[Finding, ...]:
        """The problems as findings about `file`."""
        return tuple(Finding(file, p.line, "error", p.message, p.hint) for p in self.problems)


def load(kind: type[Model], content: bytes) -> Loaded[Model]:
    """The `kind` that `content` writes, or all that is wrong with it."""
    return cast(Loaded[Model], _load(kind, content))


@remembered(1024)
def _load(kind: type[Model], content: bytes) -> Loaded[Model]:
    document, problems = parse(content)
    if document is None:
        return Loaded(None, None, problems)
    data = {} if document.data is None else document.data
    if not isinstance(data, dict):
        problem = Problem(1, _("the file is not made of keys"), _("write 'key: value' lines"))
        return Loaded(None, document, (problem,))
    try:
        model = kind.model_validate(data)
    except ValidationError as error:
        found = (_said(kind, document, detail) for detail in error.errors(include_url=False))
        return Loaded(None, document, tuple(sorted(set(found), key=lambda problem: problem.line)))
    return Loaded(model, document, ())


_TYPES = {
    "bool_type": (_("wants true or false"), _("write true or false, without quotes")),
    "string_type": (_("wants a text"), _("put it between quotes")),
    "int_type": (_("wants a whole number"), _("write digits only")),
    "list_type": (_("wants a list"), _("write [first, second], or one '- item' a line; [] is an empty list")),
    "dict_type": (_("wants keys of its own"), _("write 'key: value' lines under it, indented")),
    "model_type": (_("wants keys of its own"), _("write 'key: value' lines under it, indented")),
    "model_attributes_type": (_("wants keys of its own"), _("write 'key: value' lines under it, indented")),
    "date_type": (_("wants a date"), _("write it as 2026-11-23")),
}


_BOUNDS = {
    "greater_than_equal": _("is too small: at least {ge}"),
    "less_than_equal": _("is too large: at most {le}"),
    "too_short": _("has too few items: at least {min_length}"),
    "too_long": _("has too many items: at most {max_length}"),
    "string_too_short": _("is too short: at least {min_length} characters"),
    "string_too_long": _("is too long: at most {max_length} characters"),
}


def _said(kind: type[BaseModel], document: Document, detail: ErrorDetails) -> Problem:
    place = tuple(part for part in detail["loc"] if part != "[key]")
    line = document.line(place)
    name = _name(place)
    context = detail.get("ctx", {})
    match detail["type"]:
        case "said":
            return Problem(
                line, f"{name}: {context['message']}" if name else context["message"], context["hint"]
            )
        case "extra_forbidden":
            return _unknown_key(kind, place, line)
        case "missing":
            word = str(place[-1])
            return Problem(line, _("'{name}' is missing", name=name), _("add '{word}:'", word=word))
        case "literal_error":
            choices = str(context.get("expected", ""))
            message = _("{name}: {value!r} is not one of {choices}")
            close = _closest(
                str(detail["input"]),
                [choice.strip("' ") for choice in choices.replace(" or ", ",").split(",")],
            )
            return Problem(
                line,
                message.format(name=name, value=detail["input"], choices=choices),
                _("write {word}", word=close) if close else "",
            )
        case "string_pattern_mismatch":
            message = _("{name}: {value!r} is not a name here", name=name, value=detail["input"])
            return Problem(line, message, _("check the spelling: small letters, digits and hyphens"))
        case word if word in _TYPES:
            wanted, hint = _TYPES[word]
            return Problem(line, f"{name}: {wanted}, {_shown(detail['input'])}", hint)
        case word if word in _BOUNDS:
            return Problem(line, f"{name}: {_BOUNDS[word].format(**context)}")
        case _:
            return Problem(line, f"{name}: {detail['msg']}")


def _name(place: Sequence[str | int]) -> str:
    name = ""
    for part in place:
        name += f"[{part + 1}]" if isinstance(part, int) else f".{part}"
    return name.lstrip(".")


def _shown(value: Any) -> str:
    if value is None:
        return _("and nothing is there")
    text = value if isinstance(value, str) else repr(value)
    return _("not {value}", value=text if len(text) <= 40 else text[:40] + "...")


def _unknown_key(kind: type[BaseModel], place: Sequence[str | int], line: int) -> Problem:
    word = str(place[-1])
    known = _fields(kind, place[:-1])
    where = _(" in '{section}'", section=_name(place[:-1])) if len(place) > 1 else ""
    message = _("unknown key '{word}'{where}", word=word, where=where)
    close = _closest(word, known)
    if close is not None:
        return Problem(line, message, _("did you mean '{close}'?", close=close))
    for section, owner in _nested(kind):
        if word in owner.model_fields:
            return Problem(line, message, _("it belongs under '{section}:'", section=section))
    return Problem(line, message, _("the keys here are: {known}", known=", ".join(known)))


def _closest(word: str, known: Sequence[str]) -> str | None:
    flat = {name.replace("_", ""): name for name in known}
    near = difflib.get_close_matches(word.lower().replace("_", "").replace("-", ""), flat, n=1, cutoff=0.81)
    return flat[near[0]] if near else None


def _fields(kind: type[BaseModel], place: Sequence[str | int]) -> list[str]:
    """The keys that may stand at `place` of a model."""
    for part in place:
        if isinstance(part, int):
            continue
        field = kind.model_fields.get(part)
        inner = next(_models(field.annotation), None) if field is not None else None
        if inner is None:
            return []
        kind = inner
    return list(kind.model_fields)


def _nested(kind: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """The sections that a file of this kind may have (not the items of its lists)."""
    for name, field in kind.model_fields.items():
        if get_origin(field.annotation) is not list:
            yield from ((name, inner) for inner in _models(field.annotation))


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Union, types.UnionType, list, Annotated):
        for inner in get_args(annotation):
            yield from _models(inner)
