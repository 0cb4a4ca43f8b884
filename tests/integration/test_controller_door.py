"""labctl's door: who may do what, and that nothing anybody sends through it makes it fall over."""

import contextlib
import grp
import http.client
import json
import os
import pwd
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.door_callers import CALLS_EACH, MAX_BODY_BYTES, Crowd, Door, caller_of
from tests.integration.controller_kit import Controller, until

NOBODY = "nobody"


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    made = Controller(tmp_path_factory.mktemp("lab"))
    try:
        yield made.up()
    finally:
        made.stop()


def raw(controller: Controller, data: bytes) -> bytes:
    """All that the door answers to some bytes."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(30)
        line.connect(str(controller.paths.door))
        line.sendall(data)
        found = b""
        while part := line.recv(65536):
            found += part
            if b"\r\n\r\n" in found and (b"error" in found or len(found) > 4096):
                break
    return found


def test_the_door_knows_its_caller(controller: Controller) -> None:
    me = controller.done("GET", "/v1/whoami")
    assert me == {"uid": os.geteuid(), "user": pwd.getpwuid(os.geteuid()).pw_name, "role": "technician"}


def test_no_header_makes_anybody_somebody_else(controller: Controller) -> None:
    forged = {"X_Forwarded_For": "12345", "Forwarded": "for=12345", "X_Real_IP": "12345"}
    assert controller.ask("GET", "/v1/whoami", **forged).body["uid"] == os.geteuid()


def test_roles_follow_from_the_groups() -> None:
    me = pwd.getpwuid(os.geteuid())
    group = grp.getgrgid(me.pw_gid).gr_name
    nobody = pwd.getpwnam(NOBODY)
    nogroup = grp.getgrgid(nobody.pw_gid).gr_name
    path = Path("/nowhere")
    as_technician = caller_of(nobody.pw_uid, Door(path, technicians=nogroup, operators="x"))
    as_operator = caller_of(nobody.pw_uid, Door(path, technicians="x", operators=nogroup))
    assert as_technician is not None
    assert as_technician.technician
    assert as_operator is not None
    assert not as_operator.technician
    assert caller_of(nobody.pw_uid, Door(path, technicians="x", operators=group)) is None
    assert caller_of(4_000_000, Door(path, technicians="x", operators="y")) is None
    mine = caller_of(os.geteuid(), Door(path, technicians="x", operators="y"))
    assert mine is not None
    assert mine.technician


NO_URL = {"entity": "x", "hosts": ["a.example"]}

AS_NOBODY = """
import http.client, json, os, pwd, socket, sys
nobody = pwd.getpwnam("nobody")
os.setgroups([]); os.setgid(nobody.pw_gid); os.setuid(nobody.pw_uid)
line = socket.socket(socket.AF_UNIX); line.connect(sys.argv[1])
door = http.client.HTTPConnection("door"); door.sock = line
door.request("GET", "/v1/status"); answer = door.getresponse()
print(json.dumps([answer.status, json.loads(answer.read())]))
"""


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")


@pytest.fixture
def open_to_all() -> Iterator[Controller]:
    # Not pytest's folder: that is closed to strangers anyway.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        controller = Controller(Path(folder))
        try:
            yield controller.up()
        finally:
            controller.stop()


@needs_root
def test_a_stranger_on_the_same_machine_gets_a_sentence(open_to_all: Controller) -> None:
    argv = [sys.executable, "-c", AS_NOBODY, str(open_to_all.paths.door)]
    said = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    status, body = json.loads(said.stdout)
    assert status == 403
    assert "lab-operators" in body["error"]
    assert "usermod" in body["hint"]


CROWD = """
import os, socket, sys
path, users, each, said = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4].encode()
held = []
for user in range(users):
    os.seteuid(60001 + user)
    for _ in range(each):
        line = socket.socket(socket.AF_UNIX); line.connect(path); held.append(line)
        try:
            line.sendall(said)
        except ConnectionError:
            pass  # told already that there is no place
    os.seteuid(0)
