"""The backbone on real parts: a real controller and real agents, paired, told, and seen to be it."""

import contextlib
import http.client
import json
import shutil
import signal
import sqlite3
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from contract import wire
from contract.exchange import Ask
from contract.wire import CONTRACT
from tests.integration.controller_kit import Agent, Controller, Lab, until

ALLOW = "etc/chromium/policies/managed/60-lab-allow.json"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Lab(tmp_path, 2) as made:
        yield made


def allowed(agent: Agent) -> list[str]:
    file = agent.root / ALLOW
    found: list[str] = json.loads(file.read_text())["URLAllowlist"] if file.exists() else []
    return found


def test_paired_published_applied_and_the_same_again_is_nothing(lab: Lab) -> None:
    lab.pair()
    first = lab.controller.publish()
    assert first["applied"] == ["pc-01", "pc-02"], first
    again = lab.controller.publish()
    assert (again["changed"], again["unchanged"]) == ([], ["pc-01", "pc-02"])
    assert again["publication"] == first["publication"]

    lab.controller.layer("allow: [https://biblioteca.example]\n")
    changed = lab.controller.publish()
    assert changed["applied"] == ["pc-01", "pc-02"], changed
    assert changed["publication"] > first["publication"]
    assert all("https://biblioteca.example" in allowed(agent) for agent in lab.agents)

    back = lab.controller.done("POST", "/v1/profiles/citizen/rollback", {"wait_s": 60})
    assert back["applied"] == ["pc-01", "pc-02"], back
    assert not any("https://biblioteca.example" in allowed(agent) for agent in lab.agents)

    history = lab.controller.done("GET", "/v1/profiles/citizen/publications")["publications"]
    assert [(one["rollback_of"], one["current"]) for one in history] == [
        (first["publication"], True),
        (None, False),
        (None, False),
    ]
    for station in ("pc-01", "pc-02"):
        line = lab.controller.station(station)
        assert (line["presence"], line["desired"], line["applied"]) == (
            "online",
            back["revision"],
            back["revision"],
        )


def test_a_pc_that_fails_again_for_the_same_reason_is_not_waited_for(lab: Lab) -> None:
    """Each publication may wait ten minutes, the test's own patience is less than two."""
    lab.pair()
    lab.controller.publish()
    in_the_way = lab.agents[0].root / ALLOW
    in_the_way.unlink()
    (in_the_way / "a-folder").mkdir(parents=True)
    for number in range(2):
        lab.controller.layer(f"allow: [https://n{number}.example]\n")
        told = lab.controller.publish(wait_s=600)
        assert told["applied"] == ["pc-02"]
        assert [one["id"] for one in told["failed"]] == ["pc-01"]
        assert str(told["revision"]) in told["failed"][0]["reason"]
    shutil.rmtree(in_the_way)
    until(lambda: "https://n1.example" in allowed(lab.agents[0]), "pc-01 put right")


def test_a_new_key_for_the_server_shuts_the_old_one_out(lab: Lab) -> None:
    lab.pair()
    lab.controller.publish()
    server = lab.controller.process
    file = lab.controller.root / "var/lib/lab-controller/pki/controller.pem"
    old = lab.controller.root / "old.pem"
    old.write_bytes(file.read_bytes())
    first = lab.agents[0]
    assert asked_with(old, lab, first) == 200
    held = connected_with(old, lab, first)
    checks = lab.controller.done("POST", "/v1/rekey")["checks"]
    assert next(one for one in checks if one["name"] == "server certificate")["ok"]
    until(lambda: asked_with(old, lab, first) is None, "the stolen key refused")
    assert asked_with(file, lab, first) == 200
    with contextlib.suppress(OSError):
        held.request("POST", "/v1/exchange", ASK)
        assert held.getresponse().status != 200, "nor does a connection that is held open serve any longer"
    lab.controller.layer("allow: [https://dopo.example]\n")
    assert lab.controller.publish()["applied"] == ["pc-01", "pc-02"]
    assert lab.controller.station("pc-01")["presence"] == "online"
    assert lab.controller.process is server, "without a restart"


