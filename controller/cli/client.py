"""labctl's end of the door: one HTTP/1.1 request over the controller's Unix socket.

Written out because of what it costs to start: http.client and what it imports
takes more CPU than all of `labctl status` besides Python and Typer, and h11 a
third of its allowance (docs/decisions/0002-typer-0.20.md). It speaks to one
server of ours on the same machine, needs no more than RFC 9112's three
framings of a body, and asks for a connection of its own each time.
"""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Self

import click

from controller.cli.errors import Failure
from controller.cli.i18n import LANGUAGE, _

DEFAULT_DOOR = "/run/lab-controller/door.sock"
LONGEST_BYTES = 1 << 16
"""Longest line of the protocol that can be meant."""
ANSWER_S = 30.0
"""How long the controller may take to begin its answer when nothing says otherwise."""


class Refused(Failure):
    """The controller answered, and the answer is no. `status` is HTTP's."""

    def __init__(self, status: int, message: str, hint: str) -> None:
        super().__init__(message, hint)
        self.status = status


class Gone(Failure):
    """The controller is not there, or went away before its answer was whole."""


class Door:
    """The controller's door at a path of the file system. Each call is a connection of its own."""

    def __init__(self, path: str) -> None:
        self.path = path

    def get(self, target: str) -> dict[str, Any]:
        """The JSON object at `target`; raises Failure."""
        return self._call("GET", target, None, ANSWER_S)

    def post(self, target: str, body: dict[str, Any], answer_s: float = ANSWER_S) -> dict[str, Any]:
        """What comes of posting `body`, which may take `answer_s` seconds; raises Failure."""
        return self._call("POST", target, body, answer_s)

    def put(self, target: str, body: dict[str, Any]) -> dict[str, Any]:
        """What comes of putting `body` there; raises Failure."""
        return self._call("PUT", target, body, ANSWER_S)

    def stream(self, target: str) -> "Lines":
        """The endless answer of `target`, a JSON object a line."""
        return Lines(Conversation(self.path, "GET", target, None, ANSWER_S))

    def _call(self, method: str, target: str, body: dict[str, Any] | None, answer_s: float) -> dict[str, Any]:
        with Conversation(self.path, method, target, body, answer_s) as conversation:
            return _object(b"".join(conversation))


class Conversation:
    """One request sent, and its answer being read: an iterator of the parts of the body as they come."""

    def __init__(
        self, path: str, method: str, target: str, body: dict[str, Any] | None, answer_s: float
    ) -> None:
        content = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {target} HTTP/1.1\r\nHost: lab-controller\r\nConnection: close\r\n"
        head += f"Accept-Language: {LANGUAGE}\r\n"
        if body is not None:
            head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
        self._buffer = bytearray()
        self._socket = _connect(path, answer_s)
        try:
            # A door that is crowded answers before it was asked, and closes.
            with _expecting_gone(), suppress(ConnectionError):
                self._socket.sendall(head.encode() + b"\r\n" + content)
            status, headers = self._head()
            self._parts = self._body(headers)
            self._heed(status)
        except BaseException:
            self._socket.close()
            raise

    def __iter__(self) -> Iterator[bytes]:
        return self._parts

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hangs up."""
        self._socket.close()

    def fileno(self) -> int:
        """For select: readable when the next part begins to arrive."""
        return self._socket.fileno()

    @property
    def pending(self) -> bool:
        """Whether something was read that no part has had yet, so that select would wait in vain."""
        return bool(self._buffer)

    def _heed(self, status: int) -> None:
        if status >= 400:
            raise _refusal(status, b"".join(self))

    def _head(self) -> tuple[int, dict[bytes, bytes]]:
        version, _blank, rest = self._line().partition(b" ")
        if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit():
            raise not_understood()
        headers = {}
        while line := self._line():
            name, _colon, value = line.partition(b":")
            headers[name.lower()] = value.strip()
        return int(rest[:3]), headers

    def _body(self, headers: dict[bytes, bytes]) -> Iterator[bytes]:
        """The body in its framing (RFC 9112, section 6.3): chunks, a length, or all until the door closes."""
        if headers.get(b"transfer-encoding", b"").lower() == b"chunked":
            while length := _length(self._line().partition(b";")[0], 16):
                part = self._exactly(length)
                self._line()  # before the part goes out, so that nothing is pending but what follows
                yield part
            while self._line():
                """A trailer, which says nothing we use."""
        elif b"content-length" in headers:
            yield self._exactly(_length(headers[b"content-length"], 10))
        else:
            while self._buffer or self._fill():
                yield self._exactly(len(self._buffer))

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\n")) < 0:
            if not self._fill():
                raise _gone_midway()
            if len(self._buffer) > LONGEST_BYTES:
                raise not_understood()
        return self._exactly(end + 1).rstrip(b"\r\n")

    def _exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            if not self._fill():
                raise _gone_midway()
        part = bytes(self._buffer[:count])
        del self._buffer[:count]
        return part

    def _fill(self) -> bool:
        with _expecting_gone():
            arrived = self._socket.recv(65536)
        self._buffer += arrived
        return bool(arrived)


class Lines:
    """An NDJSON answer, read as it comes: `wait` in a pipe, select and `receive` on a terminal."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._rest = b""

    def fileno(self) -> int:
        """For select."""
        return self._conversation.fileno()

    def receive(self) -> list[dict[str, Any]]:
        """The objects that are here, after select said that something arrived; Gone at the end."""
        objects: list[dict[str, Any]] = []
        while True:
            part = next(iter(self._conversation), None)
            if part is None:
                raise _gone_midway()
            objects += self._feed(part)
            if not self._conversation.pending:
                return objects

    def wait(self) -> Iterator[dict[str, Any]]:
        """Each object when it comes, until the controller ends it."""
        for part in self._conversation:
            yield from self._feed(part)

    def _feed(self, part: bytes) -> Iterator[dict[str, Any]]:
        *lines, self._rest = (self._rest + part).split(b"\n")
        return (_object(line) for line in lines if line.strip())


