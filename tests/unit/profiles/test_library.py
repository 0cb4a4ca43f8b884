"""A lab's files over what ships, from directories and from a publication's texts."""

import subprocess
import sys
from pathlib import Path

import pytest

from kiosk_profiles.findings import ProfileError
from kiosk_profiles.library import Library, load_library
from tests.unit.profiles.lab import HALL, library


def write(directory: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return directory


def test_a_lab_without_files_has_what_ships(tmp_path: Path) -> None:
    lab = load_library([tmp_path / "nothing-here"])
    assert lab.profiles == ("business", "citizen", "maintenance", "operator", "training")
    assert lab.check() == ()


def test_the_labs_own_files_override_by_name(tmp_path: Path) -> None:
    write(tmp_path, {"profiles/citizen.yaml": HALL, "profiles/hall.yaml": HALL})
    lab = load_library([tmp_path])
    assert lab.resolve("citizen").title.it == "Sala"
    entry = lab.entry("citizen")
    assert (entry.shipped, entry.file) == (False, str(tmp_path / "profiles/citizen.yaml"))
    assert lab.entry("business").shipped
    assert "hall" in lab.profiles


def test_a_publication_recompiles_from_its_texts_alone(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "layers/lab.yaml": "allow: [.portale.test]",
            "services/pec.yaml": (
                "title: {it: PEC}\nchecked: 2026-11-23\nevidence: seen\nsource: noi\n"
                "navigation: [.posta.example.it]\n"
            ),
        },
    )
    before = load_library([tmp_path])
    again = Library.from_sources(before.sources)
    for profile in before.profiles:
        assert again.resolve(profile).resources == before.resolve(profile).resources
        assert again.resolve(profile).title == before.resolve(profile).title


def test_texts_without_the_lock_down_make_no_library() -> None:
    with pytest.raises(ValueError, match=r"layers/base\.yaml and browser/base\.yaml"):
        Library.from_sources({"profiles/hall.yaml": HALL})


@pytest.mark.parametrize(
    "name", ["layers/lab.yml", "layers/groups/desk.yaml", "layers/pc/PC-03.yaml", "layers/lab-2.yaml"]
)
def test_a_layer_under_a_wrong_name_stops_everything(name: str, tmp_path: Path) -> None:
    """It may be the one that closes something."""
    write(tmp_path, {name: "deny: [.portale.test]"})
    lab = load_library([tmp_path])
    with pytest.raises(ProfileError, match="nothing reads a file of this name"):
        lab.resolve("citizen")
    assert [finding.file for finding in lab.check()] == [str(tmp_path / name)]


def test_a_layer_that_cannot_be_read_is_not_skipped(tmp_path: Path) -> None:
    write(tmp_path, {"layers/group/a.yaml": ""})
    (tmp_path / "layers/lab.yaml").symlink_to(tmp_path / "gone")
    with pytest.raises(FileNotFoundError):
        load_library([tmp_path])


def test_a_broken_layer_of_one_pc_stops_that_pc_only() -> None:
    lab = library({"profiles/hall.yaml": HALL, "layers/pc/pc-03.yaml": "alow: []"})
    assert lab.resolve("hall", (), "pc-01").resources.browser_policy is not None
    with pytest.raises(ProfileError) as caught:
        lab.resolve("hall", (), "pc-03")
    (finding,) = caught.value.findings
    assert str(finding) == "layers/pc/pc-03.yaml:1: unknown key 'alow'; did you mean 'allow'?"
    assert lab.findings("hall", (), "pc-03") == (finding,)


def test_a_broken_service_is_the_fault_of_its_own_file() -> None:
    lab = library({"profiles/hall.yaml": HALL + "services: [pec]\n", "services/pec.yaml": "title: {it: PEC}"})
    assert {finding.file for finding in lab.findings("hall")} == {"services/pec.yaml"}


def test_a_profile_that_is_not_there() -> None:
    with pytest.raises(ProfileError, match="there is no profile 'citzen'; did you mean 'citizen'"):
        library({}).resolve("citzen")


def test_a_layer_that_breaks_one_profile_is_found_under_each_group_and_pc() -> None:
    lab = library({"profiles/hall.yaml": HALL, "layers/group/desk.yaml": "start_page: https://a.test/"})
    assert [finding.file for finding in lab.check(["hall"])] == ["layers/group/desk.yaml"]


def test_only_the_spid_module_carries_the_xml_libraries() -> None:
    """In a fresh interpreter: the daemon compiles profiles every day and reads metadata once a year."""
    program = (
        "import sys, kiosk_profiles; light = set(sys.modules);"
        "import kiosk_profiles.library;"
        "heavy = ('signxml', 'lxml', 'cryptography', 'defusedxml');"
        "print('pydantic' in light, *(name in sys.modules for name in heavy))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"] * 5