def test_the_payment_mode_is_the_operators_and_is_written_down(lab: Lab) -> None:
    lab.controller.layer("payment: {allow: [.issuer.example]}\n")
    lab.pair()
    lab.controller.publish()
    first, second = lab.agents
    path = "/v1/stations/pc-01/payment"
    began = datetime.now(UTC)
    body = {"minutes": 20, "why": " una multa ", "wait_s": 60}
    opened = lab.controller.done("POST", f"{path}/open", body)
    until_at = datetime.fromisoformat(opened["until"])
    assert abs(until_at - began - timedelta(minutes=20)) < timedelta(seconds=100)
    assert ".issuer.example" in allowed(first)
    assert ".issuer.example" not in allowed(second)
    line = lab.controller.station("pc-01")
    assert abs(datetime.fromisoformat(line["payment_until"]) - until_at) < timedelta(seconds=10)
    assert lab.controller.station("pc-02")["payment_until"] is None
    assert [one["id"] for one in lab.controller.done("GET", "/v1/payments")["open"]] == ["pc-01"]

    lab.controller.done("POST", f"{path}/close", {"wait_s": 60})
    assert ".issuer.example" not in allowed(first)
    assert lab.controller.station("pc-01")["payment_until"] is None
    second.stop()
    away = lab.controller.ask("POST", "/v1/stations/pc-02/payment/open", body)
    assert away.status == 504, away.body
    shown = lab.controller.done("GET", "/v1/payments")
    assert shown["open"] == []
    away_entry, entry = shown["record"]
    assert (away_entry["station"], away_entry["outcome"]) == ("pc-02", "unknown")
    assert (entry["station"], entry["outcome"], entry["minutes"]) == ("pc-01", "opened", 20)
    assert (entry["why"], entry["who"]) == ("una multa", entry["closed_by"])
    assert entry["closed_at"] is not None
    assert lab.controller.done("GET", path)["record"] == [entry]


def test_a_profile_without_payments_and_a_pc_that_is_not_there_refuse_in_a_sentence(lab: Lab) -> None:
    lab.controller.layer("payment: null\n")
    lab.pair()
    lab.controller.publish()
    body = {"minutes": 20, "why": "multa"}
    refused = lab.controller.ask("POST", "/v1/stations/pc-01/payment/open", body)
    assert (refused.status, refused.body["error"]) == (
        409,
        "pc-01 will not: its profile has no payment mode.",
    )
    assert lab.controller.done("GET", "/v1/payments")["record"][0]["outcome"] == "refused"
    for wrong in ({"minutes": 0}, {"minutes": 61}, {"why": ""}, {"why": "x" * 201}):
        asked = lab.controller.ask("POST", "/v1/stations/pc-01/payment/open", body | wrong)
        assert asked.status == 400, asked.body
    assert lab.controller.ask("POST", "/v1/stations/pc-77/payment/open", body).status == 404
    assert lab.controller.ask("GET", "/v1/stations/pc-77/payment").status == 404


ASK = wire.encode(Ask(contract=CONTRACT, at=datetime.now(UTC)))


def connected_with(identity: Path, lab: Lab, agent: Agent) -> http.client.HTTPSConnection:
    """Whoever has the controller's key, as far as TLS lets him."""
    pki = lab.controller.root / "var/lib/lab-controller/pki"
    context = ssl.create_default_context(cafile=pki / "ca.pem")
    context.check_hostname = False
    context.load_cert_chain(identity)
    return http.client.HTTPSConnection("127.0.0.1", agent.port, timeout=30, context=context)


def asked_with(identity: Path, lab: Lab, agent: Agent) -> int | None:
    """The status of an exchange; None where TLS refuses."""
    connection = connected_with(identity, lab, agent)
    try:
        connection.request("POST", "/v1/exchange", ASK)
        return connection.getresponse().status
    except (ssl.SSLError, ConnectionError):
        return None
    finally:
        connection.close()


def test_one_pc_has_its_own_profile_and_layer(lab: Lab) -> None:
    lab.pair()
    lab.controller.publish()
    refused = lab.controller.ask("POST", "/v1/assignments", {"target": "pc:pc-02", "profile": "training"})
    assert refused.status == 409
    assert "labctl profile publish training" in refused.body["hint"]
    lab.controller.publish("training")
    given = lab.controller.done(
        "POST", "/v1/assignments", {"target": "pc:pc-02", "profile": "training", "wait_s": 60}
    )
    assert (given["changed"], given["applied"]) == (["pc-02"], ["pc-02"])
    assert lab.controller.station("pc-02")["profile"] == "training"
    layer = lab.controller.paths.etc / "layers/group/banco.yaml"
    layer.parent.mkdir()
    layer.write_text("allow: [https://banco.example]\n")
    lab.controller.done("PUT", "/v1/groups/banco", {"stations": ["pc-02"]})
    diff = lab.controller.done("POST", "/v1/profiles/training/diff", {})
    assert [one["id"] for one in diff["stations"]] == ["pc-02"]
    assert any(change["after"] == "https://banco.example" for change in diff["stations"][0]["changes"])
    assert lab.controller.publish("training")["applied"] == ["pc-02"]
    settings = lab.controller.done("GET", "/v1/stations/pc-02/explain")["settings"]
    origin = next(one for one in settings if one["value"] == "https://banco.example")
    assert origin["layer"] == "group banco"
    assert origin["line"] == 1