def door(ctx: click.Context | None = None) -> Door:
    """The door this labctl was told to use: --door, LABCTL_DOOR, or where the package puts it."""
    return Door((ctx or click.get_current_context()).find_root().params["door"])


@contextmanager
def understood() -> Iterator[None]:
    """Around whatever takes an answer apart: a field that is missing or misshapen becomes one sentence."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        raise not_understood() from None


def not_understood() -> Failure:
    """The door gave an answer that is not what docs/architecture.md promises."""
    return Failure(
        _("the controller's answer makes no sense to this labctl."),
        _("Are both of the same release? Compare `labctl --version` with `lab-controller --version`."),
    )


def _connect(path: str, answer_s: float) -> socket.socket:
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    line.settimeout(answer_s)
    try:
        line.connect(path)
    except OSError as error:
        line.close()
        raise _closed(path, error) from None
    return line


def _closed(path: str, error: OSError) -> Failure:
    """Why the door does not open, and what to do about it."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return Gone(
            _("there is no controller here: {path} does not exist.").format(path=path),
            _(
                "On the lab's server, as root: systemctl start lab-controller "
                "(at the very first: labctl init). From another machine: labctl --server HOST ..."
            ),
        )
    if isinstance(error, PermissionError):
        return Failure(
            _("you may not use this lab's controller ({path}).").format(path=path),
            _(
                "Ask its technician to add you to the group lab-operators or lab-technicians, "
                "then log out and in again. Your groups: `id`."
            ),
        )
    if isinstance(error, ConnectionRefusedError):
        return Gone(
            _("the controller has stopped: nobody answers at {path}.").format(path=path),
            _(
                "Start it with `systemctl restart lab-controller`; "
                "`journalctl -u lab-controller` says why it stopped."
            ),
        )
    if "too long" in str(error):
        return Failure(
            _("the door's path is too long for a Unix socket: {path}").format(path=path),
            _("A path of up to 107 characters works; give a shorter one with --door."),
        )
    reason = error.strerror or str(error)
    return Failure(
        _("the door {path} cannot be opened: {reason}.").format(path=path, reason=reason),
        _("--door or LABCTL_DOOR names the controller's socket; usually neither is needed."),
    )


@contextmanager
def _expecting_gone() -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise Gone(
            _("the controller did not answer in time."),
            _("See how it is with `labctl doctor`, or `journalctl -u lab-controller` on the server."),
        ) from None
    except OSError as error:
        raise _gone_midway(error) from None


def _length(digits: bytes, base: int) -> int:
    try:
        return int(digits, base)
    except ValueError:
        raise not_understood() from None


def _gone_midway(error: OSError | None = None) -> Gone:
    reason = f" ({error.strerror})" if error is not None and error.strerror else ""
    return Gone(
        _("the controller went away before it had answered{reason}.").format(reason=reason),
        _(
            "Whether the command took effect is not known. "
            "See with `labctl status`, then repeat it if need be."
        ),
    )


def _object(content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        raise not_understood() from None
    if not isinstance(value, dict):
        raise not_understood()
    return value


def _refusal(status: int, content: bytes) -> Failure:
    try:
        value = _object(content)
        message, hint = value["error"], value.get("hint") or ""
        if not isinstance(message, str) or not isinstance(hint, str):
            return not_understood()
    except (Failure, KeyError):
        if status < 500:
            return not_understood()
        message = _("the controller met an error of its own (HTTP {status}).").format(status=status)
        hint = _("`journalctl -u lab-controller` on the server has the details.")
    return Refused(status, message, hint)
