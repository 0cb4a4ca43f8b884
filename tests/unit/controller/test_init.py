"""labctl init: the lab is made once; again, nothing is made over."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from controller.init import InitError, init_lab
from controller.paths import Paths

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


def content(root: Path) -> dict[str, bytes]:
    files = (path for path in sorted(root.rglob("*")) if path.is_file() and "sqlite-" not in path.name)
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def test_a_lab_is_made_below_a_prefix_and_init_again_changes_nothing(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    made = init_lab(paths, "fontana", "Sala pubblica", "Fontana", NOW)
    assert paths.settings in made.made
    assert made.settings.lab.name == "Sala pubblica"
    data = tmp_path / "var/lib/lab-controller"
    assert data.stat().st_mode & 0o777 == 0o700
    before = content(tmp_path)
    assert {"etc/lab-controller/lab.toml", "var/lib/lab-controller/pki/ca-key.pem"} <= before.keys()
    assert init_lab(paths, "fontana", "", "", NOW).made == ()
    assert init_lab(paths, "", "", "", NOW).made == ()
    assert content(tmp_path) == before


def test_init_goes_on_from_where_it_stopped(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    init_lab(paths, "fontana", "Sala", "", NOW)
    pki = tmp_path / "var/lib/lab-controller/pki"
    ca = (pki / "ca.pem").read_bytes()
    (pki / "signing-key.pem").unlink()
    assert init_lab(paths, "", "", "", NOW).made == (pki / "signing-key.pem",)
    assert (pki / "ca.pem").read_bytes() == ca


def test_a_lab_of_another_id_is_refused_and_nothing_is_touched(tmp_path: Path) -> None:
    init_lab(Paths(tmp_path), "fontana", "Sala", "", NOW)
    before = content(tmp_path)
    with pytest.raises(InitError, match="keeps its id for good"):
        init_lab(Paths(tmp_path), "collina", "", "", NOW)
    assert content(tmp_path) == before


@pytest.mark.parametrize("lab", ["", "Fontana", "a b", "x" * 40, "-x"])
def test_an_id_that_cannot_name_a_lab_leaves_nothing_behind(tmp_path: Path, lab: str) -> None:
    with pytest.raises(InitError, match=r"lab\.id"):
        init_lab(Paths(tmp_path), lab, "Sala", "", NOW)
    assert content(tmp_path) == {}


def test_broken_settings_are_said_and_left(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    paths.etc.mkdir(parents=True)
    paths.settings.write_text("[lab]\nid = 3\n")
    with pytest.raises(InitError, match=r"lab\.toml:2: lab\.id"):
        init_lab(paths, "fontana", "", "", NOW)
    assert paths.settings.read_text() == "[lab]\nid = 3\n"


def test_half_a_ca_stops_init(tmp_path: Path) -> None:
    init_lab(Paths(tmp_path), "fontana", "Sala", "", NOW)
    (tmp_path / "var/lib/lab-controller/pki/ca-key.pem").unlink()
    with pytest.raises(InitError, match="restore it from the backup"):
        init_lab(Paths(tmp_path), "", "", "", NOW)
