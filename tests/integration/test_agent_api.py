"""Schemathesis against the whole real agent, both halves, before and after pairing.

The API is described from the contract's own structs, so what is generated is
what a peer that knows the contract could send, bent in every way the tool
knows. Whatever comes: a documented answer, a sentence, no traceback, and an
agent that is still there and no bigger.
"""

import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests
import schemathesis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import HealthCheck, settings
from requests.adapters import HTTPAdapter
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from contract.exchange import EXCHANGE_PATH, Answer, Ask, Fault
from contract.identity import controller_name, station_name
from contract.pairing import (
    PAIR_FINISH_PATH,
    PAIR_START_PATH,
    PairDone,
    PairFinish,
    PairOffer,
    PairStart,
)
from contract.wire import CONTRACT, decode, encode
from tests.integration.enforcer_kit import eventually
from tests.integration.front_kit import free_port
from tests.integration.lab_keys import ControllerHalf, LabKeys

STATION = "pc-01"
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


def described(paths: dict[str, tuple[type[Any], type[Any]]]) -> dict[str, Any]:
    """An OpenAPI document of POST paths, each with its request and answer from the contract."""
    kinds = [Fault, *(kind for pair in paths.values() for kind in pair)]
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    found = dict(zip(kinds, schemas, strict=True))

    def body(kind: type[Any]) -> dict[str, Any]:
        return {"content": {"application/json": {"schema": found[kind]}}}

    fault = {"description": "refused, in a sentence", **body(Fault)}
    refusals = dict.fromkeys(("400", "404", "405", "409", "411", "413", "429", "503"), fault)
    return {
        "openapi": "3.1.0",
        "info": {"title": "lab-agent", "version": str(CONTRACT)},
        "paths": {
            path: {
                "post": {
                    "requestBody": {"required": True, **body(asked)},
                    "responses": {"200": {"description": "done", **body(answered)}, **refusals},
                }
            }
            for path, (asked, answered) in paths.items()
        },
        "components": {"schemas": components},
    }


class Agent:
    """Both real halves below a prefix."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.port = free_port()
        file = root / "etc/lab-agent/agent.toml"
        file.parent.mkdir(parents=True)
        file.write_text(
            f'station = "{STATION}"\nport = {self.port}\ninterfaces = ["127.0.0.1"]\nannounce = false\n'
        )
        command = [sys.executable, "-m", "agent.main", "run", "--root", str(root)]
        self.log = root / "agent.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stderr=log)
        # It listens at once, and lets nobody in before its root half has said whether it is paired.
        eventually(self._lets_in, "the agent")

    def _lets_in(self) -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{self.port}/", timeout=5).status_code == 404
        except requests.ConnectionError:
            return False

    @property
    def code(self) -> str:
        return (self.root / "run/lab-agent/code").read_text().split()[0]

    def memory(self) -> int:
        """Resident bytes of both halves."""
        halves = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        pages = (int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in halves)
        return sum(pages) * 4096

    def end(self) -> None:
        self.process.terminate()
        assert self.process.wait(30) == 0


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    running = Agent(tmp_path_factory.mktemp("agent"))
    yield running
    running.end()


def bounded(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        database=None,
    )


PAIRING = schemathesis.openapi.from_dict(
    described({PAIR_START_PATH: (PairStart, PairOffer), PAIR_FINISH_PATH: (PairFinish, PairDone)})
)
EXCHANGE = schemathesis.openapi.from_dict(described({EXCHANGE_PATH: (Ask, Answer)}))


@PAIRING.parametrize()
@bounded(60)
def test_an_unpaired_agent_answers_pairing_and_nothing_breaks_it(
    case: schemathesis.Case[Any], agent: Agent
) -> None:
    response = case.call(base_url=f"http://127.0.0.1:{agent.port}", timeout=30)
    case.validate_response(response, checks=CHECKS)
    assert "Traceback" not in response.text


class AsController(HTTPAdapter):
    """Mutual TLS with a certificate of the lab, the station checked by its id."""

    def __init__(self, context: ssl.SSLContext, name: str) -> None:
        self._context = context
        self._name = name
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        kwargs |= {
            "ssl_context": self._context,
            "server_hostname": self._name,
            "assert_hostname": self._name,
        }
        super().init_poolmanager(*args, **kwargs)


@pytest.fixture(scope="module")
def controller(agent: Agent, tmp_path_factory: pytest.TempPathFactory) -> requests.Session:
    """The agent paired with a lab, and a session that the lab's controller would have."""
    keys = LabKeys()
    base = f"http://127.0.0.1:{agent.port}"

    def started() -> bool:
        half = ControllerHalf(keys, agent.code)
        begun = requests.post(base + PAIR_START_PATH, data=encode(half.start), timeout=30)
        if begun.status_code != 200:
            return False
        finish = half.finish(decode(PairOffer, begun.content))
        done = requests.post(base + PAIR_FINISH_PATH, data=encode(finish), timeout=30)
        assert done.status_code == 200, done.text
        return True

    eventually(started, "pairing after the tries of the other test")
    folder = tmp_path_factory.mktemp("controller")
    key = ec.generate_private_key(ec.SECP256R1())
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "controller")]))
        .sign(key, hashes.SHA256())
    )
    certificate = keys.issue(
        request.public_bytes(serialization.Encoding.DER),
        controller_name(keys.lab),
        ExtendedKeyUsageOID.CLIENT_AUTH,
    )
    identity = folder / "identity.pem"
    identity.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + x509.load_der_x509_certificate(certificate).public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.create_default_context(cadata=ssl.DER_cert_to_PEM_cert(keys.ca))
    context.load_cert_chain(identity)
    session = requests.Session()
    session.trust_env = False
    session.verify = True
    session.mount("https://", AsController(context, station_name(keys.lab, STATION)))
    return session


@EXCHANGE.parametrize()
@bounded(150)
def test_a_paired_agent_answers_the_exchange_and_nothing_breaks_it(
    case: schemathesis.Case[Any], agent: Agent, controller: requests.Session
) -> None:
    if isinstance(case.body, dict):
        hold = case.body.get("hold_s")
        if isinstance(hold, int | float):
            case.body["hold_s"] = min(hold, 0.01)  # held as asked would be right, and long
    response = case.call(base_url=f"https://127.0.0.1:{agent.port}", session=controller, timeout=30)
    case.validate_response(response, checks=CHECKS)
    assert "Traceback" not in response.text


def test_after_all_that_it_is_there_as_small_as_before_and_silent_of_errors(
    agent: Agent, controller: requests.Session
) -> None:
    url = f"https://127.0.0.1:{agent.port}{EXCHANGE_PATH}"
    ask = encode(Ask(contract=CONTRACT, at=datetime.now(UTC)))
    assert decode(Answer, controller.post(url, data=ask, timeout=30).content).station == STATION
    before = agent.memory()
    for number in range(400):
        body = ask if number % 2 else json.dumps({"contract": 1, "at": "x" * number}).encode()
        controller.post(url, data=body, timeout=30)
    assert agent.memory() - before < 2 << 20
    assert "Traceback" not in agent.log.read_text()
