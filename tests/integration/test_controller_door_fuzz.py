"""The door against its own description: whatever fits it, and whatever does not, gets an answer that fits.

Left out: the endless watch, and the two routes that would look for generated
names on the network (discover, pair); test_controller_door has those.
"""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection

from tests.integration.controller_kit import Controller

CHECKS = [
    not_a_server_error,
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
]
LEFT_OUT = ("/v1/status/watch", "/v1/discover", "/v1/stations/{station}/pair")
CASES = 12


class _DoorAdapter(HTTPAdapter):
    """requests over the door's Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__()

        class Connection(HTTPConnection):
            def _new_conn(self) -> socket.socket:
                line = socket.socket(socket.AF_UNIX)
                line.settimeout(60)
                line.connect(str(path))
                return line

        self._pool = HTTPConnectionPool("door", retries=False)
        self._pool.ConnectionCls = Connection

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> HTTPConnectionPool:
        return self._pool


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    made = Controller(tmp_path_factory.mktemp("lab"))
    try:
        yield made.up()
    finally:
        made.stop()


@pytest.fixture(scope="module")
def operations(controller: Controller) -> list[Any]:
    schema = schemathesis.openapi.from_dict(controller.done("GET", "/openapi.json"))
    found: list[Any] = list(schema.get_all_operations())
    return [one.ok() for one in found if one.ok().path not in LEFT_OUT]


@pytest.fixture(scope="module")
def session(controller: Controller) -> requests.Session:
    made = requests.Session()
    made.mount("http://door/", _DoorAdapter(controller.paths.door))
    return made


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_answer_is_one_that_is_described(
    operations: list[Any], session: requests.Session, mode: GenerationMode
) -> None:
    assert len(operations) >= 15
    strategies = [one.as_strategy(generation_mode=mode) for one in operations]

    @settings(
        max_examples=CASES * len(operations),
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.one_of(strategies))
    def tried(case: Any) -> None:
        response = case.call(base_url="http://door", session=session, timeout=60)
        case.validate_response(response, checks=CHECKS)
        if response.status_code >= 400:
            body = json.loads(response.content)
            assert set(body) == {"error", "hint"}
            assert "Traceback" not in response.text

    tried()
