"""The parts of the rig that can be judged without a lab."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from tests.lab.rig import RigError
from tests.lab.rig.base import key_of
from tests.lab.rig.faults import Rule, table
from tests.lab.rig.files import File, Link, enable, write_archive
from tests.lab.rig.launch import check_layer
from tests.lab.rig.network import Network, Nic, number_of
from tests.lab.rig.sources import host_sources, lines_for, parse_deb822, parse_list
from tests.lab.rig.spec import Spec
from tests.lab.rig.wake import address_in

DEB822 = """# comment
Types: deb deb-src
URIs: http://archive.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/k.gpg

Types: deb
URIs: http://archive.example/security
Suites: bookworm-security
Components: main

Types: deb
URIs: http://other.example/x
Suites: bookworm
Components: main
Enabled: no
"""


def test_sources_of_a_deb822_host() -> None:
    assert lines_for("trixie", parse_deb822(DEB822), "bookworm") == [
        "deb [signed-by=/usr/share/keyrings/k.gpg] http://archive.example/debian trixie main",
        "deb [signed-by=/usr/share/keyrings/k.gpg] http://archive.example/debian trixie-updates main",
        "deb http://archive.example/security trixie-security main",
    ]


def test_sources_of_a_one_line_host_with_third_parties() -> None:
    text = """
deb [arch=amd64 signed-by=/k.gpg] http://third.example/apt bookworm main
# deb http://commented.example/debian bookworm main
deb http://archive.example/debian bookworm main non-free # main
deb-src http://archive.example/debian bookworm main
deb http://archive.example/debian bookworm-updates main
"""
    assert lines_for("bookworm", parse_list(text), "bookworm") == [
        "deb http://archive.example/debian bookworm main",
        "deb http://archive.example/debian bookworm-updates main",
    ]


def test_a_host_without_debian_is_asked_for_a_mirror(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(RigError, match="PUBLICLAB_MIRROR"):
        lines_for("bookworm", host_sources(tmp_path), "noble")
    monkeypatch.setenv("PUBLICLAB_MIRROR", "http://mine.example/debian")
    assert lines_for("bookworm", [], "noble") == ["deb http://mine.example/debian bookworm main"]


def test_names_and_numbers() -> None:
    assert (number_of("server"), number_of("pc-01"), number_of("pc-99")) == (10, 101, 199)
    for wrong in ("pc-1", "pc-00", "pc-100", "lan", "../x"):
        with pytest.raises(RigError, match="no such machine"):
            number_of(wrong)
    network = Network("x", "10.9.8", Path("/nowhere"))
    assert network.bridge_of("10.9.8") == "br0"
    longest = [network.bridge_of("192.168.100"), Nic("eth1", "br0", "", "").port("server")]
    assert max(map(len, longest)) <= 15  # the kernel's limit


def test_fault_table() -> None:
    rules = [
        Rule("pc-01", ("v-pc-01",), 30),
        Rule("pc-02", ("v-pc-02",), match="udp dport 5353"),
        Rule("pc-03", ("v-pc-03",), peer="server", peer_ports=("v-server",)),
    ]
    text = table(rules)
    assert 'iifname { "v-pc-01", "d-pc-01" } numgen random mod 100 < 30 drop' in text
    assert 'oifname { "v-pc-02", "d-pc-02" } udp dport 5353 drop' in text
    one_way = 'iifname { "v-server", "d-server" } oifname { "v-pc-03", "d-pc-03" } drop'
    assert one_way in text
    assert text.startswith("add table bridge faults\ndelete table bridge faults\n")
    assert "drop" not in table([])


def test_archive_of_a_machines_own_files(tmp_path: Path) -> None:
    write_archive(
        tmp_path / "a.tar", {"/etc/a": "text", "/etc/b": File(b"x", 0o600, uid=1500), **enable("u.service")}
    )
    with tarfile.open(tmp_path / "a.tar") as archive:
        members = {member.name: member for member in archive}
    assert sorted(members) == ["etc/a", "etc/b", "etc/systemd/system/multi-user.target.wants/u.service"]
    assert (members["etc/b"].mode, members["etc/b"].uid, members["etc/a"].mode) == (0o600, 1500, 0o644)
    assert members["etc/systemd/system/multi-user.target.wants/u.service"].linkname == (
        "/etc/systemd/system/u.service"
    )
    with pytest.raises(RigError, match="absolute"):
        write_archive(tmp_path / "b.tar", {"etc/a": Link("/x")})


def test_layers_that_would_change_the_system_are_refused(tmp_path: Path) -> None:
    tree, layer = tmp_path / "tree", tmp_path / "layer"
    for directory in (tree / "usr/lib", tree / "etc", layer / "opt/app", layer / "etc"):
        directory.mkdir(parents=True)
        directory.chmod(0o755)
    (tree / "lib").symlink_to("usr/lib")
    check_layer(layer, tree)
    (layer / "etc").chmod(0o700)
    with pytest.raises(RigError, match="mode 755"):
        check_layer(layer, tree)
    (layer / "etc").chmod(0o755)
    (layer / "lib").mkdir()
    with pytest.raises(RigError, match="link"):
        check_layer(layer, tree)


def test_a_spec_survives_its_file(tmp_path: Path) -> None:
    nic = Nic("eth0", "br0", "10.9.8.101", "02:77:00:00:00:65")
    spec = Spec("pc-01", "bookworm", "/b", "u", (nic,), layers=("/l",), binds=(("/a", "/b"),))
    changed = spec.with_nic(Nic("eth1", "br-10.9.7", "10.9.7.101", "m")).with_nic(nic).without_nic("eth1")
    changed.save(tmp_path / "machine.json")
    assert Spec.load(tmp_path / "machine.json") == spec


def test_magic_packet() -> None:
    mac = bytes.fromhex("027700000065")
    assert address_in(b"\x00" * 42 + b"\xff" * 6 + mac * 16) == "02:77:00:00:00:65"
    assert address_in(b"\xff" * 6 + mac * 15) == ""


def test_base_key_tells_releases_apart() -> None:
    assert key_of("bookworm") != key_of("trixie")
    assert key_of("bookworm").isalnum()