def test_a_pc_away_for_ten_publications_returns_to_the_last_one_only(lab: Lab) -> None:
    lab.pair()
    first = lab.controller.publish()["revision"]
    away = lab.agents[1]
    port = away.port
    away.stop()
    for number in range(10):
        lab.controller.layer(f"allow: [https://n{number}.example]\n")
        result = lab.controller.publish(wait_s=0)
        assert result["changed"] == ["pc-01", "pc-02"]
    away.listen(port)
    away.up()
    last = result["revision"]
    until(lambda: lab.controller.station("pc-02")["applied"] == last, "the PC that returned")
    assert "https://n9.example" in allowed(away)
    assert not [entry for entry in allowed(away) if entry.startswith("https://n") and "n9" not in entry]
    with sqlite3.connect(away.root / "var/lib/lab-agent/enforcer/journal.sqlite") as journal:
        told = {row[0] for row in journal.execute("SELECT revision FROM desired")}
    assert told <= {first, last}, "it was told of a revision between"


def test_a_controller_killed_in_the_middle_of_a_publication_ends_it_after_its_return(lab: Lab) -> None:
    lab.pair()
    lab.controller.publish()
    lab.controller.layer("allow: [https://dopo.example]\n")
    lab.controller.done("POST", "/v1/profiles/citizen/publish", {"wait_s": 0})
    lab.controller.kill(signal.SIGKILL)
    lab.controller.up()
    until(lambda: all("https://dopo.example" in allowed(agent) for agent in lab.agents), "both PCs")
    line = until(
        lambda: (found := lab.controller.station("pc-01"))["presence"] == "online" and found, "pc-01 online"
    )
    assert line["applied"] == line["desired"]


def test_unpair_pair_again_and_a_reimaged_pc(lab: Lab, tmp_path: Path) -> None:
    lab.pair()
    lab.controller.publish()
    first, second = lab.agents
    assert lab.controller.done("POST", "/v1/stations/pc-01/unpair", {}) == {"id": "pc-01", "told": True}
    assert lab.controller.station("pc-01") is None
    until(lambda: not allowed(first), "pc-01 put back as it was")
    paired = lab.controller.pair(first)
    until(lambda: lab.controller.station("pc-01")["applied"] > 0, "pc-01 told again")

    old = (second.root / "var/lib/lab-agent/front/identity.pem").read_bytes()
    second.stop()
    shutil.rmtree(second.root / "var")
    second.up()
    again = lab.controller.pair(second)
    assert again["fingerprint"] not in {paired["fingerprint"], None}
    until(lambda: lab.controller.station("pc-02")["applied"] > 0, "pc-02 told after it was re-imaged")
    # Whoever kept the old disk is not pc-02 any more.
    second.stop()
    (second.root / "var/lib/lab-agent/front/identity.pem").write_bytes(old)
    port = int(again["address"].rsplit(":", 1)[1])
    second.listen(port)
    second.up()
    until(lambda: "revoked" in lab.controller.station("pc-02")["note"], "the revoked certificate seen")


def test_a_pc_that_is_gone_is_unpaired_by_force_only(lab: Lab) -> None:
    lab.pair()
    lab.agents[0].stop()
    refused = lab.controller.ask("POST", "/v1/stations/pc-01/unpair", {})
    assert refused.status == 504
    assert "--force" in refused.body["hint"]
    assert lab.controller.station("pc-01") is not None
    assert lab.controller.done("POST", "/v1/stations/pc-01/unpair", {"force": True})["told"] is False
    assert lab.controller.station("pc-01") is None


def test_a_wrong_code_is_said_and_nothing_is_kept(lab: Lab) -> None:
    agent = lab.agents[0]
    wrong = f"{(int(agent.code()) + 1) % 1_000_000:06}"
    answer = lab.controller.ask("POST", "/v1/stations/pc-01/pair", {"code": wrong, "address": agent.address})
    assert answer.status == 502
    assert answer.body["error"] == "That is not the code of pc-01."
    assert lab.controller.done("GET", "/v1/status")["stations"] == []
    other = lab.controller.ask(
        "POST", "/v1/stations/pc-09/pair", {"code": "123456", "address": lab.agents[1].address}
    )
    assert other.status == 409
    assert "is pc-02, not pc-09" in other.body["error"]