print("here", flush=True)
sys.stdin.read()
"""
AS_SOMEBODY = """
import json, os, sys
from controller.cli.client import Door, Refused
os.setgroups([]); os.seteuid(int(sys.argv[2]))
try:
    Door(sys.argv[1]).get("/v1/status")
except Refused as refused:
    print(refused.status)
"""
UNFINISHED = "POST /v1/discover HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"


@contextlib.contextmanager
def crowd(controller: Controller, users: int, each: int, said: str = "") -> Iterator[None]:
    """Strangers of this machine, each with many connections on which something was said."""
    argv = [sys.executable, "-c", CROWD, str(controller.paths.door), str(users), str(each), said]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        yield


def somebody(controller: Controller, uid: int) -> int:
    """What labctl of a stranger is answered: an HTTP status."""
    argv = [sys.executable, "-c", AS_SOMEBODY, str(controller.paths.door), str(uid)]
    said = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    return int(said.stdout)


@needs_root
@pytest.mark.parametrize("said", ["", UNFINISHED], ids=["mute", "unfinished"])
def test_one_user_of_the_server_cannot_take_everybodys_place(open_to_all: Controller, said: str) -> None:
    with crowd(open_to_all, users=1, each=300, said=said):
        assert somebody(open_to_all, 60001) == 503
        assert somebody(open_to_all, 60002) == 403, "another is only told that he may not"
        assert open_to_all.ask("GET", "/v1/whoami").status == 200
    until(lambda: somebody(open_to_all, 60001) == 403, "places given back")


@needs_root
@pytest.mark.parametrize("said", ["", UNFINISHED], ids=["mute", "unfinished"])
def test_root_gets_in_where_many_users_hold_every_place(open_to_all: Controller, said: str) -> None:
    with crowd(open_to_all, users=8, each=64, said=said):
        assert somebody(open_to_all, 60099) == 503
        assert open_to_all.ask("GET", "/v1/whoami").status == 200


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=120))
def test_a_technician_finds_a_place_and_nobody_more_than_a_share(
    turns: list[tuple[int, bool]],
) -> None:
    technicians = {0, 1}
    places = Crowd(8, 3, technicians.__contains__)
    held: Counter[int] = Counter()
    for uid, comes in turns:
        if comes:
            entered = places.enter(uid)
            room = held[uid] < 3 and (held.total() < 8 or uid in technicians)
            assert entered == room
            held[uid] += entered
        elif held[uid]:
            places.leave(uid)
            held[uid] -= 1
    assert all(count <= 3 for count in held.values())


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/v1/nothing", None, 404),
        ("DELETE", "/v1/status", None, 405),
        ("POST", "/v1/stations/pc-01/pair", {"code": "12"}, 400),
        ("POST", "/v1/stations/pc-01/pair", {}, 400),
        ("POST", "/v1/stations/pc-01/pair", {"code": "123456", "address": "a b"}, 400),
        ("POST", "/v1/stations/PC 01/pair".replace(" ", "%20"), {"code": "123456"}, 400),
        ("POST", "/v1/stations/pc-99/pair", {"code": "123456"}, 404),
        ("POST", "/v1/stations/pc-99/unpair", {"force": True}, 404),
        ("GET", "/v1/stations/pc-99/explain", None, 404),
        ("POST", "/v1/profiles/citzen/publish", {}, 404),
        ("POST", "/v1/profiles/citizen/publish", {"wait_s": 1e9}, 400),
        ("POST", "/v1/profiles/citizen/publish", {"surprise": 1}, 400),
        ("POST", "/v1/profiles/citizen/rollback", {"to": 0}, 400),
        ("POST", "/v1/assignments", {"target": "moon", "profile": "citizen"}, 400),
        ("POST", "/v1/assignments", {"target": "pc:pc-99", "profile": "citizen"}, 404),
        ("PUT", "/v1/groups/a", {"stations": ["pc-99"]}, 404),
        ("POST", "/v1/discover", {"hosts": [":"]}, 400),
        ("POST", "/v1/discover", {"timeout_s": -1}, 400),
        ("POST", "/v1/services/spid", {"providers": []}, 409),
        (
            "POST",
            "/v1/services/spid",
            {"providers": [{"entity": "x", "hosts": ["a.example"]}], "force": True},
            400,
        ),
    ],
)
def test_bad_input_is_a_sentence_and_what_to_do(
    controller: Controller, method: str, path: str, body: Any, status: int
) -> None:
    answer = controller.ask(method, path, body)
    assert answer.status == status, answer.body
    assert set(answer.body) == {"error", "hint"}
    assert answer.body["error"]
    assert "Traceback" not in json.dumps(answer.body)
    if status != 400:
        assert answer.body["hint"]


def test_a_body_without_end_is_refused_before_it_is_here(controller: Controller) -> None:
    head = b"POST /v1/discover HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    large = b'{"hosts": ["' + b"x" * MAX_BODY_BYTES
    chunk = f"{len(large):x}\r\n".encode() + large + b"\r\n"
    assert b" 413 " in raw(controller, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk)
    assert b" 400 " in raw(controller, b"\x16\x03\x01 nonsense\r\n\r\n")
    assert controller.ask("GET", "/v1/whoami").status == 200


def test_many_callers_at_once_are_told_so(controller: Controller) -> None:
    watchers = []
    try:
        for _ in range(CALLS_EACH):
            line = socket.socket(socket.AF_UNIX)
            line.connect(str(controller.paths.door))
            line.sendall(b"GET /v1/status/watch HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b" 200 " in line.recv(65536)
            watchers.append(line)
        busy = controller.ask("GET", "/v1/whoami")
        assert busy.status == 503
        assert set(busy.body) == {"error", "hint"}
    finally:
        for line in watchers:
            line.close()
    until(lambda: controller.ask("GET", "/v1/whoami").status == 200, "the door after the crowd")


def test_watch_gives_a_line_at_every_change(controller: Controller) -> None:
    line = socket.socket(socket.AF_UNIX)
    line.settimeout(30)
    line.connect(str(controller.paths.door))
    connection = http.client.HTTPConnection("door")
    connection.sock = line
    connection.request("GET", "/v1/status/watch")
    answer = connection.getresponse()
    assert answer.headers["Content-Type"].startswith("application/x-ndjson")
    for _ in range(2):
        status = json.loads(answer.readline())
        assert status["lab"] == "fontana"
    line.close()


def test_the_door_describes_itself_and_only_what_it_does(controller: Controller) -> None:
    described = controller.done("GET", "/openapi.json")
    assert "422" not in json.dumps(described)
    for path in ("/v1/status", "/v1/profiles/{name}/publish", "/v1/doctor"):
        assert path in described["paths"]
    assert controller.ask("GET", "/docs").status == 404


def test_doctor_says_something_of_everything(controller: Controller) -> None:
    checks = {one["name"]: one for one in controller.done("GET", "/v1/doctor")["checks"]}
    assert {
        "disk",
        "clock",
        "multicast",
        "groups",
        "server certificate",
        "lab CA",
        "profiles",
    } <= checks.keys()
    assert all(one["ok"] or one["hint"] for one in checks.values())


def test_the_spid_bundle_is_written_once_and_never_broken(controller: Controller) -> None:
    providers = [
        {"entity": f"https://{name}.example", "name": name, "hosts": [f"login.{name}.example"]}
        for name in ("idp1", "idp2")
    ]
    body = {"providers": providers, "published": "2026-11-20", "force": True}
    first = controller.done("POST", "/v1/services/spid", body)
    assert ".login.idp1.example" in first["added"]
    assert Path(first["written"]).is_relative_to(controller.paths.etc)
    again = controller.done("POST", "/v1/services/spid", body)
    assert again == {"added": [], "removed": [], "written": ""}
    assert controller.done("POST", "/v1/profiles/check")["ok"]
    shrunk = controller.ask("POST", "/v1/services/spid", {**body, "providers": providers[:1], "force": False})
    assert shrunk.status == 409
    Path(first["written"]).unlink()
