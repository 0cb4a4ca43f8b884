"""YAML as this language takes it: plain data, with the line of every value.

Built on libyaml's events instead of PyYAML's loaders, because a loader forgets
lines, takes the last of two equal keys in silence, expands aliases (a bomb of
ten lines) and recurses on the C stack. The types are those of YAML 1.2's core
schema: `no` is a word, `true` is a truth, a date stays text until a model asks
for one.
"""

import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import yaml

from kiosk_profiles.findings import _

MAX_BYTES = 256 * 1024
"""A thousand hosts, each on its own commented line, come to about 80 kB."""
MAX_DEPTH = 12

Path = tuple[str | int, ...]

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"[-+]?[0-9]{1,18}\.[0-9]{1,18}")
_CONSTANTS: dict[str, Any] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


@dataclass(frozen=True)
class Problem:
    """A finding that does not know its file yet."""

    line: int
    message: str
    hint: str = ""


@dataclass(frozen=True, eq=False)
class Document:
    """The data of one file, and the line (from 1) of each key and list item by its path."""

    data: Any
    lines: MappingProxyType[Path, int]

    def line(self, path: Path) -> int:
        """The line of `path`, or of the nearest thing around it that is in the file."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


class _Stop(Exception):
    """The rest of the file is not worth reading."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def parse(content: bytes) -> tuple[Document | None, tuple[Problem, ...]]:
    """The document in `content`, or None, and everything that is wrong with it as YAML."""
    if len(content) > MAX_BYTES:
        message = _("the file has {size} bytes; the limit is {limit}", size=len(content), limit=MAX_BYTES)
        return None, (Problem(0, message, _("split it, or check that it is the file you meant")),)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        return None, (Problem(line, _("this is not UTF-8 text"), _("save the file as UTF-8 in your editor")),)
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            builder.take(event)
    except _Stop as stop:
        builder.problems.append(stop.problem)
    except yaml.MarkedYAMLError as error:
        builder.problems.append(_not_yaml(error, text))
    except yaml.YAMLError as error:
        position = getattr(error, "position", 0)
        line = text[:position].count("\n") + 1
        builder.problems.append(
            Problem(line, _("a character here cannot stand in a YAML file"), _("delete it"))
        )
    if builder.problems:
        return None, tuple(builder.problems)
    return Document(builder.root, MappingProxyType(builder.lines)), ()


def _not_yaml(error: yaml.MarkedYAMLError, text: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    number = mark.line if mark is not None else 0
    lines = text.splitlines()
    number = min(number, max(len(lines) - 1, 0))
    message = _("this is not YAML: {problem}", problem=error.problem or error.context or "?")
    if lines and "\t" in lines[number]:
        return Problem(number + 1, message, _("indent with spaces, never with tabs"))
    if lines and lines[number].count(": ") > 1:
        return Problem(number + 1, message, _('put a text that holds ": " between double quotes'))
    return Problem(
        number + 1,
        message,
        _("check the indentation, the colons and the quotes of this line and the one above"),
    )


@dataclass
class _Frame:
    """A mapping or list that is not closed yet; `key` is the mapping's key that waits for its value."""

    container: dict[str, Any] | list[Any]
    path: Path
    key: str | None = None
    repeated: bool = False


@dataclass
class _Builder:
    root: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    stack: list[_Frame] = field(default_factory=list)
    documents: int = 0

    def take(self, event: yaml.Event) -> None:
        line = event.start_mark.line + 1 if event.start_mark is not None else 1
        match event:
            case yaml.AliasEvent():
                message = _("*{name} repeats another part of the file", name=event.anchor)
                raise _Stop(Problem(line, message, _("write that part out here")))
            case yaml.ScalarEvent():
                self._tag(event.tag, line)
                self._scalar(event, line)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._tag(event.tag, line)
                self._open({} if isinstance(event, yaml.MappingStartEvent) else [], line)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self.stack.pop()
            case yaml.DocumentStartEvent():
                self.documents += 1
                if self.documents > 1:
                    raise _Stop(
                        Problem(
                            line,
                            _("a second document starts here"),
                            _("one file holds one document: drop the '---'"),
                        )
                    )

    def _tag(self, tag: str | None, line: int) -> None:
        if tag is not None:
            self.problems.append(
                Problem(line, _("the tag {tag} is not part of this language", tag=tag), _("delete it"))
            )

    def _open(self, container: dict[str, Any] | list[Any], line: int) -> None:
        if len(self.stack) >= MAX_DEPTH:
            raise _Stop(Problem(line, _("this is nested more than {depth} deep", depth=MAX_DEPTH)))
        frame = self.stack[-1] if self.stack else None
        if frame is not None and isinstance(frame.container, dict) and frame.key is None:
            raise _Stop(Problem(line, _("a key must be one word"), _("write 'key: value'")))
        path = self._put(container, line)
        self.stack.append(_Frame(container, path))

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> None:
        frame = self.stack[-1] if self.stack else None
        if frame is not None and isinstance(frame.container, dict) and frame.key is None:
            self._key(frame, event.value, line)
            return
        plain = event.style is None or event.style == ""
        self._put(_typed(event.value) if plain else event.value, line)

    def _key(self, frame: _Frame, key: str, line: int) -> None:
        frame.key = key
        path = (*frame.path, key)
        frame.repeated = key in frame.container
        if frame.repeated:
            message = _("'{key}' is here twice (first on line {line})", key=key, line=self.lines[path])
            self.problems.append(Problem(line, message, _("keep one of the two")))
        else:
            self.lines[path] = line

    def _put(self, value: Any, line: int) -> Path:
        if not self.stack:
            self.root = value
            self.lines[()] = line
            return ()
        frame = self.stack[-1]
        if isinstance(frame.container, list):
            path: Path = (*frame.path, len(frame.container))
            self.lines[path] = line
            frame.container.append(value)
            return path
        assert frame.key is not None  # noqa: S101 - _key ran before every value of a mapping
        key, frame.key = frame.key, None
        if not frame.repeated:
            frame.container[key] = value
        return (*frame.path, key)


def _typed(text: str) -> Any:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return float(text)
    return text