def test_a_restored_server_is_believed_by_its_pcs_again(lab: Lab) -> None:
    """The store of yesterday gives numbers that its PCs have passed; it jumps over them."""
    lab.pair()
    lab.controller.publish()
    data = lab.controller.root / "var/lib/lab-controller"
    lab.controller.stop()
    kept = {file.name: file.read_bytes() for file in data.glob("lab.sqlite*")}
    lab.controller.up()
    for number in range(3):
        lab.controller.layer(f"allow: [https://n{number}.example]\n")
        passed = lab.controller.publish()["revision"]
    lab.controller.stop()
    for file in data.glob("lab.sqlite*"):
        file.unlink()
    for name, content in kept.items():
        (data / name).write_bytes(content)
    lab.controller.up()
    until(lambda: lab.controller.station("pc-01")["applied"] > passed, "pc-01 following the restored server")
    until(lambda: not [entry for entry in allowed(lab.agents[0]) if ".example" in entry], "yesterday's list")
    status = lab.controller.done("GET", "/v1/status")
    assert status["revision"] > passed


def test_the_revocation_list_of_a_restored_server_is_taken_again(lab: Lab) -> None:
    """Its number was raised on the stations since; what is revoked now must reach them all the same."""
    data = lab.controller.root / "var/lib/lab-controller"
    lab.pair()
    lab.controller.stop()
    kept = {file.name: file.read_bytes() for file in data.glob("lab.sqlite*")}
    lab.controller.up()
    for _ in range(3):
        replaced = own_serial(lab)
        lab.controller.done("POST", "/v1/rekey")
    until(lambda: all(replaced in revoked(agent) for agent in lab.agents), "the last list on the PCs")
    lab.controller.stop()
    for file in data.glob("lab.sqlite*"):
        file.unlink()
    for name, content in kept.items():
        (data / name).write_bytes(content)
    before = max(listed(agent) for agent in lab.agents)
    lab.controller.up()
    until(lambda: all(listed(agent) > before for agent in lab.agents), "a list with a higher number")
    assert all(lab.controller.station(agent.id)["presence"] == "online" for agent in lab.agents)


def test_a_restored_server_whose_list_was_changed_before_any_pc_was_back_is_believed(lab: Lab) -> None:
    """As many changes as since the backup: counted by one they come to the number that the PCs hold."""
    data = lab.controller.root / "var/lib/lab-controller"
    lab.pair()
    lab.controller.stop()
    kept = {file.name: file.read_bytes() for file in data.glob("lab.sqlite*")}
    lab.controller.up()
    lab.controller.done("POST", "/v1/rekey")
    stolen = own_serial(lab)
    lab.controller.done("POST", "/v1/rekey")
    until(lambda: all(stolen in revoked(agent) for agent in lab.agents), "the new lists on the PCs")
    for agent in lab.agents:
        agent.listen(agent.port)
        agent.stop()
    lab.controller.stop()
    for file in data.glob("lab.sqlite*"):
        file.unlink()
    for name, content in kept.items():
        (data / name).write_bytes(content)
    lab.controller.up()
    lab.controller.done("POST", "/v1/rekey")
    theirs = own_serial(lab)
    lab.controller.done("POST", "/v1/rekey")
    assert all(theirs not in revoked(agent) for agent in lab.agents)
    for agent in lab.agents:
        agent.up()
    until(lambda: all(theirs in revoked(agent) for agent in lab.agents), "the list that is true now")
    until(
        lambda: all(lab.controller.station(agent.id)["presence"] == "online" for agent in lab.agents),
        "the PCs there",
    )


def own_serial(lab: Lab) -> int:
    """The serial number of the server's own certificate."""
    file = lab.controller.root / "var/lib/lab-controller/pki/controller.pem"
    return x509.load_pem_x509_certificate(file.read_bytes()).serial_number


def revoked(agent: Agent) -> set[int]:
    """The serial numbers on the revocation list that a PC holds."""
    crl = held(agent)
    return set() if crl is None else {one.serial_number for one in crl}


def listed(agent: Agent) -> int:
    """The number of the revocation list that a PC holds; 0 is none."""
    crl = held(agent)
    return 0 if crl is None else crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def held(agent: Agent) -> x509.CertificateRevocationList | None:
    """The revocation list that a PC holds."""
    file = agent.root / "var/lib/lab-agent/front/revocations.pem"
    return x509.load_pem_x509_crl(file.read_bytes()) if file.exists() else None


def test_a_second_controller_over_the_same_lab_does_not_start(lab: Lab, tmp_path: Path) -> None:
    second = Controller(tmp_path)
    second.log = tmp_path / "second.log"
    second.start()
    assert second.process is not None
    assert second.process.wait(60) == 1
    assert "another lab-controller runs" in second.text()
    assert lab.controller.ask("GET", "/v1/whoami").status == 200
