"""What labctl says when the door is shut, breaks off, or talks nonsense."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from controller.cli.client import Door, understood
from controller.cli.errors import Failure
from controller.cli.status import read
from tests.unit.cli.lab import labctl

OK = b"HTTP/1.1 200 OK\r\n"
STATUS = b'{"lab":"x","name":"x","at":"2026-11-24T09:00:00Z","revision":1,"stations":[]}'
NONSENSE = "the controller's answer makes no sense to this labctl."
NOBODY = 65534
GONE = "the controller went away before it had answered"


@contextmanager
def answering(place: Path, *pieces: bytes) -> Iterator[Path]:
    """A door where each caller gets these bytes, whatever was asked, and is then hung up on."""
    path = place / "door.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    caller, _address = listener.accept()
                except OSError:
                    return
                with caller, suppress(OSError):  # labctl may have heard enough
                    caller.recv(65536)
                    for piece in pieces:
                        caller.sendall(piece)

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield path
        finally:
            listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    "pieces",
    [
        (OK + b"Content-Length: %d\r\n\r\n" % len(STATUS), STATUS),
        (OK + b"content-length:%d\r\n\r\n" % len(STATUS), STATUS[:9], STATUS[9:]),
        (OK + b"\r\n" + STATUS,),
        (
            OK + b"Transfer-Encoding: chunked\r\n\r\n4;x=y\r\n" + STATUS[:4],
            b"\r\n%x\r\n" % len(STATUS[4:]),
            STATUS[4:] + b"\r\n0\r\nTrailer: x\r\n\r\n",
        ),
    ],
    ids=["length", "length in pieces", "until the end", "chunked"],
)
def test_every_framing_is_read(tmp_path: Path, pieces: tuple[bytes, ...]) -> None:
    with answering(tmp_path, *pieces) as door:
        assert Door(str(door)).get("/v1/status")["name"] == "x"


@pytest.mark.parametrize(
    ("pieces", "says"),
    [
        ((), GONE),
        ((b"HTTP/1.1 2",), GONE),
        ((OK + b"Content-Length: 999\r\n\r\n" + STATUS,), GONE),
        ((OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",), GONE),
        ((OK + b"Transfer-Encoding: chunked\r\n\r\nfive\r\n",), NONSENSE),
        ((OK + b"Content-Length: many\r\n\r\n",), NONSENSE),
        ((b"SSH-2.0-OpenSSH_9.2\r\n",), NONSENSE),
        ((b"x" * 100_000,), NONSENSE),
        ((OK + b"\r\n{",), NONSENSE),
        ((OK + b"\r\n[]",), NONSENSE),
        ((OK + b"\r\n" + b"[" * 50_000,), NONSENSE),
        ((OK + b"\r\n\xff\xfe",), NONSENSE),
        ((OK + b'\r\n{"stations": 7}',), NONSENSE),
        ((OK + b"\r\n" + STATUS.replace(b"09:00:00Z", b"noon"),), NONSENSE),
        ((OK + b"\r\n" + STATUS.replace(b"[]", b'["pc-01"]'),), NONSENSE),
        ((b"HTTP/1.1 500 Oh\r\n\r\n<html>",), "the controller met an error of its own (HTTP 500)."),
        ((b"HTTP/1.1 404 No\r\n\r\n{}",), NONSENSE),
        ((b'HTTP/1.1 409 No\r\n\r\n{"error": ["x"]}',), NONSENSE),
    ],
)
def test_an_answer_that_is_none(tmp_path: Path, pieces: tuple[bytes, ...], says: str) -> None:
    with answering(tmp_path, *pieces) as door, pytest.raises(Failure) as failure, understood():
        read(Door(str(door)).get("/v1/status"))
    assert failure.value.message.startswith(says)
    assert failure.value.hint


def test_a_failure_is_two_lines_and_an_exit_code(tmp_path: Path) -> None:
    with answering(tmp_path, OK + b"\r\n{") as door:
        done = labctl("status", door=door)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"labctl: {NONSENSE}\n"
        "  Are both of the same release? Compare `labctl --version` with `lab-controller --version`.\n"
    )


def test_the_door_goes_in_the_middle_of_a_publication(tmp_path: Path) -> None:
    with answering(tmp_path, OK + b"Transfer-Encoding: chunked\r\n\r\n") as door:
        done = labctl("profile", "publish", "citizen", door=door)
    assert done.returncode == 1
    assert GONE in done.stderr
    assert "Whether the command took effect is not known." in done.stderr


def test_no_controller(tmp_path: Path) -> None:
    done = labctl("status", door=tmp_path / "none.sock")
    assert done.returncode == 1
    assert done.stderr == (
        f"labctl: there is no controller here: {tmp_path}/none.sock does not exist.\n"
        "  On the lab's server, as root: systemctl start lab-controller (at the very first: labctl init). "
        "From another machine: labctl --server HOST ...\n"
    )


def test_a_controller_that_stopped(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(tmp_path / "door.sock"))
    done = labctl("status", door=tmp_path / "door.sock")
    assert done.returncode == 1
    assert "the controller has stopped: nobody answers" in done.stderr
    assert "systemctl restart lab-controller" in done.stderr


def test_a_door_one_may_not_open(tmp_path: Path) -> None:
    """Root may open every socket, so under root labctl steps down first."""
    step_down = f"import os, controller.cli.status; os.setuid({NOBODY})" if os.geteuid() == 0 else ""
    with answering(tmp_path) as door:
        door.chmod(0)
        done = labctl("status", door=door, before=step_down)
    assert done.returncode == 1
    assert "you may not use this lab's controller" in done.stderr


def test_a_path_no_socket_can_have(tmp_path: Path) -> None:
    done = labctl("status", door=tmp_path / ("x" * 120))
    assert done.returncode == 1
    assert "too long for a Unix socket" in done.stderr


def test_a_file_that_is_no_door(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = labctl("status", door=tmp_path / "file")
    assert done.returncode == 1
    assert done.stderr.startswith("labctl: ")
    assert "Traceback" not in done.stderr
