"""The language of programs that ask libc: a locale by the wanted name, made on this PC or not."""

import locale
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core.languages import LOCALES
from agent.helpers.citizen import PLAIN, speaking

SAYS = "import locale; print(locale.setlocale(locale.LC_ALL, ''), locale.nl_langinfo(locale.CODESET))"


@pytest.fixture(autouse=True)
def own_locale() -> Iterator[None]:
    before = locale.setlocale(locale.LC_ALL)
    yield
    locale.setlocale(locale.LC_ALL, before)


@pytest.mark.skipif(not PLAIN.exists(), reason="Debian's libc has the locale that is borrowed from")
@pytest.mark.parametrize("wanted", [*LOCALES.values(), "xx_XX.UTF-8"])
def test_a_program_finds_the_locale_that_it_is_to_speak(wanted: str, tmp_path: Path) -> None:
    for _again in range(2):  # a browser that died comes back
        environment = {"LANG": wanted, **speaking(tmp_path, wanted)}
        said = subprocess.run(
            [sys.executable, "-c", SAYS], env=environment, capture_output=True, text=True, check=True
        )
        assert said.stdout.split() == [wanted, "UTF-8"]


def test_a_locale_that_there_is_stays_what_it_is(tmp_path: Path) -> None:
    assert speaking(tmp_path, "C.UTF-8") == {}
    assert not list(tmp_path.iterdir())
