"""labctl services update: nothing is believed unsigned, nothing written unasked."""

from pathlib import Path

import pytest

from controller import door_models as m
from tests.unit.cli.lab import ARGV, Reciting, environment, labctl
from tests.unit.profiles.federation import Signer, entity, metadata, sign, signer
from tools.picture import screen


@pytest.fixture(scope="module")
def federation() -> Signer:
    """A federation whose certificate outlives these tests."""
    return signer("federation", days=36500)


@pytest.fixture
def file(tmp_path: Path, federation: Signer) -> Path:
    """Its list: two providers that the shipped bundle does not know, and none of those that it knows."""
    listed = tmp_path / "idps.xml"
    listed.write_bytes(sign(metadata(entity(1) + entity(2, logout="out.example.it")), by=federation))
    return listed


def test_a_list_that_lost_providers_is_refused(
    services: Reciting, door: Path, file: Path, federation: Signer
) -> None:
    done = labctl(
        "services", "update", "--spid", str(file), "--fingerprint", federation.pin, "--yes", door=door
    )
    assert (done.returncode, services.calls) == (1, [])
    assert "not taken: the list no longer has" in done.stderr
    assert "--force" in done.stderr


def test_force_takes_it_after_showing_what_changes(
    services: Reciting, door: Path, file: Path, federation: Signer
) -> None:
    services.answers["update_spid"] = m.SpidOut(
        added=[".idp-1.example.it"], removed=[], written="/lab/spid.yaml"
    )
    argv = ("services", "update", "--spid", str(file), "--fingerprint", federation.pin, "--force")
    unasked = labctl(*argv, door=door)
    assert (unasked.returncode, services.calls) == (1, [])
    assert "--yes writes it without asking." in unasked.stderr
    done = labctl(*argv, "--yes", door=door)
    assert done.returncode == 0, done.stderr
    assert "  + .idp-1.example.it" in done.stdout.splitlines()
    assert "  - .id.lepida.it" in done.stdout.splitlines()
    assert "Written: /lab/spid.yaml" in done.stdout
    ((_name, providers, published, force),) = services.calls
    assert [(one.entity, one.name, one.hosts) for one in providers] == [
        ("https://idp-1.example.it", "Gestore 1", ["idp-1.example.it"]),
        ("https://idp-2.example.it", "Gestore 2", ["idp-2.example.it", "out.example.it"]),
    ]
    assert (published.isoformat(), force) == ("2026-11-20", True)


def test_a_no_writes_nothing(services: Reciting, door: Path, file: Path, federation: Signer) -> None:
    argv = ("services", "update", "--spid", str(file), "--fingerprint", federation.pin, "--force")
    shown, code = screen([*ARGV, *argv], env=environment(door), keys=(b"[y/N]", b"n\n"))
    assert (code, services.calls) == (1, [])
    assert "Nothing was written." in shown


@pytest.mark.parametrize("pin", ["", "00" * 32, "not hexadecimal"])
def test_an_unpinned_signature_is_worth_nothing(services: Reciting, door: Path, file: Path, pin: str) -> None:
    done = labctl(
        "services", "update", "--spid", str(file), "--fingerprint", pin, "--yes", "--force", door=door
    )
    assert (done.returncode, done.stdout, services.calls) == (1, "", [])
    assert "pinned" in done.stderr


def test_the_pin_of_the_lab_s_settings(
    services: Reciting, tmp_path: Path, file: Path, federation: Signer
) -> None:
    door = tmp_path / "run/lab-controller/door.sock"
    settings = tmp_path / "etc/lab-controller/lab.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text(f'[spid]\nfingerprint = "{federation.pin}"\n')
    done = labctl("services", "update", "--spid", str(file), "--yes", "--force", door=door)
    assert "2 providers, signature good." in done.stdout
    assert "there is no controller here" in done.stderr


@pytest.mark.parametrize("content", [b"", b"<x/>", b"\xff\xfe\x00", b"<!DOCTYPE x><x/>", b"x" * (9 << 20)])
def test_a_file_that_is_no_list(services: Reciting, door: Path, tmp_path: Path, content: bytes) -> None:
    listed = tmp_path / "idps.xml"
    listed.write_bytes(content)
    done = labctl("services", "update", "--spid", str(listed), "--fingerprint", "00" * 32, door=door)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"labctl: {listed}: ")
    assert "Traceback" not in done.stderr
