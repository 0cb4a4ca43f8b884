"""One door for all tests of labctl that only need somebody to answer."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.cli.lab import Reciting, open_door


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Reciting, Path]]:
    """Use cases that recite, and the socket of their door. Tests that change `answers` restore them."""
    services = Reciting()
    with open_door(services, tmp_path_factory.mktemp("door") / "d.sock") as path:
        yield services, path


@pytest.fixture
def services(lab: tuple[Reciting, Path]) -> Iterator[Reciting]:
    """The use cases, as new."""
    reciting, _path = lab
    stations = reciting.stations
    yield reciting
    reciting.stations = stations
    reciting.answers.clear()
    reciting.calls.clear()


@pytest.fixture
def door(lab: tuple[Reciting, Path]) -> Path:
    """The door's socket."""
    return lab[1]
