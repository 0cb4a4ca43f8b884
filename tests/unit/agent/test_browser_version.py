"""A browser of another major version than the one that was checked is told, and nothing else."""

import pytest

from agent.core.browser import other_version
from kiosk_profiles.library import load_library


@pytest.mark.parametrize(
    ("installed", "checked"),
    [("156.0.8078.79-1~deb12u1", 156), ("157.0.1-1", 0), (None, 156), ("", 156)],
)
def test_nothing_to_tell(installed: str | None, checked: int) -> None:
    assert other_version(installed, checked) is None


@pytest.mark.parametrize("installed", ["157.0.8100.1-1~deb12u1", "15.0-1", "1560.0-1", "strange"])
def test_another_major_version(installed: str) -> None:
    told = str(other_version(installed, 156))
    assert f"Chromium {installed.partition('.')[0]} is installed" in told
    assert "checked with 156" in told


def test_what_ships_says_the_version_whose_names_it_checks() -> None:
    library = load_library(())
    for name in library.profiles:
        policy = library.resolve(name).resources.browser_policy
        assert policy is None or policy.chromium == library.facts.chromium
