"""agent.toml: defaults, and every mistake named at once."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.settings import Paths, Settings, SettingsError, load


def written(root: Path, text: str) -> Paths:
    paths = Paths(root)
    paths.etc_agent.mkdir(parents=True, exist_ok=True)
    paths.settings_file.write_text(text)
    return paths


def test_without_a_file_the_host_name_is_the_station(tmp_path: Path) -> None:
    assert load(Paths(tmp_path), "PC-03.biblioteca.lan") == Settings(station="pc-03")


def test_every_setting(tmp_path: Path) -> None:
    text = """
        station = "pc-07"
        port = 7001
        interfaces = ["127.0.0.1"]
        announce = false
        kiosk_user = "guest"
        front_user = "nobody"
    """
    assert load(written(tmp_path, text), "pc-03") == Settings(
        "pc-07", 7001, ("127.0.0.1",), False, "guest", "nobody"
    )


def test_all_mistakes_at_once_each_a_sentence(tmp_path: Path) -> None:
    text = """
        station = "PC 7"
        port = true
        interfaces = "eth0"
        announce = 1
        kiosk_user = "root; rm"
        prot = 7443
    """
    with pytest.raises(SettingsError) as caught:
        load(written(tmp_path, text), "pc-03")
    problems = caught.value.problems
    assert len(problems) == 6
    for word, problem in zip(
        ("station", "port", "interfaces", "announce", "kiosk_user", "'prot'"), problems, strict=True
    ):
        assert word in problem
        assert problem.endswith(".")


@pytest.mark.parametrize("text", ["station", 'station = "pc-1"\nstation = "pc-2"'])
def test_not_toml(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match="is not TOML"):
        load(written(tmp_path, text), "pc-03")


def test_not_utf8(tmp_path: Path) -> None:
    paths = written(tmp_path, "")
    paths.settings_file.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="UTF-8"):
        load(paths, "pc-03")


def test_a_host_name_that_is_no_station_id_says_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match='station = "pc-03"'):
        load(Paths(tmp_path), "sala_grande")


@given(value=st.one_of(st.integers(), st.booleans(), st.none()))
def test_a_port_is_in_range_or_refused(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    text = "" if value is None else f"port = {str(value).lower()}"
    paths = written(tmp_path_factory.mktemp("etc"), text)
    try:
        settings = load(paths, "pc-03")
    except SettingsError as error:
        assert len(error.problems) == 1
    else:
        assert 0 <= settings.port <= 65535


def test_every_path_is_below_the_root(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    names = [name for name, item in vars(Paths).items() if isinstance(item, property)]
    assert len(names) >= 8
    for name in names:
        assert getattr(paths, name).is_relative_to(tmp_path)
