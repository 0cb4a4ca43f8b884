"""lab.toml: what init writes is read back, and every mistake is said at once with its line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.settings import SettingsError, load_settings, parse_settings, render_settings

GOOD = '[lab]\nid = "fontana"\nname = "Sala"\n'


def problems(text: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        parse_settings(text, "lab.toml")
    return str(caught.value).splitlines()


@given(st.text(min_size=1, max_size=100), st.text(max_size=100))
def test_what_init_writes_is_read_back_whatever_the_lab_is_called(name: str, comune: str) -> None:
    settings = parse_settings(render_settings("fontana", name, comune, "/var/lib/lab-controller"), "lab.toml")
    assert (settings.lab.name, settings.lab.comune) == (name, comune)
    assert settings.data.directory == "/var/lib/lab-controller"
    assert settings.door.technicians == "lab-technicians"
    assert settings.network.hold_s == 12


def test_only_the_lab_must_be_said() -> None:
    assert parse_settings(GOOD, "lab.toml").network.interfaces == ()


def test_every_mistake_is_said_at_once_with_file_line_and_key() -> None:
    text = (
        '[lab]\nid = "Fontana Alta"\nname = "Sala"\ncommune = "x"\n\n[network]\nhold_s = 99\n'
        'interfaces = ["10.0.0.1", "eth0"]\n\n[time]\nservers = ["a b"]\n'
    )
    found = problems(text)
    assert len(found) == 5
    for start in ("lab.toml:2: lab.id", "lab.toml:4: lab.commune", "lab.toml:7: network.hold_s"):
        assert any(line.startswith(start) for line in found), (start, found)
    assert any("eth0" in line and line.startswith("lab.toml:8") for line in found)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "lab: is missing"),
        ("[lab]\nid=\n", "is not TOML"),
        ('[lab]\nid = "x"\n', "lab.name: is missing"),
        (GOOD + "[network]\nhold_s = true\n", "network.hold_s"),
        (GOOD + '[network]\nhold_s = "12"\n', "network.hold_s"),
        (GOOD + "[data]\ndirectory = 'relative'\n", "data.directory"),
        (GOOD + "[door]\ntechnicians = 'a b'\n", "door.technicians"),
        (GOOD + "[colour]\n", "colour: is not a setting"),
    ],
)
def test_a_mistake_is_a_sentence(text: str, says: str) -> None:
    assert any(says in line for line in problems(text)), problems(text)


@given(st.text(max_size=300))
def test_no_text_makes_it_fall_over(text: str) -> None:
    try:
        parse_settings(text, "lab.toml")
    except SettingsError as error:
        assert str(error)


def test_a_missing_file_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="labctl init"):
        load_settings(tmp_path / "lab.toml")


def test_a_file_that_is_no_text_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "lab.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(tmp_path / "lab.toml")
